/* SPDX-License-Identifier: MIT */
/* Where an environment stands, in the words that every door has: whose it is, who left its pillar, and which way
 * back may be meant. */
#include "state_help.h"

#include "base/auto.h"
#include "chat/sentences.h"
#include "watch/json.h"

static int64_t release_with(struct store *s, const char *app, const char *env, const char *plan)
{
    struct err err;
    int64_t id = 0;
    const struct release_new r = {.env = env,
                                  .app = app,
                                  .kind = KIND_RELEASE,
                                  .plan_name = "rolling",
                                  .rev = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
                                  .rev_typed = "v7\x1b",
                                  .who = "ann",
                                  .host = "ctl1",
                                  .plan_json = plan,
                                  .plan_digest = "d1",
                                  .at_ms = 1000};
    ok(release_insert(s, &r, &id, &err));
    return id;
}

static void ended(struct store *s, int64_t id, int status)
{
    struct err err;
    ok(release_end(
        s, &(struct release_end_new){.release = id, .exit_status = status, .summary = "", .at_ms = 2000},
        &err));
}

static void node_in(struct store *s, int64_t release, const char *node)
{
    row_add(s, (struct row){.release = release,
                            .kind = ROW_NOTE,
                            .node = node,
                            .code = "node-in",
                            .facts = "{\"rev\":\"aaaa\"}"});
}

/* Of three nodes two left the pillar; one of them is still drained by us. */
static void who_left_is_told_and_who_is_owed_all_the_same(void **state)
{
    (void)state;
    struct err err;
    struct env_state st;
    auto_arena struct arena a = {0};
    auto_said struct said out = SAID_INIT;
    auto_store struct store *s = store_write("e.db");
    int64_t one = release_with(s, "shop", "prod", "{}");
    node_in(s, one, "app1");
    node_in(s, one, "app2");
    node_in(s, one, "app3");
    row_add(s, (struct row){.release = one,
                            .kind = ROW_INTENT,
                            .node = "app3",
                            .role = "run",
                            .code = "run",
                            .verb = "haproxy.drain",
                            .facts = "{\"debt\":\"haproxy django/app3 drained by release 1\"}"});
    ended(s, one, 0);
    int64_t two =
        release_with(s, "shop", "prod", "{\"nodes\":[{\"id\":\"app1\"}],\"vars\":[[\"left_out\",\"0\"]]}");
    node_in(s, two, "app1");
    ended(s, two, 0);
    ok(env_state_read(s, "prod", &a, &st, &err));
    assert_int_equal(st.n_nodes, 2);
    assert_string_equal(st.nodes[1].node, "app3");
    assert_true(!st.left[0] && st.left[1]);
    assert_string_equal(env_gone_text(&st, &a), "app2: no nodes of prod any more since release 2");
    assert_string_equal(env_title(s, "prod", false, &a), "prod");
    ok(tell_status(&out, reader(s, &a), "prod", true, &err));
    const char *text = buf_str(&out.text);
    assert_non_null(strstr(text, "prod of shop: free"));
    assert_non_null(strstr(text, "out of rotation through us: app3 (left the pillar)"));
    assert_non_null(strstr(text, "app2: no nodes of prod any more since release 2"));
}

static void a_way_back_is_refused_by_name(void **state)
{
    (void)state;
    struct err err;
    struct release_info *named;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("w.db");
    int64_t good = release_with(s, "shop", "prod", "{}"), bad = release_with(s, "shop", "prod", "{}");
    int64_t other = release_with(s, "shop", "test", "{}");
    ended(s, good, 0);
    ended(s, bad, 1);
    ended(s, other, 0);
    const struct {
        struct back_way way;
        const char *said; /* of a mistake, else what is said yes to */
        bool is_good;
    } rows[] = {
        {{.to = "v7", .before = good}, "--to and --before say two things; give one", false},
        {{.to = "v7", .release = good}, "--release and --to say two things; give one", false},
        {{.before = 99}, "there is no release 99; 'release history prod' lists them", false},
        {{.release = other}, "is of test, not of prod", false},
        {{.release = bad},
         "ended with 1 (failed, nothing was switched); only a release that was finished",
         false},
        {{.before = bad}, "every node to what it ran before release 2", true},
        {{.release = good}, "takes back release 1 (v7\\x1b f5d9859f5d98)", true},
        {{.to = "main"}, "every node to main", true},
        {{.to = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98"}, "every node to f5d9859f5d98", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool good_way = back_way_ok(reader(s, &a), "prod", &rows[i].way, &named, &err);
        assert_int_equal(good_way, rows[i].is_good);
        const char *said = good_way ? back_way_text(&rows[i].way, named, &a) : err.text;
        if (good_way ? strcmp(said, rows[i].said) != 0 : !strstr(said, rows[i].said))
            fail_msg("row %zu: said '%s', wanted '%s'", i, said, rows[i].said);
        assert_true(good_way || strstr(said, "nothing was touched"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(who_left_is_told_and_who_is_owed_all_the_same),
        in_scratch(a_way_back_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
