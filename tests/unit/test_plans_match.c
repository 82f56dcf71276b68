/* SPDX-License-Identifier: MIT */
/* Who a target is for: Salt's matchers on ids, grains and node groups, and what is refused. tests/salt asks
 * Salt itself; here is each rule once. */
#include "plans/glob.h"
#include "plans/match.h"
#include "plans/regex.h"
#include "plans_rig.h"

static const char world_text[] = "nodegroups:\n"
                                 "  web: L@web1,web2\n"
                                 "  either: web1 or db1\n"
                                 "  nested: N@web and not web2\n"
                                 "  ids: web1 db1\n"
                                 "  expr: web[12]\n"
                                 "  loop: N@pool or web1\n"
                                 "  pool: N@loop or web2\n"
                                 "grains:\n"
                                 "  roles: [web, Front]\n"
                                 "  os: Debian\n"
                                 "  flag: yes\n"
                                 "  nothing: ~\n"
                                 "  ports: {80: http, '443': https}\n"
                                 "  deep: {a: {b: [c, {d: e}]}}\n"
                                 "  url: http://x\n"
                                 "  ipv4: [10.0.0.5, 127.0.0.1]\n"
                                 "  ipv6: ['fe80::1']\n";

struct row {
    const char *target, *kind, *node;
    enum answer answer;
};

static const struct row rows[] = {
    {"*", NULL, "web1", ANSWER_YES},
    {"web?", NULL, "web1", ANSWER_YES},
    {"web?", NULL, "web10", ANSWER_NO},
    {"web[!2]", NULL, "web1", ANSWER_YES},
    {"web[0-9]", NULL, "webx", ANSWER_NO},
    {"web1 or web2", NULL, "web2", ANSWER_YES},
    {"web1 or web2", "glob", "web2", ANSWER_NO},
    {"* and not db*", NULL, "db1", ANSWER_NO},
    {"* not db*", NULL, "web1", ANSWER_YES},
    {"not web1 and db1", NULL, "db1", ANSWER_YES},
    {"not ( web1 or db1 )", NULL, "db1", ANSWER_NO},
    {"web1 or web2 and db1", NULL, "web1", ANSWER_YES},
    {"web1,web2", NULL, "web1", ANSWER_NO},
    {"web1,web2", "list", "web2", ANSWER_YES},
    {"web1, web2", "list", "web2", ANSWER_NO},
    {"web*", "list", "web2", ANSWER_NO},
    {"L@web1,db1", NULL, "db1", ANSWER_YES},
    {"E@web[0-9]+", NULL, "web1-x", ANSWER_YES}, /* not anchored at its end */
    {"E@eb", NULL, "web1", ANSWER_NO},
    {"E@^(?!db).*$", NULL, "web1", ANSWER_YES},
    {"web\\d+$", "pcre", "web10", ANSWER_YES},
    {"N@web", NULL, "web2", ANSWER_YES},
    {"N@nested", NULL, "web2", ANSWER_NO},
    {"not N@either", NULL, "db1", ANSWER_YES}, /* (not web1) or db1, as in Salt */
    {"not ( N@either )", NULL, "db1", ANSWER_NO},
    {"ids", "nodegroup", "db1", ANSWER_YES},
    {"expr", "nodegroup", "web2", ANSWER_YES},
    {"roles:web", "grain", "web1", ANSWER_YES},
    {"roles:front", "grain", "web1", ANSWER_YES}, /* case does not count */
    {"G@roles:db", NULL, "web1", ANSWER_NO},
    {"G@os:deb*", NULL, "web1", ANSWER_YES},
    {"P@os:DEB\\w+$", NULL, "web1", ANSWER_YES},
    {"G@flag:true", NULL, "web1", ANSWER_YES},
    {"G@nothing:none", NULL, "web1", ANSWER_YES},
    {"G@ports:443", NULL, "web1", ANSWER_YES},
    {"G@ports:80:http", NULL, "web1", ANSWER_YES},
    {"G@deep:a:b:c", NULL, "web1", ANSWER_YES},
    {"G@deep:a:b:d:e", NULL, "web1", ANSWER_YES},
    {"G@deep:*:b", NULL, "web1", ANSWER_YES},
    {"G@url:http://x", NULL, "web1", ANSWER_YES},
    {"G|@roles|web", NULL, "web1", ANSWER_YES},
    {"G@id:web1", NULL, "web1", ANSWER_YES},
    {"G@nowhere:x", NULL, "web1", ANSWER_UNKNOWN},
    {"db* and G@nowhere:x", NULL, "web1", ANSWER_NO},
    {"web* or G@nowhere:x", NULL, "web1", ANSWER_YES},
    {"not G@nowhere:x", NULL, "web1", ANSWER_UNKNOWN},
    {"S@10.0.0.5", NULL, "web1", ANSWER_YES},
    {"10.0.0.0/24", "ipcidr", "web1", ANSWER_YES},
    {"S@10.0.1.0/24", NULL, "web1", ANSWER_NO},
    {"S@fe80::/10", NULL, "web1", ANSWER_YES},
};

static const struct {
    const char *target, *kind, *want;
} refused[] = {
    {"web1 web2", NULL, "t:1:1: target 'web1 web2': no expression"},
    {"web1 and", NULL, "no expression"},
    {"or web1", NULL, "no expression"},
    {"not not web1", NULL, "no expression"},
    {"( web1", NULL, "no expression"},
    {"(web1 or web2)", NULL, "'(web1': a parenthesis is a word of its own"},
    {"web[^1]", NULL, "a '[...]' that is not read here"},
    {"I@a:b", NULL, "asks for the pillar while the pillar is being made"},
    {"a:b", "pillar", "asks for the pillar while the pillar is being made"},
    {"R@web1", NULL, "this matcher is not known here"},
    {"N@nowhere", NULL, "no node group of this name"},
    {"N@loop", NULL, "this node group contains itself"},
    {"web1", "golb", "match: golb is not known here (did you mean 'glob'?)"},
    {"10.0.0.1/24", "ipcidr", "neither an address nor a network"},
    {"roles", "grain", "'roles' is no plain question for a grain (wanted: GRAIN:PATTERN)"},
    {"E@(a", NULL, "a '(' without its ')'"},
    {"E@a++", NULL, "a possessive repetition, at its character 3"},
    {"E@(?<=a)b", NULL, "a group of this kind"},
    {"E@a\\h", NULL, "a backslash before this letter or digit"},
    {"E@a\\B", NULL, "a backslash before this letter or digit"},
    {"E@(a)\\1", NULL, "a backslash before this letter or digit"},
    {"E@[[:alpha:]]", NULL, "a set inside '[...]'"},
    {"E@a{,3}", NULL, "a '{' that repeats nothing"},
    {"E@^*", NULL, "a repetition where there is nothing to repeat"},
    {"E@*a", NULL, "a repetition where there is nothing to repeat"},
    {"P@os:[\\d-x]", NULL, "a range with a backslash"},
};

static struct matcher *read_target(struct arena *a, const struct value *world, const char *target,
                                   const char *kind, struct problems *problems)
{
    struct match_reader r = {.arena = a, .problems = problems, .nodegroups = map_get(world, "nodegroups")};
    return matcher_new(&r, target, kind, (struct place){.file = "t", .line = 1, .col = 1});
}

static const struct value *world_read(struct arena *a, struct problems *problems)
{
    const struct value *world;
    assert_true(yaml_read(a, "w", world_text, strlen(world_text), &world, problems));
    return world;
}

static void targets_match_as_in_salt(void **state)
{
    (void)state;
    auto_arena struct arena arena = {.head = NULL};
    auto_problems struct problems problems = {.n = 0};
    const struct value *world = world_read(&arena, &problems);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct matcher *m = read_target(&arena, world, rows[i].target, rows[i].kind, &problems);
        if (m == NULL)
            fail_msg("%s: %s", rows[i].target, said(&problems));
        struct match_node node = {.arena = &arena, .id = rows[i].node, .grains = map_get(world, "grains")};
        enum answer answer = matcher_asks(m, &node);
        if (answer != rows[i].answer)
            fail_msg("%s for %s: %d, wanted %d (%s)", rows[i].target, rows[i].node, answer, rows[i].answer,
                     node.why == NULL ? "" : node.why);
        assert_int_equal(answer == ANSWER_UNKNOWN, node.why != NULL && answer == ANSWER_UNKNOWN);
    }
}

static void what_is_no_plain_target_is_refused(void **state)
{
    (void)state;
    auto_arena struct arena arena = {.head = NULL};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        auto_problems struct problems problems = {.n = 0};
        const struct value *world = world_read(&arena, &problems);
        assert_null(read_target(&arena, world, refused[i].target, refused[i].kind, &problems));
        if (strstr(said(&problems), refused[i].want) == NULL)
            fail_msg("%s: %s", refused[i].target, said(&problems));
    }
}

static void a_costly_expression_is_not_decided(void **state)
{
    (void)state;
    auto_arena struct arena arena = {.head = NULL};
    const char *why;
    struct regex *re = regex_new(&arena, "(a|aa)+$", &why);
    assert_non_null(re);
    assert_int_equal(regex_match(re, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), -1);
    assert_int_equal(regex_match(re, "aaa"), 1);
    assert_int_equal(regex_match(re, "a\xc3\xa9"), -1);
}

static void globs_end_soon(void **state)
{
    (void)state;
    assert_false(
        glob_match("*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_true(glob_match("?", "\xc3\xa9"));
    assert_true(glob_match("[", "["));
    assert_true(glob_match("a\\*", "a\\b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(targets_match_as_in_salt, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_plain_target_is_refused, setup, teardown),
        cmocka_unit_test(a_costly_expression_is_not_decided),
        cmocka_unit_test(globs_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
