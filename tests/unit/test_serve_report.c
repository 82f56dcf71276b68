/* SPDX-License-Identifier: MIT */
/* What is told of a release and of an environment, and its forms: figures count what is known, and foreign text is text. */
#include "unit/state_help.h"

#include "serve/html_doc.h"
#include "watch/report.h"
#include "watch/stats.h"
#include "unit/watch_fixture.h"

#define MINUTE 60000
#define HOUR   3600000
#define DAY    (24 * HOUR)

/* ---- figures */

struct told {
    enum release_kind kind;
    int64_t begins, ends; /* since T0; ends 0 = it has not */
    int exit_status;
    int64_t fails;          /* since it began; 0 = no node failed */
    bool moves;             /* a node left rotation */
    int64_t of;             /* a rollback's */
    const char *date, *rev; /* of its commit; NULL = not recorded, another one each time */
};

static int64_t tell(struct store *s, const struct told *t)
{
    struct err err;
    static char rev[41];
    int64_t id;
    char facts[100] = "";
    snprintf(rev, sizeof rev, "%040llx", (unsigned long long)t->begins + 1);
    if (t->date)
        snprintf(facts, sizeof facts, "{\"commit.date\":\"%s\"}", t->date);
    const struct release_new new = {.env = "prod",
                                    .app = "site",
                                    .kind = t->kind,
                                    .plan_name = "rolling",
                                    .rev = t->rev ? t->rev : rev,
                                    .plan_json = "{}",
                                    .of_release = t->of,
                                    .at_ms = T0 + t->begins};
    ok(release_insert(s, &new, &id, &err));
    row_add(s,
            (struct row){
                .release = id, .at_ms = T0 + t->begins, .kind = ROW_ORDER, .code = "start", .facts = facts});
    if (t->moves)
        row_add(
            s,
            (struct row){
                .release = id, .at_ms = T0 + t->begins, .kind = ROW_NOTE, .node = "app1", .code = "admit"});
    if (t->fails)
        row_add(s, (struct row){.release = id,
                                .at_ms = T0 + t->begins + t->fails,
                                .kind = ROW_NOTE,
                                .node = "app1",
                                .code = "node-failed"});
    if (t->ends)
        ok(release_end(
            s, &(struct release_end_new){.release = id, .at_ms = T0 + t->ends, .exit_status = t->exit_status},
            &err));
    return id;
}

static struct stats figures(struct store *s, struct arena *a, int64_t from)
{
    struct err err;
    struct stats stats;
    ok(stats_read(reader(s, a),
                  &(struct stats_span){.env = "prod", .from_ms = T0 + from, .to_ms = T0 + 30 * (int64_t)DAY},
                  &stats, &err));
    return stats;
}

static void figures_count_what_is_known(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    const char *date = "2023-11-14T22:13:20Z"; /* T0 */
    tell(s, &(struct told){.begins = HOUR, .ends = 2 * HOUR, .date = date, .rev = "11"});
    tell(s, &(struct told){
                .begins = 3 * HOUR, .ends = 4 * HOUR, .date = "2023-11-14T23:13:20+01:00", .rev = "22"});
    tell(s, &(struct told){.begins = 5 * HOUR, .ends = 6 * HOUR}); /* of an older version */
    tell(s, &(struct told){
                .begins = 7 * HOUR, .ends = 8 * HOUR, .date = date, .rev = "11"}); /* not new any more */
    tell(s, &(struct told){.begins = 9 * HOUR,
                           .ends = 9 * HOUR + 5 * MINUTE,
                           .exit_status = 1,
                           .moves = true,
                           .fails = 2 * MINUTE});
    tell(s, &(struct told){.begins = 10 * HOUR,
                           .ends = 11 * HOUR,
                           .exit_status = 1,
                           .fails = MINUTE}); /* nobody had left */
    tell(s, &(struct told){.begins = 11 * HOUR, .ends = 12 * HOUR, .exit_status = 6});
    tell(s, &(struct told){.begins = 12 * HOUR});
    tell(s, &(struct told){.kind = KIND_ROLLBACK, .begins = 13 * HOUR, .ends = 14 * HOUR, .of = 2});
    tell(s, &(struct told){
                .begins = 15 * HOUR, .ends = 16 * HOUR, .exit_status = 5, .moves = true, .fails = HOUR / 2});
    struct stats got = figures(s, &a, 0);
    assert_int_equal(got.live, 4);
    assert_int_equal(got.broken, 2);
    assert_int_equal(got.taken_back, 1);
    assert_int_equal(got.untouched, 2);
    assert_int_equal(got.open, 1);
    assert_int_equal(got.lead.n, 2);
    assert_int_equal(got.lead.unknown, 1);
    assert_int_equal(got.lead.median_ms, 2 * HOUR);
    assert_int_equal(got.lead.longest_ms, 4 * HOUR);
    assert_int_equal(got.restore.n,
                     2); /* 3 minutes; and ten hours, from the end of release 2 to that of its rollback */
    assert_int_equal(got.restore.median_ms, 3 * MINUTE);
    assert_int_equal(got.restore.longest_ms, 10 * HOUR);
    assert_int_equal(got.not_restored, 1);
    tell(s, &(struct told){.begins = 17 * HOUR, .ends = 18 * HOUR});
    got = figures(s, &a, 0);
    assert_int_equal(got.not_restored, 0); /* the next one ended well */
    assert_int_equal(got.restore.n, 3);
    got = figures(s, &a, 16 * HOUR + 1); /* of that one alone */
    assert_int_equal(got.live, 1);
    assert_int_equal(got.lead.unknown, 1);
}

static void what_is_not_known_is_no_number(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    tell(s, &(struct told){.begins = HOUR,
                           .ends = 2 * HOUR,
                           .date = "2033-01-01T00:00:00Z"}); /* a clock that is wrong */
    tell(s, &(struct told){.begins = 3 * HOUR, .ends = 4 * HOUR, .date = "yesterday"});
    const struct stats got = figures(s, &a, 0);
    const struct doc doc = stats_doc(&got, &a);
    auto_buf struct buf text = BUF_INIT(65536);
    doc_markdown(&doc, &text);
    assert_non_null(strstr(buf_str(&text), "| lead time for changes | unknown (of 2 revisions) |"));
    assert_non_null(strstr(buf_str(&text), "| time to restore | unknown: there were none |"));
    json_t *o = stats_json(&got);
    assert_true(json_is_null(json_object_get(json_object_get(o, "lead"), "median_ms")));
    json_decref(o);
}

/* ---- one release */

static void write_release(struct store *s)
{
    struct err err;
    int64_t id;
    const struct row rows[] = {
        fixture_row(0, ROW_ORDER, "", -1, "", "start", 0, 0),
        NOTE_ROW(1000, "", NOTE_LIFE, LIFE_ROLL, 0),
        NOTE_ROW(1000, "app1", NOTE_ADMIT, 3, 2),
        INTENT_ROW(1000, "app1", 1),
        DONE_ROW(2000, "app1", 1),
        NOTE_ROW(9000, "app1", NOTE_NODE_IN, 0, WHERE_TOLD),
        NOTE_ROW(9500, "", NOTE_JUDGED, 0, JUDGED_WELL),
        NOTE_ROW(10000, "app2", NOTE_ADMIT, 3, 2),
        INTENT_ROW(10000, "app2", 3),
        fixture_row(14000, ROW_OUTCOME, "app2", 3, "run", "failed", 0, 0),
        fixture_row(14000, ROW_NOTE, "app2", 3, "", "node-failed", 0, 0),
        NOTE_ROW(20000, "app2", NOTE_NODE_IN, 1, WHERE_TOLD),
        NOTE_ROW(20000, "", NOTE_END, 1, 0),
    };
    const struct release_new new = {.env = "prod",
                                    .app = "site",
                                    .kind = KIND_RELEASE,
                                    .plan_name = "rolling",
                                    .rev = "f5",
                                    .plan_json = "{}",
                                    .at_ms = T0};
    for (int i = 0; i < 41; i++) /* the fixture's number; the others never began */
        ok(release_insert(s, &new, &id, &err));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct row row = rows[i];
        row.facts =
            i == 0 ? "{\"commit.date\":\"d\",\"commit.subject\":\"<b> `x`\",\"change.1.from\":\"aa\","
                     "\"change.1.nodes\":\"3\",\"change.1.direction\":\"forward\",\"change.1.count\":\"7\","
                     "\"change.1.commit.1\":\"c1 ann | it\"}"
                   : "";
        row.text = i == 6 ? "stage 1: 3 of 500 failed" : i == 9 ? "app2: stop: exit status 7" : "";
        row_add(s, row);
    }
    for (int i = 0; i < 30; i++) {
        char line[32];
        const size_t n = (size_t)snprintf(line, sizeof line, "line %d\n", i);
        const struct output o = {
            .release = 41, .at_ms = T0, .node = "app2", .step = 3, .stream = 1, .data = line, .n = n};
        ok(output_append(s, &o, &err));
    }
    ok(release_end(s, &(struct release_end_new){.release = 41, .at_ms = T0 + 21000, .exit_status = 1}, &err));
}

static void a_report_tells_way_capacity_and_failure(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct release_info *r;
    struct report rep;
    const bool up[] = {true, true, true};
    write_release(s);
    ok(release_get(reader(s, &a), 41, &r, &err));
    ok(report_gather(reader(s, &a),
                     &(struct report_of){.release = r, .plan = &fixture_plan, .was_up = up, .overrides = ""},
                     &rep, &err));
    assert_int_equal(rep.most_up, 3);
    assert_int_equal(rep.least_up, 2);
    assert_int_equal(rep.took_ms, 21000);
    assert_int_equal(rep.n_verdicts, 1);
    assert_string_equal(rep.verdicts[0].text, "stage 1: 3 of 500 failed");
    assert_int_equal(rep.n_failures, 1);
    assert_string_equal(rep.failures[0].node, "app2");
    assert_string_equal(rep.failures[0].text, "exit status 7");
    assert_non_null(strstr(rep.failures[0].output, "line 29\n")); /* the end, and no more */
    assert_null(strstr(rep.failures[0].output, "line 9\n"));
    assert_int_equal(rep.slots[0].least_up, 3);
    assert_int_equal(rep.slots[1].least_up, 2);
    assert_int_equal(rep.slots[rep.n_slots - 1].least_up, 2);
    assert_int_equal(rep.events[rep.n_events - 1].up, 3);
    assert_int_equal(rep.n_earlier, 0);
    json_t *o = report_json(&rep);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "capacity"), "least_up")), 2);
    assert_true(json_is_null(json_object_get(json_object_get(o, "earlier"), "median_ms")));
    json_decref(o);
    const struct doc doc = report_doc(&rep, &a);
    auto_buf struct buf text = BUF_INIT(65536), html = BUF_INIT(65536);
    doc_markdown(&doc, &text);
    html_doc_alone(&html, &doc);
    assert_non_null(strstr(buf_str(&text), "Unknown: no earlier one"));
    assert_non_null(strstr(buf_str(&text), "c1 ann | it\n... and 6 more\n"));
    assert_non_null(strstr(buf_str(&text), "\\<b\\> \\`x\\`"));
    assert_non_null(strstr(buf_str(&html), "&lt;b&gt; `x`"));
    assert_non_null(strstr(buf_str(&html), "<th scope=\"row\">"));
}

/* ---- forms */

static void foreign_text_is_text_in_every_form(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    const char *bad = "<script>x</script> **b** [l](u) @ann #7 | ``` \x1b[31m\n# h\n- i";
    struct doc d = doc_new(&a, bad);
    auto_buf struct buf md = BUF_INIT(65536), html = BUF_INIT(65536);
    doc_add(&d, DOC_HEADING, bad);
    doc_add(&d, DOC_TEXT, "1. x");
    doc_add(&d, DOC_TEXT, "- x");
    doc_add(&d, DOC_FACTS, "");
    DOC_ROW(&d, bad, bad);
    doc_add(&d, DOC_TABLE, bad);
    DOC_ROW(&d, bad, bad);
    DOC_ROW(&d, bad, bad);
    doc_add(&d, DOC_LINES, "");
    DOC_ROW(&d, bad);
    doc_add(&d, DOC_OUTPUT, bad);
    doc_markdown(&d, &md);
    html_doc_alone(&html, &d);
    assert_null(strstr(buf_str(&html), "<script"));
    assert_null(strchr(buf_str(&html), '\x1b'));
    assert_null(strchr(buf_str(&md), '\x1b'));
    assert_non_null(strstr(buf_str(&md), "\n1\\. x\n"));
    assert_non_null(strstr(buf_str(&md), "\n\\- x\n"));
    assert_non_null(strstr(buf_str(&md), "@<!-- -->ann \\#7 \\| \\`\\`\\`"));
    /* What is fenced stays as it is: the fence is longer than any in it. */
    const char *fence = strstr(buf_str(&md), "\n````\n");
    assert_non_null(fence);
    for (const char *p = buf_str(&md); p < fence; p++)
        if (*p == '<' && p[1] != '!')
            assert_true(p[-1] == '\\');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(figures_count_what_is_known),
        in_scratch(what_is_not_known_is_no_number),
        in_scratch(a_report_tells_way_capacity_and_failure),
        cmocka_unit_test(foreign_text_is_text_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
