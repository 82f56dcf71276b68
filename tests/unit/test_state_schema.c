/* SPDX-License-Identifier: MIT */
/* The ladder of versions: old journals are read and brought up to date, newer ones are left alone. */
#include "unit/state_help.h"

#include "state/chat.h"
#include "state/orders.h"
#include "state/sqlite/sqlite_priv.h"
#include "state/tokens.h"

static void check_releases(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct release_info *list, *open_one;
    size_t n;
    ok(release_list(reader(s, &a), &(struct newest){.env = "prod", .limit = 10}, &list, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(list[1].exit_status, 0);
    assert_string_equal(list[1].summary, "released");
    assert_string_equal(list[1].rev_typed, "f5d9859");
    ok(release_unfinished(reader(s, &a), "prod", &open_one, &err));
    assert_int_equal(open_one->id, 2);
    const char *json;
    ok(release_plan(reader(s, &a), 1, &json, &err));
    assert_string_equal(json, "{\"nodes\":[]}");
}

static void check_rows(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct row *rows;
    struct node_state_info *nodes;
    struct output *out;
    struct step_time *times;
    size_t n;
    int64_t seq;
    ok(journal_read(reader(s, &a), &(struct row_range){.release = 1, .limit = 100}, &rows, &n, &err));
    assert_int_equal(n, 5);
    assert_string_equal(rows[1].facts, "{\"lb.before\":\"UP\",\"identity\":\"m-1\"}");
    assert_string_equal(rows[3].text, "drained");
    ok(node_states(reader(s, &a), "prod", &nodes, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(nodes[0].identity, "m-1");
    assert_string_equal(nodes[0].rev, "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98");
    assert_string_equal(nodes[0].debt_text, "haproxy django/app1");
    ok(output_read(reader(s, &a), &(struct output_range){.release = 1, .step = -1, .limit = 10}, &out, &n,
                   &err));
    assert_memory_equal(out[0].data, "built\n\0\xff", 8);
    ok(journal_step_times(reader(s, &a), &(struct plan_runs){.env = "prod", .plan = "rolling"}, &times, &n,
                          &err));
    assert_int_equal(times[0].median_ms, 500);
    ok(cursor_get(s, "terminal", &seq, &err));
    assert_int_equal(seq, 6);
}

static void check_lock(struct store *s, int64_t fence)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct lock_info l;
    ok(lock_get(reader(s, &a), "prod", &l, &err));
    assert_true(l.held);
    assert_int_equal(l.fence, fence);
    assert_string_equal(l.who, "bob");
}

/* What every version had: read, then gone on with. */
static void read_and_continue(struct store *s, int64_t last_seq)
{
    struct err err;
    auto_arena struct arena a = {0};
    const char *id;
    check_releases(s);
    check_rows(s);
    check_lock(s, 2);
    ok(store_identity(reader(s, &a), &id, &err));
    assert_int_equal(strlen(id), 32);
    ok(lock_force(s, &(struct lock_end){.env = "prod", .who = "ann", .why = "fixture"}, &err));
    struct lock_info l;
    ok(lock_take(s, &(struct lock_request){.env = "prod", .who = "ann"}, &a, &l, &err));
    assert_true(l.fence > 2);
    row_add(s, (struct row){.release = 2, .kind = ROW_ORDER, .code = "resume"});
    assert_int_equal(journal_last_seq(s), last_seq + 1);
    assert_int_equal(raw_number("old.db", "PRAGMA user_version"), SCHEMA_VERSION);
}

static void a_journal_of_version_1_is_read_and_continued(void **state)
{
    (void)state;
    put_fixture("old.db", 1);
    auto_store struct store *s = store_write("old.db");
    read_and_continue(s, 6);
}

static void check_tokens(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct token_info *tokens, *who;
    size_t n;
    ok(token_list(reader(s, &a), &tokens, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(tokens[0].name, "ci");
    assert_int_equal(tokens[0].used_ms, 1700000050000);
    assert_true(tokens[1].revoked_ms > 0);
    assert_false(tokens[0].bot);                     /* nobody speaks for people until told to */
    ok(login_check(reader(s, &a), "0", &who, &err)); /* the fixture's cookie; its SHA-256 is in the file */
    assert_non_null(who);
    assert_int_equal(who->role, RIGHT_OPERATOR);
}

static void check_orders(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct order_info *orders;
    size_t n;
    ok(order_list(reader(s, &a), &(struct newest){.env = "prod", .limit = 10}, &orders, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(orders[0].ended_ms, 0);
    assert_int_equal(orders[0].exit_status, -1);
    assert_string_equal(orders[1].who, "page:ci");
    assert_int_equal(orders[1].pid, 812);
    assert_int_equal(orders[1].release, 1);
    assert_int_equal(orders[1].exit_status, 0);
    assert_int_equal(orders[1].ended_ms, 1700000005100);
}

static void a_journal_of_version_2_is_read_and_continued(void **state)
{
    (void)state;
    put_fixture("old.db", 2);
    auto_store struct store *s = store_write("old.db");
    check_tokens(s);
    check_orders(s);
    read_and_continue(s, 6);
}

static void check_chat(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct ask *ask;
    struct waiter *places;
    struct message *message;
    struct notice *notices;
    struct lock_event *locks;
    size_t n;
    ok(ask_find(reader(s, &a), "K7Q2", &ask, &err));
    assert_non_null(ask);
    assert_string_equal(ask->person, "slack/T1/U1");
    assert_int_equal(ask->state, ASK_CONFIRM);
    ok(queue_list(reader(s, &a), "prod", &places, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(places[0].who, "slack:bob");
    ok(message_get(reader(s, &a), "bot", 2, &message, &err));
    assert_string_equal(message->ts, "1700000200.000100");
    ok(notice_after(reader(s, &a), &(struct since){.limit = 10}, &notices, &n, &err));
    assert_int_equal(notices[0].event, NOTICE_TURN);
    ok(lock_events_after(reader(s, &a), &(struct since){.limit = 10}, &locks, &n, &err));
    assert_true(n > 0);
}

static void a_journal_of_version_3_is_read_and_continued(void **state)
{
    (void)state;
    put_fixture("old.db", 3);
    auto_store struct store *s = store_write("old.db");
    check_chat(s);
    read_and_continue(s, 6);
}

static void a_journal_of_version_4_is_read_and_continued(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    struct token_info *tokens;
    size_t n;
    put_fixture("old.db", 4);
    auto_store struct store *s = store_write("old.db");
    ok(token_list(reader(s, &a), &tokens, &n, &err));
    assert_int_equal(n, 3);
    assert_false(tokens[0].bot);
    assert_true(tokens[2].bot);
    check_chat(s);
    read_and_continue(s, 6);
}

/* Version 5: two applications have a `prod`, and neither sees what is the other's. */
static void a_journal_of_version_5_is_read_and_continued(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    struct release_info *list;
    struct node_state_info *nodes;
    struct lock_info lock;
    size_t n;
    put_fixture("old.db", 5);
    auto_store struct store *s = store_write("old.db");
    refused(release_list(reader(s, &a), &(struct newest){.env = "prod", .limit = 10}, &list, &n, &err),
            E_USAGE, "plone:prod, shop:prod");
    ok(release_list(reader(s, &a), &(struct newest){.env = "shop:prod", .limit = 10}, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].env, "shop:prod");
    assert_string_equal(list[0].root, "/usr");
    ok(node_states(reader(s, &a), "shop:prod", &nodes, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(nodes[0].rev, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    ok(lock_get(reader(s, &a), "shop:prod", &lock, &err));
    assert_false(lock.held);
    store_scope(s, "/srv/plone"); /* the other application has a tree that is there: bare names are ours */
    check_chat(s);
    read_and_continue(s, 7);
}

/* Every table, index and trigger of a new journal is that of one that climbed from version 1, but for blanks.
 * A schema that changes without a new version fails here. */
#define TEXTS(db)                                                                                            \
    "SELECT type, name, replace(replace(sql, ' ', ''), char(10), '') AS sql FROM " db ".sqlite_schema"
static void a_new_journal_has_the_schema_of_a_migrated_one(void **state)
{
    (void)state;
    put_fixture("old.db", 1);
    store_close(store_write("old.db"));
    store_close(store_write("new.db"));
    char sql[1000];
    snprintf(sql, sizeof(sql),
             "ATTACH '%s' AS old; CREATE TEMP TABLE diff AS " TEXTS("main") " EXCEPT " TEXTS(
                 "old") " UNION ALL SELECT * FROM (" TEXTS("old") " EXCEPT " TEXTS("main") ")",
             scratch("old.db"));
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(scratch("new.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM diff", -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        fail_msg("the schema of %s changed without a new version", sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    assert_true(raw_number("new.db", "SELECT count(*) FROM sqlite_schema") > 20);
}

static void a_newer_journal_is_refused_untouched(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    char sql[100];
    store_close(store_write("j.db"));
    snprintf(sql, sizeof(sql),
             "PRAGMA user_version = %d; CREATE TABLE news (x); INSERT INTO cursors VALUES "
             "('future', 7)",
             SCHEMA_VERSION + 1);
    /* Its newest rows are still in the -wal, whose bytes must stay, too. */
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch("j.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    sqlite3_close(db);
    size_t n[4];
    char *before = file_text(scratch("j.db"), &n[0]), *wal = file_text(scratch("j.db-wal"), &n[1]);
    assert_true(n[1] > 0);
    for (int i = 0; i < 2; i++) {
        refused(store_open(scratch("j.db"), i ? STORE_READ : STORE_WRITE, &s, &err), E_JOURNAL,
                "written by a newer release");
        char *after = file_text(scratch("j.db"), &n[2]), *wal_after = file_text(scratch("j.db-wal"), &n[3]);
        assert_int_equal(n[0], n[2]);
        assert_int_equal(n[1], n[3]);
        assert_memory_equal(before, after, n[0]);
        assert_memory_equal(wal, wal_after, n[1]);
        free(after);
        free(wal_after);
    }
    free(before);
    free(wal);
}

static void a_journal_without_a_version_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    store_close(store_write("j.db"));
    assert_int_equal(raw_sql("j.db", "PRAGMA user_version = 0"), SQLITE_OK);
    refused(store_open(scratch("j.db"), STORE_WRITE, &s, &err), E_JOURNAL, "no schema version");
    refused(store_open(scratch("j.db"), STORE_READ, &s, &err), E_JOURNAL, "no schema version");
}

/* Each question finds its rows by an index; a table walked from end to end would grow with history. */
static void no_question_walks_the_whole_journal(void **state)
{
    (void)state;
    store_close(store_write("j.db"));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch("j.db"), &db), SQLITE_OK);
    for (int i = SQL_RELEASE_INSERT; i < SQL_COUNT; i++) {
        char sql[4000];
        sqlite3_stmt *stmt = NULL;
        snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", sql_text((enum sql)i));
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
            const char *how = (const char *)sqlite3_column_text(stmt, 3);
            if (strncmp(how, "SCAN ", 5) == 0 && !strstr(how, "USING") &&
                strcmp(how, "SCAN CONSTANT ROW") != 0 && strncmp(how, "SCAN (subquery", 14) != 0)
                fail_msg("%s: %s", sql_text((enum sql)i), how);
            if (strstr(how, "TEMP B-TREE"))
                fail_msg("%s: %s", sql_text((enum sql)i), how);
        }
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_journal_of_version_1_is_read_and_continued),
        in_scratch(a_journal_of_version_2_is_read_and_continued),
        in_scratch(a_journal_of_version_3_is_read_and_continued),
        in_scratch(a_journal_of_version_4_is_read_and_continued),
        in_scratch(a_journal_of_version_5_is_read_and_continued),
        in_scratch(a_new_journal_has_the_schema_of_a_migrated_one),
        in_scratch(a_newer_journal_is_refused_untouched),
        in_scratch(a_journal_without_a_version_is_refused),
        in_scratch(no_question_walks_the_whole_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
