/* SPDX-License-Identifier: MIT */
/* What the server keeps: tokens and logins as hashes, orders as rows that only grow. */
#include "unit/state_help.h"

#include "state/orders.h"
#include "state/process.h"
#include "state/tokens.h"

static void a_token_is_known_by_its_text_alone(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    char text[TOKEN_TEXT_MAX], other[TOKEN_TEXT_MAX];
    struct token_info *who;
    ok(token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_OPERATOR, .made_by = "ann"}, text, &err));
    ok(token_add(s, &(struct token_new){.name = "bob", .role = RIGHT_VIEWER, .made_by = "ann"}, other, &err));
    assert_int_equal(strlen(text), 4 + 64);
    ok(token_check(reader(s, &a), text, &who, &err));
    assert_string_equal(who->name, "ci");
    assert_int_equal(who->role, RIGHT_OPERATOR);
    memcpy(other + 4, text + 4, 64); /* ci's secret under bob's number */
    ok(token_check(reader(s, &a), other, &who, &err));
    assert_null(who);
}

static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    char text[TOKEN_TEXT_MAX];
    struct token_info *who;
    ok(token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_OPERATOR, .made_by = "ann"}, text, &err));
    text[10] = text[10] == 'a' ? 'b' : 'a';
    const char *const bad[] = {text,    "",      "rt",   "rt1-",
                               "rt1",   "rt0-1", "rt9-", "rt99999999999999999999999999-",
                               "rt-1-", "RT1-",  "x",    "rt1-0000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(token_check(reader(s, &a), bad[i], &who, &err));
        assert_null(who);
    }
}

static void the_file_holds_no_token_and_no_cookie(void **state)
{
    (void)state;
    struct err err;
    char text[TOKEN_TEXT_MAX], cookie[LOGIN_TEXT_MAX], command[600];
    struct store *s = store_write("j.db");
    ok(token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_OPERATOR, .made_by = "ann"}, text, &err));
    ok(login_add(s, 1, clock_wall_ms() + 60000, cookie, &err));
    store_close(s);
    snprintf(command, sizeof(command), "cat %s* | grep -a -q -e %s -e %s", scratch("j.db"), text + 4, cookie);
    assert_int_not_equal(system(command), 0);
}

static void a_bot_is_made_one_and_has_a_name_of_its_own(void **state)
{
    (void)state;
    static const char *const bad[] = {"slack", "api",   "page",   "mattermost",
                                      "cli",   "Hubot", "hu-bot", "abcdefghijklmnopq"};
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    char text[TOKEN_TEXT_MAX];
    struct token_info *who;
    ok(token_add(s, &(struct token_new){.name = "ann", .role = RIGHT_OPERATOR, .made_by = "root"}, text,
                 &err)); /* named as a bot could be */
    ok(token_check(reader(s, &a), text, &who, &err));
    assert_false(who->bot);
    ok(token_add(s,
                 &(struct token_new){.name = "hubot", .role = RIGHT_OPERATOR, .bot = true, .made_by = "root"},
                 text, &err));
    ok(token_check(reader(s, &a), text, &who, &err));
    assert_true(who->bot);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(token_add(s,
                          &(struct token_new){
                              .name = bad[i], .role = RIGHT_OPERATOR, .bot = true, .made_by = "root"},
                          text, &err),
                E_USAGE, "cannot be a bot's name");
}

static void a_revoked_token_ends_with_its_logins(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    char text[TOKEN_TEXT_MAX], again[TOKEN_TEXT_MAX], cookie[LOGIN_TEXT_MAX];
    struct token_info *who;
    bool was;
    ok(token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_OPERATOR, .made_by = "ann"}, text, &err));
    refused(
        token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_VIEWER, .made_by = "ann"}, again, &err),
        E_USAGE, "is in force since");
    ok(login_add(s, 1, clock_wall_ms() + 60000, cookie, &err));
    ok(login_check(reader(s, &a), cookie, &who, &err));
    assert_non_null(who);
    ok(token_revoke(s, "ci", &was, &err));
    assert_true(was);
    ok(token_revoke(s, "ci", &was, &err));
    assert_false(was);
    ok(token_check(reader(s, &a), text, &who, &err));
    assert_null(who);
    ok(login_check(reader(s, &a), cookie, &who, &err));
    assert_null(who);
    ok(token_add(s, &(struct token_new){.name = "ci", .role = RIGHT_VIEWER, .made_by = "ann"}, again,
                 &err)); /* the name is free again */
    ok(token_check(reader(s, &a), again, &who, &err));
    assert_int_equal(who->role, RIGHT_VIEWER);
}

static void a_login_ends_by_time_and_by_logout(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    char text[TOKEN_TEXT_MAX], old[LOGIN_TEXT_MAX], cookie[LOGIN_TEXT_MAX];
    struct token_info *who;
    ok(token_add(s, &(struct token_new){.name = "bob", .role = RIGHT_ADMIN, .made_by = "ann"}, text, &err));
    ok(login_add(s, 1, clock_wall_ms() - 1, old, &err));
    ok(login_check(reader(s, &a), old, &who, &err));
    assert_null(who);
    ok(login_add(s, 1, clock_wall_ms() + 60000, cookie, &err));
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM logins"), 1); /* the old one is swept */
    ok(login_end(s, cookie, &err));
    ok(login_check(reader(s, &a), cookie, &who, &err));
    assert_null(who);
}

static void an_order_is_written_before_it_begins_and_never_changed(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct order_new o = {.env = "prod",
                          .verb = WISH_RUN,
                          .who = "page:bob",
                          .via = VIA_PAGE,
                          .place = "127.0.0.1",
                          .argv = "[]",
                          .at_ms = 1000};
    struct order_info *got;
    int64_t id, release = release_of(s, "prod", KIND_RELEASE), of;
    ok(order_insert(s, &o, &id, &err));
    ok(order_get(reader(s, &a), id, &got, &err));
    assert_int_equal(got->ended_ms, 0);
    assert_int_equal(got->pid, 0);
    ok(order_started(s, id, getpid(), 1010, &err));
    ok(order_release(s, id, release, 1020, &err));
    ok(order_end(s, &(struct order_end_new){.order = id, .exit_status = 4, .text = "stopped", .at_ms = 1030},
                 &err));
    ok(order_get(reader(s, &a), id, &got, &err));
    assert_int_equal(got->pid, getpid());
    assert_true(process_lives(got->pid, got->pid_start));
    assert_int_equal(got->release, release);
    assert_int_equal(got->exit_status, 4);
    assert_string_equal(got->text, "stopped");
    ok(order_of_release(s, release, &of, &err));
    assert_int_equal(of, id);
    assert_int_not_equal(raw_sql("j.db", "DELETE FROM orders"), SQLITE_OK);
    assert_int_not_equal(raw_sql("j.db", "UPDATE orders SET who = 'eve'"), SQLITE_OK);
    assert_int_not_equal(raw_sql("j.db", "DELETE FROM order_events"), SQLITE_OK);
}

static void a_reader_sees_that_something_was_written(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    auto_store struct store *reader = store_read("j.db");
    int64_t before, same, after;
    ok(store_version(reader, &before, &err));
    ok(store_version(reader, &same, &err));
    assert_int_equal(before, same);
    release_of(s, "prod", KIND_RELEASE);
    ok(store_version(reader, &after, &err));
    assert_int_not_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_token_is_known_by_its_text_alone),
        in_scratch(what_is_no_token_is_refused),
        in_scratch(the_file_holds_no_token_and_no_cookie),
        in_scratch(a_bot_is_made_one_and_has_a_name_of_its_own),
        in_scratch(a_revoked_token_ends_with_its_logins),
        in_scratch(a_login_ends_by_time_and_by_logout),
        in_scratch(an_order_is_written_before_it_begins_and_never_changed),
        in_scratch(a_reader_sees_that_something_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
