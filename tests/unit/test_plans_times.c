/* SPDX-License-Identifier: MIT */
/* When an environment may be released: the grammar, the zone's clock on its odd days, and what a pillar may say wrong. */
#include "plans/times.h"

#include <stdlib.h>
#include <time.h>

#include "plans_rig.h"

/* Of Greenwich. */
static int64_t at(const char *text)
{
    struct tm tm = {.tm_isdst = 0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return timegm(&tm);
}

static void windows_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct window_span span;
    } rows[] = {
        {"(M-F,8-16)", {0x1f, 8 * 60, 16 * 60}},
        {"(h,0-24)", {1 << 3, 0, 24 * 60}},
        {"(U,22:30-23:15)", {1 << 6, 22 * 60 + 30, 23 * 60 + 15}},
        {"(F-M, 22-6)", {0x71, 22 * 60, 30 * 60}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct window_span span;
        assert_null(window_parse(rows[i].text, &span));
        assert_int_equal(span.days, rows[i].span.days);
        assert_int_equal(span.from, rows[i].span.from);
        assert_int_equal(span.to, rows[i].span.to);
    }
    static const char *const bad[] = {"",           "M-F,8-16",    "(M-F,8-16",   "(M-F 8-16)", "(X,8-16)",
                                      "(M-,8-16)",  "(M,8)",       "(M,8-8)",     "(M,24-8)",   "(M,8-25)",
                                      "(M,8:5-16)", "(M,8-16:60)", "(M,24:30-1)", "(M,8-16) ",  "(M,-8-16)",
                                      "(M,,8-16)"};
    struct window_span span;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (window_parse(bad[i], &span) == NULL)
            fail_msg("'%s' was read", bad[i]);
    assert_true(day_valid("2028-02-29") && !day_valid("2026-02-29") && !day_valid("2026-2-1") &&
                !day_valid("2026-02-01 10:00"));
    assert_true(date_valid("2026-02-01 10:00") && !date_valid("2026-02-01 24:00") &&
                !date_valid("2026-02-01T10:00"));
    assert_true(tz_known("Europe/Berlin") && !tz_known("Europe/Nowhere") && !tz_known("../passwd") &&
                !tz_known("/etc/passwd") && !tz_known("Europe"));
}

#define ZONED(zone, ...)                                                                                     \
    &(const struct plan_times)                                                                               \
    {                                                                                                        \
        .tz = zone, __VA_ARGS__                                                                              \
    }
#define TIMES(...) ZONED("UTC", __VA_ARGS__)
#define WINDOWS(...)                                                                                         \
    .windows = (const char *const[]){__VA_ARGS__},                                                           \
    .n_windows = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void look(const struct plan_times *times, const char *when, bool open, const char *changes,
                 const char *why)
{
    auto_arena struct arena arena = {.head = NULL};
    struct times_now now = times_at(times, at(when), &arena);
    if (now.open != open || strcmp(now.changes, changes) != 0 || strstr(now.why, why) == NULL)
        fail_msg("%s: %s until %s (%s)", when, now.open ? "open" : "closed", now.changes, now.why);
    assert_true((now.changes_s == TIMES_NEVER) == (*changes == '\0'));
}

static void it_opens_and_closes(void **state)
{
    (void)state;
    const struct plan_times *office = TIMES(WINDOWS("(M-F,8-16)"));
    look(office, "2026-11-27 15:59", true, "Fri 2026-11-27 16:00",
         "windows (M-F,8-16); it is Fri 2026-11-27 15:59 in UTC");
    look(office, "2026-11-27 16:00", false, "Mon 2026-11-30 08:00", "it is Fri 2026-11-27 16:00");
    look(office, "2026-11-29 12:00", false, "Mon 2026-11-30 08:00", "Sun");
    const struct plan_times *nights = TIMES(WINDOWS("(S,22-6)", "(U,6-7)"));
    look(nights, "2026-11-28 23:00", true, "Sun 2026-11-29 07:00", "Sat");
    look(nights, "2026-11-29 05:00", true, "Sun 2026-11-29 07:00", "Sun");
    look(nights, "2026-11-30 05:00", false, "Sat 2026-12-05 22:00", "Mon");
    look(TIMES(WINDOWS("(M-U,0-24)")), "2026-11-30 05:00", true, "", "");

    const struct plan_freeze freezes[] = {{"2026-12-18", "2027-01-04", "Christmas"},
                                          {"2027-01-05 08:00", "2027-01-05 10:00", ""}};
    const char *const skip[] = {"2026-12-08"};
    const struct plan_times *rest =
        TIMES(WINDOWS("(M-F,8-16)"), .freezes = freezes, .n_freezes = 2, .skip_days = skip, .n_skip_days = 1);
    look(rest, "2026-12-17 09:00", true, "Thu 2026-12-17 16:00", "");
    look(rest, "2026-12-18 09:00", false, "Tue 2027-01-05 10:00",
         "frozen from 2026-12-18 to 2027-01-04: Christmas; it is Fri");
    look(rest, "2027-01-04 23:59", false, "Tue 2027-01-05 10:00", "frozen");
    look(rest, "2026-12-08 12:00", false, "Wed 2026-12-09 08:00", "2026-12-08 is one of skip_days");
    look(TIMES(.freezes = freezes, .n_freezes = 1), "2026-12-17 09:00", true, "Fri 2026-12-18 00:00",
         "it is Thu");
    const struct plan_freeze for_good = {"2026-01-01", "2099-12-31", ""};
    look(TIMES(.freezes = &for_good, .n_freezes = 1), "2026-12-17 09:00", false, "", "frozen");
}

/* In Berlin 2026-03-29 has no hour from 2 to 3, and 2026-10-25 has it twice. The process's own zone is as before. */
static void a_zone_has_its_own_clock(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
    const struct plan_times *night = ZONED("Europe/Berlin", WINDOWS("(U,1-2:30)"));
    look(night, "2026-03-29 00:30", true, "Sun 2026-03-29 03:00", "01:30 in Europe/Berlin");
    look(night, "2026-10-25 00:10", true, "Sun 2026-10-25 02:30",
         "02:10 in Europe/Berlin");                                          /* the first time */
    look(night, "2026-10-25 00:40", false, "Sun 2026-10-25 02:00", "02:40"); /* and it comes again */
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
    look(ZONED("", WINDOWS("(M,0-9)")), "2026-11-29 15:30", true, "Mon 2026-11-30 09:00",
         "it is Mon 2026-11-30 00:30");
    assert_int_equal(unsetenv("TZ"), 0);
    look(night, "2026-03-29 00:30", true, "Sun 2026-03-29 03:00", "");
    assert_null(getenv("TZ"));
}

#define BLOCK                                                                                                \
    "release:\n  app: shop\n  repo: https://git.example.org/shop.git\n  dir: /srv/shop\n"                    \
    "  app_servers: {app1: {host: 10.0.0.1}}\n  supervisor: {programs: [shop]}\n"

static const struct compile_request request = {.rev_typed = "f5d9859"};

static void a_pillar_says_when(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("prod.sls", BLOCK "  windows: ['(M-H,8-16)', '(F,8-12)']\n  tz: America/Indiana/Indianapolis\n"
                                 "  skip_days: [2026-12-24]\n"
                                 "  freeze: {from: 2026-12-18, to: '2027-01-04 12:00', why: Christmas}\n"
                                 "  window_closes: pause\n");
    if (!rig_compile(&r, &request))
        fail_msg("%s", said(&r.problems));
    const struct plan_times *times = r.plan->times;
    assert_int_equal(times->n_windows, 2);
    assert_string_equal(times->windows[1], "(F,8-12)");
    assert_string_equal(times->tz, "America/Indiana/Indianapolis");
    assert_string_equal(times->skip_days[0], "2026-12-24");
    assert_string_equal(times->freezes[0].to, "2027-01-04 12:00");
    assert_string_equal(times->freezes[0].why, "Christmas");
    assert_true(times->pauses);
    /* A reason to go outside of them is not what a person said yes to. */
    char with[65], without[65];
    plan_consent(r.plan, without);
    r.plan->override = "it burns";
    plan_consent(r.plan, with);
    assert_string_equal(with, without);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *says;
    } rows[] = {
        {"  windows: ['(M-F,8-16)', '(W,15-17)']\n",
         ":7:27: windows: '(W,15-17)' overlaps with one before it"},
        {"  windows: ['(U,22-6)', '(M,5-7)']\n", "'(M,5-7)' overlaps"},
        {"  windows: M-F\n", ":7:12: windows: 'M-F': wanted (DAYS,FROM-TO) as in (M-F,8-16)"},
        {"  windows: [{a: b}]\n", "windows: wanted text, found a map"},
        {"  windows: '(M,8-9)'\n  tz: Europe/Nowhere\n", ":8:7: tz: there is no time zone 'Europe/Nowhere'"},
        {"  tz: Europe/Berlin\n", "'tz' says nothing without windows, skip_days or freeze"},
        {"  window_closes: pause\n", "'window_closes' says nothing without"},
        {"  windows: '(M,8-9)'\n  window_closes: kill\n", "finish or pause"},
        {"  skip_days: [2026-02-30]\n", "'2026-02-30' is no day"},
        {"  freeze: [{from: 2026-12-18}]\n",
         ":7:12: freeze: wanted {from: 2026-12-18, to: 2027-01-04, why: ..}"},
        {"  freeze: [{from: 2026-12-18, to: soon}]\n", "wanted days, as in 2026-12-18"},
        {"  freeze: [{from: 2027-01-04, to: 2026-12-18}]\n",
         "it ends (2026-12-18) before it begins (2027-01-04)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_rig struct rig r = {.plan = NULL};
        char text[2000];
        snprintf(text, sizeof text, "%s%s", BLOCK, rows[i].lines);
        put_pillar("prod.sls", text);
        assert_false(rig_compile(&r, &request));
        if (strstr(said(&r.problems), rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].lines, said(&r.problems));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_read),
        cmocka_unit_test(it_opens_and_closes),
        cmocka_unit_test(a_zone_has_its_own_clock),
        cmocka_unit_test_setup_teardown(a_pillar_says_when, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
