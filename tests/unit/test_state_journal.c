/* SPDX-License-Identifier: MIT */
/* Releases, rows, output, cursors, and what is read off them. */
#include "unit/state_help.h"

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    int64_t id = release_of(s, "prod", KIND_RELEASE);
    struct row row = {
        .at_ms = 5,
        .release = id,
        .kind = ROW_OUTCOME,
        .node = "app1",
        .step = 3,
        .verb = "haproxy.drain",
        .role = "run",
        .code = "ok",
        .attempt = 2,
        .back = true,
        .a = 1,
        .b = -7,
        .facts = "{\"sessions\":\"0\"}",
        .text = "gr\xc3\xbc\xc3\x9f'\"; DROP TABLE journal; --",
    };
    row_add(s, row);
    struct row *rows;
    size_t n;
    ok(journal_read(reader(s, &a), &(struct row_range){.release = id, .limit = 10}, &rows, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].seq, journal_last_seq(s));
    assert_int_equal(rows[0].at_ms, 5);
    assert_int_equal(rows[0].kind, ROW_OUTCOME);
    assert_string_equal(rows[0].node, "app1");
    assert_int_equal(rows[0].step, 3);
    assert_string_equal(rows[0].verb, "haproxy.drain");
    assert_string_equal(rows[0].role, "run");
    assert_string_equal(rows[0].code, "ok");
    assert_int_equal(rows[0].attempt, 2);
    assert_true(rows[0].back);
    assert_int_equal(rows[0].a, 1);
    assert_int_equal(rows[0].b, -7);
    assert_string_equal(rows[0].facts, row.facts);
    assert_string_equal(rows[0].text, row.text);
    struct release_info *info;
    ok(release_get(reader(s, &a), id, &info, &err));
    assert_string_equal(info->rev_typed, "f5d9859");
    assert_int_equal(info->exit_status, -1);
    assert_int_equal(info->ended_ms, 0);
    assert_true(info->resumable);
    const char *json;
    ok(release_plan(reader(s, &a), id, &json, &err));
    assert_string_equal(json, "{\"nodes\":[]}");
    refused(release_plan(reader(s, &a), 99, &json, &err), E_JOURNAL, "no release 99");
    ok(release_get(reader(s, &a), 99, &info, &err));
    assert_null(info);
}

static void rows_are_read_in_pages_and_by_release(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    int64_t one = release_of(s, "prod", KIND_RELEASE), two = release_of(s, "test", KIND_RELEASE);
    for (int i = 0; i < 10; i++)
        row_add(s, (struct row){.release = i % 2 ? two : one, .kind = ROW_NOTE, .code = "life", .a = i});
    row_add(s, (struct row){.release = 0, .kind = ROW_NOTE, .code = "life", .a = 10}); /* of no release */
    struct row *rows;
    size_t n;
    ok(journal_read(reader(s, &a), &(struct row_range){.limit = 4}, &rows, &n, &err));
    assert_int_equal(n, 4);
    ok(journal_read(reader(s, &a), &(struct row_range){.after = rows[3].seq, .limit = 100}, &rows, &n, &err));
    assert_int_equal(n, 7);
    assert_int_equal(rows[6].release, 0);
    ok(journal_read(reader(s, &a), &(struct row_range){.release = two, .limit = SIZE_MAX}, &rows, &n, &err));
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].a, 2 * (int)i + 1);
    ok(journal_read(reader(s, &a), &(struct row_range){.release = two, .after = rows[1].seq, .limit = 2},
                    &rows, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].a, 5);
}

static void history_refuses_update_delete_and_replace(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    int64_t id = release_of(s, "prod", KIND_RELEASE);
    row_add(s, (struct row){.release = id, .kind = ROW_NOTE, .code = "life"});
    ok(release_end(s, &(struct release_end_new){.release = id, .summary = "done", .at_ms = 9}, &err));
    struct output o = {.release = id, .node = "n", .data = "x", .n = 1};
    ok(output_append(s, &o, &err));
    ok(output_end(s, &(struct output_sum){.release = id, .node = "n", .total_bytes = 1, .sha256 = "aa"},
                  &err));
    auto_arena struct arena a = {0};
    struct lock_info l;
    ok(lock_take(s, &(struct lock_request){.env = "prod", .who = "ann", .why = "x"}, &a, &l, &err));
    static const char *const tables[] = {"releases", "plans",       "release_ends", "journal",
                                         "outputs",  "output_ends", "lock_history"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char sql[200];
        snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", tables[i]);
        assert_int_equal(raw_number("j.db", sql), 1);
        snprintf(sql, sizeof(sql), "DELETE FROM %s", tables[i]);
        assert_int_equal(raw_sql("j.db", sql), SQLITE_CONSTRAINT);
        snprintf(sql, sizeof(sql), "UPDATE %s SET rowid = rowid + 1", tables[i]);
        assert_int_equal(raw_sql("j.db", sql), SQLITE_CONSTRAINT);
        snprintf(sql, sizeof(sql), "PRAGMA recursive_triggers = ON; REPLACE INTO %s SELECT * FROM %s LIMIT 1",
                 tables[i], tables[i]);
        assert_int_equal(raw_sql("j.db", sql), SQLITE_CONSTRAINT);
    }
}

static void a_bad_row_spoils_its_whole_transaction_and_no_other(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    int64_t id = release_of(s, "prod", KIND_RELEASE);
    struct row good = {.release = id, .kind = ROW_NOTE, .code = "life"};
    struct row bad = {.release = id, .kind = ROW_NOTE, .code = "life", .facts = "{not json"};
    struct row orphan = {.release = 77, .kind = ROW_NOTE, .code = "life"};
    ok(store_begin(s, &err));
    ok(journal_append(s, &good, &err));
    refused(journal_append(s, &bad, &err), E_JOURNAL, "cannot write a row");
    refused(store_commit(s, &err), E_JOURNAL, "cannot write a row");
    assert_int_equal(journal_last_seq(s), 0);
    ok(store_begin(s, &err));
    refused(journal_append(s, &orphan, &err), E_JOURNAL, "FOREIGN KEY");
    store_rollback(s);
    row_add(s, good);
    assert_int_equal(journal_last_seq(s), 1);
}

static int64_t unfinished(struct store *s, const char *env)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct release_info *r;
    ok(release_unfinished(reader(s, &a), env, &r, &err));
    if (!r)
        return 0;
    assert_true(r->resumable);
    return r->id;
}

static void unfinished_is_what_can_be_gone_on_with(void **state)
{
    (void)state;
    struct err err;
    static const struct {
        int exit;
        bool resumable;
    } cases[] = {{0, false}, {1, false}, {2, false}, {3, false},  {6, false},
                 {4, true},  {5, true},  {7, true},  {130, true}, {143, true}};
    auto_store struct store *s = store_write("j.db");
    assert_int_equal(unfinished(s, "prod"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char env[16];
        snprintf(env, sizeof(env), "env%zu", i);
        int64_t id = release_of(s, env, KIND_RELEASE);
        assert_int_equal(unfinished(s, env), id);
        ok(release_end(s,
                       &(struct release_end_new){
                           .release = id, .exit_status = cases[i].exit, .summary = "", .at_ms = 2000},
                       &err));
        assert_int_equal(unfinished(s, env), cases[i].resumable ? id : 0);
    }
}

static void what_came_later_decides_what_is_unfinished(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    int64_t first = release_of(s, "prod", KIND_RELEASE);
    ok(release_end(
        s, &(struct release_end_new){.release = first, .exit_status = 4, .summary = "stopped", .at_ms = 2000},
        &err));
    int64_t refused_id = release_of(s, "prod", KIND_RELEASE); /* refused at preflight: changes nothing */
    ok(release_end(
        s, &(struct release_end_new){.release = refused_id, .exit_status = 6, .summary = "", .at_ms = 2100},
        &err));
    release_of(s, "prod", KIND_TASK);
    release_of(s, "prod", KIND_EXEC);
    int64_t other = release_of(s, "test", KIND_RELEASE);
    ok(release_end(s, &(struct release_end_new){.release = other, .summary = "", .at_ms = 2100}, &err));
    assert_int_equal(unfinished(s, "prod"), first);
    ok(release_end(
        s,
        &(struct release_end_new){
            .release = first, .exit_status = 5, .summary = "resumed, stopped again", .at_ms = 2200},
        &err)); /* the last end counts */
    assert_int_equal(unfinished(s, "prod"), first);
    int64_t back = release_of(s, "prod", KIND_ROLLBACK);
    assert_int_equal(unfinished(s, "prod"), back);
    ok(release_end(
        s, &(struct release_end_new){.release = back, .exit_status = 4, .summary = "", .at_ms = 2300}, &err));
    assert_int_equal(unfinished(s, "prod"), back);
    row_add(s, (struct row){.release = back, .kind = ROW_ORDER, .code = "abandon"});
    assert_int_equal(unfinished(s, "prod"), first);
    int64_t again = release_of(s, "prod", KIND_ROLLBACK);
    ok(release_end(
        s, &(struct release_end_new){.release = again, .exit_status = 1, .summary = "", .at_ms = 2400},
        &err));
    assert_int_equal(unfinished(s, "prod"), 0);
}

/* One line a step: what was done, and what a plain rollback takes back then (0: nothing). */
static void a_rollback_of_n_makes_it_as_before_n(void **state)
{
    (void)state;
    struct err err;
    static const struct {
        enum release_kind kind;
        int64_t of;
        int exit;
        int64_t next;
    } steps[] = {
        {KIND_RELEASE, 0, 0, 1},   {KIND_RELEASE, 0, 0, 2},  {KIND_RELEASE, 0, 1, 2},
        {KIND_ROLLBACK, 2, 0, 1},  {KIND_ROLLBACK, 4, 0, 2}, {KIND_ROLLBACK, 1, 0, 0},
        {KIND_RELEASE, 0, 0, 7},   {KIND_EXEC, 0, 0, 7},     {KIND_RELEASE, 0, 0, 9},
        {KIND_ROLLBACK, 7, 0, 0},  {KIND_ROLLBACK, 0, 0, 0}, {KIND_RELEASE, 0, 0, 12},
        {KIND_ROLLBACK, 12, 0, 0},
    };
    auto_store struct store *s = store_write("j.db");
    auto_arena struct arena arena = {0};
    struct release_info *r;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const struct release_new new = {
            .env = "prod", .app = "shop", .kind = steps[i].kind, .of_release = steps[i].of, .at_ms = 1000};
        int64_t id;
        ok(release_insert(s, &new, &id, &err));
        assert_int_equal(id, i + 1);
        ok(release_end(s,
                       &(struct release_end_new){
                           .release = id, .exit_status = steps[i].exit, .summary = "", .at_ms = 2000},
                       &err));
        ok(release_rollback_of(reader(s, &arena), "prod", &r, &err));
        assert_int_equal(r ? r->id : 0, steps[i].next);
    }
    ok(release_in_force(reader(s, &arena), "prod", 10, &r, &err));
    assert_int_equal(r->id, 9);
    ok(release_in_force(reader(s, &arena), "prod", 4, &r, &err));
    assert_int_equal(r->id, 2);
}

static void an_end_with_1_says_who_went_back_and_from_where(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena arena = {0};
    static const struct {
        enum row_kind kind;
        const char *code;
        enum release_back back;
    } cases[] = {{ROW_NOTE, "admit", BACK_BY_ITSELF},
                 {ROW_NOTE, "gang-bad", BACK_UNTOUCHED},
                 {ROW_ORDER, "rollback", BACK_ORDERED}};
    auto_store struct store *s = store_write("j.db");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct release_info *r;
        int64_t id = release_of(s, "prod", KIND_RELEASE);
        row_add(s, (struct row){.release = id, .kind = cases[i].kind, .node = "app1", .code = cases[i].code});
        ok(release_end(
            s, &(struct release_end_new){.release = id, .exit_status = 1, .summary = "", .at_ms = 2000},
            &err));
        ok(release_get(reader(s, &arena), id, &r, &err));
        assert_int_equal(r->back, cases[i].back);
    }
}

static void history_is_newest_first_and_knows_what_is_resumable(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    static const int exits[] = {4, 0, 4, 6};
    for (size_t i = 0; i < 4; i++)
        ok(release_end(s,
                       &(struct release_end_new){.release = release_of(s, "prod", KIND_RELEASE),
                                                 .exit_status = exits[i],
                                                 .summary = "end",
                                                 .at_ms = 3000},
                       &err));
    release_of(s, "test", KIND_RELEASE);
    struct release_info *list;
    size_t n;
    ok(release_list(reader(s, &a), &(struct newest){.env = "prod", .limit = 10}, &list, &n, &err));
    assert_int_equal(n, 4);
    static const bool resumable[] = {false, true, false, false};
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].id, 4 - (int)i);
        assert_int_equal(list[i].exit_status, exits[3 - i]);
        assert_int_equal(list[i].resumable, resumable[i]);
        assert_string_equal(list[i].summary, "end");
    }
    ok(release_list(reader(s, &a), &(struct newest){.limit = 2}, &list, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].env, "test");
    ok(release_list(reader(s, &a), &(struct newest){.limit = 10, .before = list[1].id}, &list, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].id, 3);
}

static void step(struct store *s, int64_t release, int64_t at, const char *kind, const char *role,
                 int step_no, const char *verb, int64_t done)
{
    bool intent = strcmp(kind, "intent") == 0;
    row_add(s, (struct row){.release = release,
                            .at_ms = at,
                            .kind = intent ? ROW_INTENT : ROW_OUTCOME,
                            .node = "app1",
                            .step = step_no,
                            .verb = verb,
                            .role = role,
                            .code = intent ? role : "ok",
                            .a = done});
}

static void step_times_are_medians_of_finished_steps(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    static const int64_t took[] = {100, 900, 300};
    for (size_t i = 0; i < 3; i++) {
        int64_t r = release_of(s, "prod", KIND_RELEASE), t = 1000000 * (int64_t)i;
        step(s, r, t, "outcome", "before", 0, "haproxy.drain", 0);
        step(s, r, t + 50000, "intent", "run", 0, "haproxy.drain", 0);
        step(s, r, t + 50005, "outcome", "run", 0, "haproxy.drain", 0); /* ok, but not ready yet */
        step(s, r, t + 50000 + took[i], "outcome", "observe", 0, "haproxy.drain", 1);
        step(s, r, t + 50000 + took[i] + 10, "outcome", "run", 1, "haproxy.wait_idle", 0);
        step(s, r, t + 50000 + took[i] + 40, "outcome", "run", 1, "haproxy.wait_idle", 1);
        step(s, r, t + 60000, "intent", "run", 2, "cmd.run", 0); /* never ended */
    }
    step(s, release_of(s, "prod", KIND_ROLLBACK), 1, "intent", "run", 0, "haproxy.drain", 0);
    struct step_time *times;
    size_t n;
    ok(journal_step_times(reader(s, &a), &(struct plan_runs){.env = "prod", .plan = "rolling"}, &times, &n,
                          &err));
    assert_int_equal(n, 2);
    assert_string_equal(times[0].verb, "haproxy.drain");
    assert_int_equal(times[0].median_ms, 300);
    assert_int_equal(times[0].n, 3);
    assert_string_equal(times[1].verb, "haproxy.wait_idle");
    assert_int_equal(times[1].median_ms, 40);
    ok(journal_step_times(reader(s, &a), &(struct plan_runs){.env = "prod", .plan = "in-place"}, &times, &n,
                          &err));
    assert_int_equal(n, 0);
}

static void the_way_back_and_a_clock_that_jumped_give_no_times(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    int64_t r = release_of(s, "prod", KIND_RELEASE);
    step(s, r, 5000, "intent", "run", 0, "cmd.run", 0);
    step(s, r, 4000, "outcome", "run", 0, "cmd.run", 1);
    row_add(s, (struct row){.release = r,
                            .at_ms = 1,
                            .kind = ROW_INTENT,
                            .node = "b",
                            .step = 1,
                            .role = "run",
                            .verb = "cmd.run",
                            .back = true});
    row_add(s, (struct row){.release = r,
                            .at_ms = 9,
                            .kind = ROW_OUTCOME,
                            .node = "b",
                            .step = 1,
                            .role = "run",
                            .verb = "cmd.run",
                            .back = true,
                            .code = "ok",
                            .a = 1});
    struct step_time *times;
    size_t n;
    ok(journal_step_times(reader(s, &a), &(struct plan_runs){.env = "prod", .plan = "rolling"}, &times, &n,
                          &err));
    assert_int_equal(n, 0);
}

static void node_note(struct store *s, int64_t release, const char *node, const char *code, const char *facts)
{
    row_add(s, (struct row){.release = release,
                            .at_ms = 10 * release,
                            .kind = ROW_NOTE,
                            .node = node,
                            .code = code,
                            .facts = facts});
}

static void drain_rows(struct store *s, int64_t release, const char *node, const char *before,
                       const char *debt)
{
    row_add(s, (struct row){.release = release,
                            .kind = ROW_OUTCOME,
                            .node = node,
                            .role = "before",
                            .code = "ok",
                            .verb = "haproxy.drain",
                            .facts = before});
    row_add(s, (struct row){.release = release,
                            .kind = ROW_INTENT,
                            .node = node,
                            .role = "run",
                            .code = "run",
                            .verb = "haproxy.drain",
                            .facts = debt});
}

static void nodes_run_are_and_owe_what_the_journal_says(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    int64_t one = release_of(s, "prod", KIND_RELEASE), two = release_of(s, "prod", KIND_RELEASE);
    int64_t elsewhere = release_of(s, "test", KIND_RELEASE);
    node_note(s, one, "app2", "node-in", "{\"rev\":\"aaaa\",\"identity\":\"m-2\"}");
    node_note(s, one, "app1", "node-in", "{\"rev\":\"aaaa\"}");
    node_note(s, two, "app1", "node-in", "{\"rev\":\"bbbb\"}");
    node_note(s, elsewhere, "app1", "node-in", "{\"rev\":\"cccc\"}");
    drain_rows(s, two, "app2", "{\"lb.before\":\"UP\"}",
               "{\"debt\":\"haproxy django/app2 drained by release 2\"}");
    drain_rows(s, two, "app2", "{\"lb.before\":\"UP\"}",
               "{\"debt\":\"haproxy django/app2 drained by release 2\"}");
    node_note(s, two, "app2", "node-left", "");
    row_add(s, (struct row){.release = two,
                            .kind = ROW_OUTCOME,
                            .node = "app3",
                            .role = "run",
                            .code = "ok",
                            .facts = "{\"identity\":\"m-3\"}"});
    int64_t command = release_of(s, "prod", KIND_EXEC); /* brings nothing that a node runs since */
    node_note(s, command, "app1", "node-in", "");
    node_note(s, command, "app2", "gang-ok", "");
    struct node_state_info *nodes;
    size_t n;
    ok(node_states(reader(s, &a), "prod", &nodes, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(nodes[0].node, "app1");
    assert_string_equal(nodes[0].rev, "bbbb");
    assert_int_equal(nodes[0].release, two);
    assert_false(nodes[0].debt);
    assert_string_equal(nodes[1].rev, "aaaa");
    assert_string_equal(nodes[1].identity, "m-2");
    assert_true(nodes[1].debt);
    assert_string_equal(nodes[1].debt_text, "haproxy django/app2 drained by release 2; before: UP");
    assert_string_equal(nodes[2].node, "app3");
    assert_string_equal(nodes[2].rev, "");
    assert_string_equal(nodes[2].identity, "m-3");
    /* given back; a plan that brings no revision (restart) keeps the one known */
    node_note(s, two, "app2", "node-in", "");
    ok(node_states(reader(s, &a), "prod", &nodes, &n, &err));
    assert_false(nodes[1].debt);
    assert_string_equal(nodes[1].debt_text, "");
    assert_string_equal(nodes[1].rev, "aaaa");
    ok(node_states(reader(s, &a), "nowhere", &nodes, &n, &err));
    assert_int_equal(n, 0);
}

static void output_keeps_every_byte_and_its_totals(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    int64_t r = release_of(s, "prod", KIND_RELEASE);
    static const char bytes[] = "a\0b\xff\n";
    struct output o = {.release = r, .node = "app1", .step = 2, .stream = 2, .data = bytes, .n = 5};
    ok(output_append(s, &o, &err));
    struct output other = {.release = r, .node = "app2", .step = 3, .stream = 1, .data = "", .n = 0};
    ok(output_append(s, &other, &err));
    const struct output_sum sum = {
        .release = r, .node = "app1", .step = 2, .total_bytes = 1 << 30, .cut = true, .sha256 = "cafe"};
    ok(output_end(s, &sum, &err));
    struct output *list;
    size_t n;
    ok(output_read(reader(s, &a),
                   &(struct output_range){.release = r, .node = "app1", .step = -1, .limit = 10}, &list, &n,
                   &err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].n, 5);
    assert_memory_equal(list[0].data, bytes, 5);
    ok(output_read(reader(s, &a), &(struct output_range){.release = r, .step = 3, .limit = 10}, &list, &n,
                   &err));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].node, "app2");
    ok(output_read(reader(s, &a),
                   &(struct output_range){.release = r, .step = -1, .after = list[0].id, .limit = 10}, &list,
                   &n, &err));
    assert_int_equal(n, 0);
    struct output_sum *sums;
    ok(output_sums(reader(s, &a), r, &sums, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(sums[0].total_bytes, 1 << 30);
    assert_true(sums[0].cut);
    assert_string_equal(sums[0].sha256, "cafe");
}

static void cursors_begin_at_zero_and_are_kept(void **state)
{
    (void)state;
    struct err err;
    int64_t seq = -1;
    auto_store struct store *s = store_write("j.db");
    ok(cursor_get(s, "chat", &seq, &err));
    assert_int_equal(seq, 0);
    ok(cursor_set(s, "chat", 12, &err));
    ok(cursor_set(s, "chat", 17, &err));
    ok(cursor_set(s, "web", 3, &err));
    ok(cursor_get(s, "chat", &seq, &err));
    assert_int_equal(seq, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(what_was_written_is_read_back),
        in_scratch(rows_are_read_in_pages_and_by_release),
        in_scratch(history_refuses_update_delete_and_replace),
        in_scratch(a_bad_row_spoils_its_whole_transaction_and_no_other),
        in_scratch(unfinished_is_what_can_be_gone_on_with),
        in_scratch(what_came_later_decides_what_is_unfinished),
        in_scratch(a_rollback_of_n_makes_it_as_before_n),
        in_scratch(an_end_with_1_says_who_went_back_and_from_where),
        in_scratch(history_is_newest_first_and_knows_what_is_resumable),
        in_scratch(step_times_are_medians_of_finished_steps),
        in_scratch(the_way_back_and_a_clock_that_jumped_give_no_times),
        in_scratch(nodes_run_are_and_owe_what_the_journal_says),
        in_scratch(output_keeps_every_byte_and_its_totals),
        in_scratch(cursors_begin_at_zero_and_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
