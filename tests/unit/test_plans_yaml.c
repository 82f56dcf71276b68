/* SPDX-License-Identifier: MIT */
/* Reading YAML and pillars: Salt's typing, merging, includes, and what is refused, with its place. */
#include "plans_rig.h"

static void scalars_are_typed_as_salt_types_them(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"0644", "644"},
        {"0123456", "123456"},
        {"08", "\"08\""},
        {"0", "0"},
        {"00", "0"},
        {"12:30", "750"},
        {"1:2:3", "3723"},
        {"12:99", "\"12:99\""},
        {"1_000", "1000"},
        {"1.10", "1.1"},
        {"1.0", "1.0"},
        {"-3", "-3"},
        {"0x1F", "31"},
        {"0b11", "3"},
        {"0o17", "\"0o17\""},
        {"12e4567", "\"12e4567\""},
        {"1e5", "\"1e5\""},
        {"1.0e+5", "100000.0"},
        {"2026-11-20", "\"2026-11-20\""},
        {"yes", "true"},
        {"Off", "false"},
        {"y", "\"y\""},
        {"~", "null"},
        {"", "null"},
        {"\"yes\"", "\"yes\""},
        {"'0644'", "\"0644\""},
        {"!!str 0644", "\"0644\""},
        {"f5d9859", "\"f5d9859\""},
        {"99999999999999999999", "99999999999999999999"},
        {"-0099999999999999999999", "\"-0099999999999999999999\""},
        {"00123456789012345677777777777", "\"00123456789012345677777777777\""},
        {"0_77777777777777777777777777777", "77777777777777777777777777777"},
        {"-0644", "-420"},
        {"+0644", "420"},
        {"0_010", "8"},
        {"-0_", "0"},
        {"-.5", "\"-.5\""},
        {".5", "0.5"},
        {"1:30.5", "90.5"},
        {"1_0:30", "630"},
        {"0b", "\"0b\""},
        {"1.5e5", "\"1.5e5\""},
        {"!!int 0644", "644"},
        {"!!float 1.5", "1.5"},
        {"{yes: 1, 0644: 2, 1.10: 3, ~: 4, \"no\": 5}",
         "{\"true\": 1, \"644\": 2, \"1.1\": 3, \"null\": 4, \"no\": 5}"},
        {"[a, 1]", "[\"a\", 1]"},
        {"\"a\\\"b\\n\"", "\"a\\\"b\\n\""},
        {"1:0:5", "3605"},
        {"0:30", "\"0:30\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_problems struct problems problems = {.n = 0};
        auto_arena struct arena arena = {.head = NULL};
        auto_buf struct buf out = BUF_INIT(10000);
        const struct value *v;
        char text[200];
        (void)snprintf(text, sizeof(text), "k: %s\n", rows[i].yaml);
        assert_true(yaml_read(&arena, "t", text, strlen(text), &v, &problems));
        value_json(&out, map_get(v, "k"));
        if (strcmp(buf_str(&out), rows[i].json) != 0)
            fail_msg("%s: got %s, wanted %s", rows[i].yaml, buf_str(&out), rows[i].json);
    }
}

static void bad_yaml_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n", "t:3:1: duplicate key 'a' (first on line 1)\n"},
        {"a: {x: 1, x: 2, x: 3}\n", "t:1:11: duplicate key 'x' (first on line 1)\n"
                                    "t:1:17: duplicate key 'x' (first on line 1)\n"},
        {"a: &a [*a]\n", "t:1:8: an alias that contains itself\n"},
        {"a: *b\n", "t:1:4: unknown alias '*b' (a '*' in a value needs quotes)\n"},
        {"tgt: *\n",
         "t:1:7: not YAML: while scanning an alias: did not find expected alphabetic or numeric character\n"},
        {"a: \"x\\0y\"\n", "t:1:4: a NUL byte in a value\n"},
        {"a: !!python/object:os.system x\n",
         "t:1:4: tag 'tag:yaml.org,2002:python/object:os.system' is not supported\n"},
        {"a: 1\n---\nb: 2\n", "t:2:1: a second document in one file\n"},
        {"- a\n", "t:1:1: the file must hold a map of keys\n"},
        {"[a]: b\n", "t:1:1: a key must be text, not a map or list\n"},
        {"a: !!int abc\n", "t:1:4: 'abc' is not what its tag '!!int' says\n"},
        {"a: 0x_\n",
         "t:1:4: 0x_: an integer that Salt cannot read, or that is beyond 64 bits and not decimal\n"},
        {"a: =\n",
         "t:1:4: =: a sign that has a meaning of its own in YAML and none here (quotes make it text)\n"},
        {"a: [.inf]\n", "t:1:5: .inf: a number without end or value, which JSON has no word for\n"},
        {"a: &x 1\nb: &x 2\n", "t:2:4: this anchor's name is taken by another one above\n"},
        {"yes: 1\ntrue: 2\n", "t:2:1: duplicate key 'true' (first on line 1)\n"},
        {"1.10: 1\n1.1: 2\n", "t:2:1: duplicate key '1.1' (first on line 1)\n"},
        {"1: 1\n1.0: 2\n", "t:2:1: key '1.0' and key '1' on line 1 differ by their type alone"},
        {"yes: 1\n1: 2\n", "t:2:1: key '1' and key 'true' on line 1 differ by their type alone"},
        {"'1': 1\n1: 2\n", "t:2:1: key '1' and key '1' on line 1 differ by their type alone"},
        {"x: &x {'yes': 1}\ny: {yes: 2, <<: *x}\n", "t:2:5: key 'yes' stands in a map under '<<', too"},
        {"x: &x {off: 1}\ny: {'off': 2, <<: *x}\n", "t:2:5: key 'off' stands in a map under '<<', too"},
        {"x: &x {0644: 1}\ny: {0644: 2, <<: *x}\n", "t:2:5: key '0644' stands in a map under '<<', too"},
        {"x: &x {a: 1}\ny: &y {a: 2}\nz: {<<: [*x, *y]}\n", "t:1:8: key 'a' is in two maps under one '<<'\n"},
        {"z: {<<: 3}\n", "t:1:9: '<<' wants a map or a list of maps\n"},
        {"a: [1\nb: 2\n",
         "t:2:2: not YAML: while parsing a flow sequence: did not find expected ',' or ']'\n"},
        {"a:\tb\n\tc: d\n",
         "t:2:1: not YAML: while scanning a plain scalar: found a tab character that violates indentation\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_problems struct problems problems = {.n = 0};
        auto_arena struct arena arena = {.head = NULL};
        const struct value *v;
        assert_false(yaml_read(&arena, "t", rows[i].yaml, strlen(rows[i].yaml), &v, &problems));
        if (strncmp(said(&problems), rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s: %s", rows[i].yaml, said(&problems));
    }
}

static void merge_keys_let_explicit_keys_win(void **state)
{
    (void)state;
    static const char text[] = "base: &b {x: 1, y: {z: 2}}\n"
                               "more: &m {w: 9}\n"
                               "one: {x: 5, <<: *b}\n"
                               "two: {<<: [*b, *m], y: 3}\n";
    auto_problems struct problems problems = {.n = 0};
    auto_arena struct arena arena = {.head = NULL};
    auto_buf struct buf out = BUF_INIT(10000);
    const struct value *v;
    assert_true(yaml_read(&arena, "t", text, strlen(text), &v, &problems));
    value_json(&out, map_get(v, "one"));
    value_json(&out, map_get(v, "two"));
    assert_string_equal(buf_str(&out), "{\"y\": {\"z\": 2}, \"x\": 5}{\"w\": 9, \"x\": 1, \"y\": 3}");
}

static char *repeat(const char *head, const char *unit, size_t n, const char *tail)
{
    size_t len = strlen(unit);
    char *text = malloc(strlen(head) + n * len + strlen(tail) + 1);
    assert_non_null(text);
    char *end = stpcpy(text, head);
    for (size_t i = 0; i < n; i++)
        end = stpcpy(end, unit);
    (void)stpcpy(end, tail);
    return text;
}

static char *alias_bomb(void)
{
    static char text[2000];
    char *end = text + sprintf(text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        end += sprintf(end, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            end += sprintf(end, "%s*a%d", j == 0 ? "" : ",", i - 1);
        end += sprintf(end, "]\n");
    }
    return strdup(text);
}

static void bombs_are_refused_quickly(void **state)
{
    (void)state;
    const struct {
        const char *name;
        char *text;
        const char *want;
    } rows[] = {
        {"50,000 [", repeat("a: ", "[", 50000, ""), "t:1:67: nested deeper than 64 levels\n"},
        {"50,000 [ on lines", repeat("a: ", "[\n", 50000, ""), "t:64:1: nested deeper than 64 levels\n"},
        {"50,000 {", repeat("a: ", "{a: ", 50000, ""), "nested deeper than 64 levels\n"},
        {"50,000 - ", repeat("a:\n  ", "- ", 50000, "x\n"), "nested deeper than 64 levels\n"},
        {"50,000 ? ", repeat("", "? ", 50000, "x\n"), "nested deeper than 64 levels\n"},
        {"aliases", alias_bomb(), "more than 100000 values (aliases counted where they stand)\n"},
        {"merge keys", repeat("a: &a {x: 1}\nb: {<<: [", "*a,", 40000, "]}\n"), "two maps under one"},
        {"anchors", repeat("a: [", "&a x, ", 100000, "]\n"), "taken by another one above\n"},
        {"values", repeat("a: [", "x,", 120000, "]\n"), "more than 100000 values"},
        {"directives", repeat("", "%TAG !a! tag:a\n", 40000, "---\na: 1\n"), "YAML directives"},
        {"big", repeat("a: ", "x", 1100000, "\n"), "larger than 1 MiB\n"},
        {"half of a string", repeat("a: \"", "x\n", 400000, ""), "unexpected end of stream"},
        {"one long key", repeat("", "k", 900000, ": 1\n"), "mapping values are not allowed"},
        {"many keys", repeat("a: {", "b, ", 200000, "}\n"), "duplicate key"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_problems struct problems problems = {.n = 0};
        auto_arena struct arena arena = {.head = NULL};
        const struct value *v;
        double from = cpu_ms();
        assert_false(yaml_read(&arena, "t", rows[i].text, strlen(rows[i].text), &v, &problems));
        double ms = cpu_ms() - from;
        print_message("%-20s %6.1f ms CPU\n", rows[i].name, ms);
        if (strstr(said(&problems), rows[i].want) == NULL)
            fail_msg("%s: %s", rows[i].name, said(&problems));
        assert_true(ms < 3000); /* 100 ms on an idle machine; quadratic would be a minute */
        free(rows[i].text);
    }
}

static char *load_json(const char *env, const char *const *overrides, size_t n)
{
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    if (!pillar_load(dir, env, overrides, n, &p, &problems)) {
        char *text = strdup(said(&problems));
        return text;
    }
    char *json = pillar_json(p, NULL);
    pillar_free(p);
    return json;
}

#define assert_pillar(env, want)                                                                             \
    do {                                                                                                     \
        char *got = load_json(env, NULL, 0);                                                                 \
        assert_string_equal(got, want);                                                                      \
        free(got);                                                                                           \
    } while (0)

static void files_are_found_by_environment(void **state)
{
    (void)state;
    put_pillar("prod.sls", "a: 1\nrelease: {}\n");
    put_pillar("test.yml", "a: 2\nrelease: {}\n");
    put_pillar("stage/init.sls", "a: 3\nrelease: {}\n");
    put_pillar("json.json", "{\"local\": {\"a\": 4, \"s\": \"\\ud83d\\ude00\", \"release\": {}}}");
    put_pillar("common.sls", "a: 5\n");
    assert_pillar("prod", "{\"a\": 1, \"release\": {}}");
    assert_pillar("test", "{\"a\": 2, \"release\": {}}");
    assert_pillar("stage", "{\"a\": 3, \"release\": {}}");
    assert_pillar("json", "{\"a\": 4, \"s\": \"\xf0\x9f\x98\x80\", \"release\": {}}");
    assert_pillar(
        "prd",
        "unknown environment 'prd' (did you mean 'prod'?): known in pillar/ are json, prod, stage, test\n");
    assert_pillar("../prod", "unknown environment '../prod' (did you mean 'prod'?): known in pillar/ are "
                             "json, prod, stage, test\n");
}

static void includes_come_under_the_file_itself(void **state)
{
    (void)state;
    put_pillar(
        "prod.sls",
        "include:\n  - base.common\n  - extra: {key: 'deep:er', defaults: {x: 1}}\nm: {b: own}\nlist: [3]\n");
    put_pillar("base/common.sls", "include: [.more]\nm: {a: common, b: common}\nlist: [1, 2]\n");
    put_pillar("base/more.sls", "m: {c: more, a: more}\n");
    put_pillar("extra.yml", "e: 1\n");
    assert_pillar("prod", "{\"m\": {\"c\": \"more\", \"a\": \"common\", \"b\": \"own\"}, \"list\": [3], "
                          "\"deep\": {\"er\": {\"e\": 1}}}");
    put_pillar("base/more.sls", "include: [prod]\n");
    assert_pillar(
        "prod",
        "pillar/base/more.sls:1:11: pillar/prod.sls includes itself (through pillar/base/more.sls)\n");
    put_pillar("base/more.sls", "include: [nowhere]\n");
    assert_pillar("prod", "pillar/base/more.sls:1:11: no pillar file for 'nowhere' under pillar/\n");
}

static void overrides_merge_deep_and_in_order(void **state)
{
    (void)state;
    put_pillar("prod.sls", "plone: {branch: main, dir: /srv}\n");
    const char *overrides[] = {"{\"plone\": {\"branch\": \"f5d9859\"}}", "plone: {branch: 1e5}"};
    char *json = load_json("prod", overrides, 2);
    assert_string_equal(json, "{\"plone\": {\"branch\": \"1e5\", \"dir\": \"/srv\"}}");
    free(json);
    const char *bad[] = {"{\"plone\": "};
    json = load_json("prod", bad, 1);
    assert_non_null(strstr(json, "not YAML: "));
    assert_memory_equal(json, "--pillar:2:1: ", 14); /* the end of the text */
    free(json);
}

static void top_file_chooses_by_section_and_target(void **state)
{
    (void)state;
    put_pillar("top.sls",
               "base:\n  '*': [common]\n  'app*':\n    - app\n  'db1,db2':\n    - match: list\n    - db\n"
               "other:\n  '*':\n    - common\n    - nothere\n    - ignore_missing: True\n"
               "bad:\n  'roles:web':\n    - match: gran\n    - common\n");
    put_pillar("common.sls", "role: none\nshare: {a: 1}\n");
    put_pillar("app.sls", "role: app\nshare: {b: 2}\n");
    put_pillar("db.sls", "role: db\n");
    assert_pillar("base", "{\"role\": \"none\", \"share\": {\"a\": 1}}"); /* what all have */
    assert_pillar("other", "{\"role\": \"none\", \"share\": {\"a\": 1}}");
    assert_pillar("bad",
                  "pillar/top.sls:14:3: target 'roles:web': match: gran is not known here (did you mean "
                  "'grain'?); let Salt itself render the pillar (release.yml: 'pillar: {renderer: salt}')\n");
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    assert_true(pillar_load(dir, "base", NULL, 0, &p, &problems));
    assert_string_equal(map_get(pillar_tree_of(p, "app1"), "role")->text, "app");
    assert_string_equal(map_get(pillar_tree_of(p, "db2"), "role")->text, "db");
    assert_string_equal(map_get(pillar_tree_of(p, "x"), "role")->text, "none");
    assert_ptr_equal(pillar_tree_of(p, "app1"), pillar_tree_of(p, "app7"));
    pillar_free(p);
}

static void first_lines_name_what_can_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"#!yaml\na: '{{x}}'\n", "{\"a\": \"{{x}}\"}"},
        {"#!jinja|yaml\n# }} and %}\na: 1 # note\nb: 'x # y'\n", "{\"a\": 1, \"b\": \"x # y\"}"},
        {"a: 1\n# {% if False %}\nb: 2\n# {% endif %}\n",
         "pillar/prod.sls:2:3: '{%' is Jinja, in comments and quotes too, and Jinja is not read here; let "
         "Salt itself "
         "render the pillar (release.yml: 'pillar: {renderer: salt}'), or begin the file with '#!yaml' when "
         "these "
         "braces are meant as they stand\n"},
        {"a: |\n  one # {{ x }}\n", "pillar/prod.sls:2:9: '{{' is Jinja"},
        {"a: 'b # {# c #}'\n", "pillar/prod.sls:1:9: '{#' is Jinja"},
        {"#!jinja|yaml\n#jinja2: {\"variable_start_string\": \"<<\"}\na: 1\n",
         "pillar/prod.sls:1:1: '#jinja2:' sets how Jinja reads this file"},
        {"#!jinja|yaml\na: 1\nb: {{ x }}\n", "pillar/prod.sls:3:4: '{{' is Jinja"},
        {"#!/usr/bin/env x\na: 1\n", "{\"a\": 1}"},
        {"a: 1\n{% if x %}\nb: 2\n{% endif %}\n", "pillar/prod.sls:2:1: '{%' is Jinja"},
        {"#!py\ndef run(): pass\n",
         "pillar/prod.sls:1:1: renderer 'py' is not supported here (wanted: yaml, jinja|yaml, yaml|gpg"},
        {"#!yaml|gpg\na: 1\n", "{\"a\": 1}"},
        {"#!yaml|gpg\na:\n  - |\n    -----BEGIN PGP MESSAGE-----\n    x\n    -----END PGP MESSAGE-----\n",
         "pillar/prod.sls:3:5: encrypted with PGP, which is not decrypted here; let Salt itself"},
        {"#!gpg|yaml\na: 1\n", "pillar/prod.sls:1:1: renderer 'gpg' is not supported here"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_pillar("prod.sls", rows[i].text);
        char *got = load_json("prod", NULL, 0);
        if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s: %s", rows[i].text, got);
        free(got);
    }
}

static void files_that_others_may_write_are_refused(void **state)
{
    (void)state;
    static const unsigned bad[] = {0664, 0646, 0666, 0777};
    put_pillar("prod.sls", "a: 1\n");
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/pillar/prod.sls", dir);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        char *got = load_json("prod", NULL, 0);
        assert_non_null(strstr(got, "pillar/prod.sls: mode 0"));
        assert_non_null(strstr(got, "'chmod go-w pillar/prod.sls' repairs it"));
        free(got);
    }
    assert_int_equal(chmod(path, 0640), 0);
    (void)snprintf(path, sizeof(path), "%s/pillar", dir);
    assert_int_equal(chmod(path, 0775), 0);
    char *refused = load_json("prod", NULL, 0);
    assert_non_null(strstr(refused, "pillar/: mode 0775 lets others replace its files"));
    free(refused);
    assert_int_equal(chmod(path, 0755), 0);
    assert_pillar("prod", "{\"a\": 1}");
}

static void text_shows_where_each_value_came_from(void **state)
{
    (void)state;
    put_pillar("prod.sls", "include: [common]\na: {b: [x, {c: 'yes'}], e: {}}\n");
    put_pillar("common.sls", "\nfrom: common\n");
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    assert_true(pillar_load(dir, "prod", NULL, 0, &p, &problems));
    char *text = pillar_text(p, NULL);
    assert_non_null(strstr(text, "from: common                       # "));
    assert_non_null(strstr(text, "/pillar/common.sls:2\na:\n  b:\n    - x  "));
    assert_non_null(strstr(text, "    - c: \"yes\"  "));
    assert_non_null(strstr(text, "  e: {}\n"));
    free(text);
    char *json = pillar_json(p, "a:b:1:c");
    assert_string_equal(json, "\"yes\"");
    free(json);
    pillar_free(p);
}

static void what_a_node_gets_is_what_salt_gives_it(void **state)
{
    (void)state;
    static const struct {
        const char *name, *top, *a, *b, *c, *want;
    } rows[] = {
        {"a file under two targets counts once, at its first place", "'*': [a, b]\n  'web*': [c, a]",
         "x: a\ny: a\n", "x: b\n", "y: c\n", "{\"x\": \"b\", \"y\": \"c\"}"},
        {"included a second time its own values alone count", "'*': [a, b]", "include: [c]\nx: a\n",
         "include: [c]\ny: b\n", "z: c\n", "{\"z\": \"c\", \"x\": \"a\", \"y\": \"b\"}"},
        {"a map that an alias shares changes in both places", "'*': [a, b]", "p: &x {k: {v: 1}}\nq: *x\n",
         "q: {k: {v: 2}}\n", "", "{\"p\": {\"k\": {\"v\": 2}}, \"q\": {\"k\": {\"v\": 2}}}"},
        {"the same file in two places is two maps, alias or not", "'*': [a, b, c]",
         "include: [z, {z: {key: k}}]\nx: 1\n", "q: &x {v: 1}\nr: *x\n", "g: {w: 2}\n",
         "{\"g\": {\"u\": 1, \"w\": 2}, \"k\": {\"g\": {\"u\": 1}}, \"x\": 1, \"q\": {\"v\": 1}, \"r\": "
         "{\"v\": 1}}"},
        {"one that << shares, too", "'*': [a, b]", "p: &x {k: {v: 1}}\nq: {<<: *x}\n", "q: {k: {v: 2}}\n", "",
         "{\"p\": {\"k\": {\"v\": 2}}, \"q\": {\"k\": {\"v\": 2}}}"},
        {"order", "'*': [{order: 2}, a]\n  'web1': [{order: 1}, b]", "x: a\n", "x: b\ny: b\n", "",
         "{\"x\": \"a\", \"y\": \"b\"}"},
        {"a compound without match:", "'web1 or web2': [a]\n  '* and not web*': [b]", "x: a\n", "x: b\n", "",
         "{\"x\": \"a\"}"},
        {"a comma without match: lists nobody", "'web1,web2': [a]\n  '*': [b]", "x: a\n", "y: b\n", "",
         "{\"y\": \"b\"}"},
        {"keys are typed", "'*': [a, b]", "yes: 1\n0644: 2\n", "true: 3\n644: 4\n", "",
         "{\"true\": 3, \"644\": 4}"},
        {"keys that differ by type", "'*': [a, b]", "1: 1\n", "'1': 3\n", "",
         "pillar/b.sls:1:1: key '1': the same key by its text or its number, but not by its type"},
        {"missing, though it may be", "'*': [{ignore_missing: yes}, a, nowhere]", "x: a\n", "", "",
         "{\"x\": \"a\"}"},
        {"not known: a grain", "'G@roles:web': [a]", "x: a\n", "", "",
         "pillar/top.sls:2:3: whether target 'G@roles:web' is for node 'web1' is not known: its grain "
         "'roles' is not "
         "written down (wanted: its grains in "},
        {"grains decide where the id does not", "'db* and G@roles:web': [a]\n  '*': [b]", "x: a\n", "y: b\n",
         "", "{\"y\": \"b\"}"},
        {"an unknown word in the list", "'*': [{ignore_mising: yes}, a]", "x: a\n", "", "",
         "pillar/top.sls:2:10: 'ignore_mising' is not read here (did you mean 'ignore_missing'?)"},
        {"a number among the files", "'*': [12]", "", "", "",
         "pillar/top.sls:2:9: target '*': '12' is no plain name"},
        {"a plain file of the same name and a near one", "'*': [d.x]", "x: a\ny: a\n", "", "",
         "{\"x\": \"near\", \"y\": \"a\"}"},
    };
    put_pillar("z.sls", "g: {u: 1}\n");
    put_pillar("d/x.sls", "include: [.a]\n");
    put_pillar("d/a.sls", "x: near\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_problems struct problems problems = {.n = 0};
        struct pillar *p = NULL;
        char top[500];
        (void)snprintf(top, sizeof(top), "prod:\n  %s\n", rows[i].top);
        put_pillar("top.sls", top);
        put_pillar("a.sls", rows[i].a);
        put_pillar("b.sls", rows[i].b);
        put_pillar("c.sls", rows[i].c);
        const struct pillar_request req = {.root = dir, .env = "prod", .node = "web1"};
        char *got = pillar_load_as(&req, &p, &problems) ? pillar_json(p, NULL) : strdup(said(&problems));
        if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s: %s", rows[i].name, got);
        free(got);
        pillar_free(p);
    }
}

static void beside_a_top_file_only_what_salt_reads_counts(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  '*': [a]\n");
    put_pillar("a.yml", "x: 1\n");
    assert_pillar(
        "prod",
        "pillar/top.sls:2:9: 'a' is pillar/a.yml, which Salt does not read beside a top.sls (wanted: a "
        "name that ends in .sls)\n");
    put_pillar("a/init.sls", "include: [.b]\nx: 2\n");
    put_pillar("a/b.sls", "y: 3\n");
    assert_pillar("prod", "{\"y\": 3, \"x\": 2}");
    put_pillar("top.sls", "include: [more]\nprod:\n  '*': [a]\n");
    put_pillar("more.sls", "prod:\n  '*': [c]\nother: {'*': [a]}\n");
    put_pillar("c.sls", "z: 4\n");
    assert_pillar("prod", "{\"z\": 4}"); /* the same target again replaces it */
    put_pillar("top.sls", "include: [nowhere]\nprod:\n  '*': [a]\n");
    assert_pillar("prod", "pillar/top.sls:1:11: include: no top file 'nowhere' under pillar/\n");
}

static void one_file_is_read_on_its_own(void **state)
{
    (void)state;
    put_pillar("a/x.sls", "include: [b]\nx: 1\n");
    put_pillar("b.sls", "y: 2\n");
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/pillar/a/x.sls", dir);
    assert_true(pillar_load_file(path, NULL, &p, &problems));
    char *json = pillar_json(p, NULL);
    assert_string_equal(json, "{\"include\": [\"b\"], \"x\": 1}");
    free(json);
    pillar_free(p);
    assert_true(pillar_load_file(path, dir, &p, &problems));
    json = pillar_json(p, NULL);
    assert_string_equal(json, "{\"y\": 2, \"x\": 1}");
    free(json);
    pillar_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_are_typed_as_salt_types_them, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_yaml_is_refused_with_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(merge_keys_let_explicit_keys_win, setup, teardown),
        cmocka_unit_test_setup_teardown(bombs_are_refused_quickly, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_found_by_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(includes_come_under_the_file_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(overrides_merge_deep_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(top_file_chooses_by_section_and_target, setup, teardown),
        cmocka_unit_test_setup_teardown(first_lines_name_what_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_others_may_write_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_node_gets_is_what_salt_gives_it, setup, teardown),
        cmocka_unit_test_setup_teardown(beside_a_top_file_only_what_salt_reads_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(one_file_is_read_on_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(text_shows_where_each_value_came_from, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
