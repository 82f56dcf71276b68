/* SPDX-License-Identifier: MIT */
/* The command line's own grammar: options around words, values, mistakes and what they are told; every verb's
 * help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cli.h"

#define ARGS_MAX 12

static const struct option_def options[] = {
    {.name = "rev", .arg = "REV", .help = "h"},
    {.name = "pillar", .arg = "JSON", .help = "h", .many = true},
    {.name = "yes", .help = "h"},
    {.name = "release", .arg = "N", .help = "h"},
    OPTION_END,
};
static const struct command run_like = {.name = "run",
                                        .summary = "s",
                                        .usage = "--rev REV [ENV]",
                                        .example = "e",
                                        .options = options,
                                        .max_words = 1};
static const struct command exec_like = {.name = "exec",
                                         .summary = "s",
                                         .usage = "ENV -- CMD",
                                         .example = "e",
                                         .options = options,
                                         .min_words = 1,
                                         .max_words = 1,
                                         .rest = true};

static bool parse(struct cli *cli, const struct command *command, const char *const *args, struct err *err)
{
    static char words[ARGS_MAX][64];
    char *argv[ARGS_MAX];
    int n = 0;
    for (; args[n]; n++) {
        snprintf(words[n], sizeof words[n], "%s", args[n]);
        argv[n] = words[n];
    }
    *err = (struct err){0};
    return cli_parse(cli, command, n, argv, err);
}

static void options_stand_before_and_after_the_environment(void **state)
{
    (void)state;
    static const char *const orders[][ARGS_MAX] = {
        {"--rev", "f5d9859", "prod", "--yes", NULL},
        {"prod", "--rev", "f5d9859", "--yes", NULL},
        {"--yes", "prod", "--rev=f5d9859", NULL},
        {"--rev=f5d9859", "--yes", "prod", NULL},
    };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct cli cli;
        struct err err;
        assert_true(parse(&cli, &run_like, orders[i], &err));
        assert_string_equal(cli_opt(&cli, "rev"), "f5d9859");
        assert_true(cli_flag(&cli, "yes"));
        assert_false(cli_flag(&cli, "json"));
        assert_int_equal(cli.n_words, 1);
        assert_string_equal(cli.words[0], "prod");
        arena_fini(&cli.arena);
    }
}

static void common_options_are_everywhere(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    static const char *const args[] = {"--root", "/r", "prod", "--state=/s", "--json", NULL};
    assert_true(parse(&cli, &run_like, args, &err));
    assert_string_equal(cli_opt(&cli, "root"), "/r");
    assert_string_equal(cli_opt(&cli, "state"), "/s");
    assert_true(cli_flag(&cli, "json"));
}

static void repeated_options_keep_their_order(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    size_t n;
    static const char *const args[] = {"--pillar", "{a: 1}", "--pillar={a: 2}", "prod", NULL};
    assert_true(parse(&cli, &run_like, args, &err));
    const char *const *values = cli_opts(&cli, "pillar", &n);
    assert_int_equal(n, 2);
    assert_string_equal(values[0], "{a: 1}");
    assert_string_equal(values[1], "{a: 2}");
    arena_fini(&cli.arena);
}

static void an_empty_value_is_a_value(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    static const char *const args[] = {"--rev=", "prod", NULL};
    assert_true(parse(&cli, &run_like, args, &err));
    assert_string_equal(cli_opt(&cli, "rev"), "");
}

static void what_follows_two_dashes_is_kept_as_it_is(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    static const char *const args[] = {"prod", "--", "ls", "--rev", "-l", "--", "--help", NULL};
    assert_true(parse(&cli, &exec_like, args, &err));
    assert_int_equal(cli.n_rest, 5);
    assert_string_equal(cli.rest[1], "--rev");
    assert_string_equal(cli.rest[3], "--");
    assert_false(cli.help);
    assert_null(cli_opt(&cli, "rev"));
}

static void mistakes_are_told_and_are_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const struct command *command;
        const char *args[ARGS_MAX];
        const char *says[3];
    } rows[] = {
        {&run_like, {"--rve", "x", "prod"}, {"--rve", "--rev"}},
        {&run_like, {"--rve=x", "prod"}, {"'--rve'", "'--rev'"}},
        {&run_like, {"--stat=x"}, {"--stat", "--state"}},
        {&run_like, {"--zzzzzzzz"}, {"--zzzzzzzz", "release run --help"}},
        {&run_like, {"-x", "prod"}, {"-x"}},
        {&run_like, {"prod", "--rev"}, {"--rev", "REV"}},
        {&run_like, {"--yes=1"}, {"--yes", "no value"}},
        {&run_like, {"prod", "test"}, {"test", "[ENV]"}},
        {&run_like, {"--rev", "a", "--rev", "b"}, {"--rev", "'a'", "'b'"}},
        {&run_like, {"prod", "--", "ls"}, {"--"}},
        {&exec_like, {"--", "ls"}, {"ENV -- CMD"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cli cli;
        struct err err;
        assert_false(parse(&cli, rows[i].command, rows[i].args, &err));
        assert_int_equal(err_code_exit(err.code), EXIT_USAGE);
        for (size_t k = 0; k < 3 && rows[i].says[k]; k++)
            if (!strstr(err.text, rows[i].says[k]))
                fail_msg("'%s' is not in '%s'", rows[i].says[k], err.text);
    }
}

static void the_same_value_twice_is_no_mistake(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    static const char *const args[] = {"--rev=a", "--rev", "a", "--yes", "--yes", NULL};
    assert_true(parse(&cli, &run_like, args, &err));
}

static void help_wins_over_what_is_missing(void **state)
{
    (void)state;
    struct cli cli;
    struct err err;
    static const char *const args[] = {"--help", NULL}, *const brief[] = {"-h", NULL};
    assert_true(parse(&cli, &exec_like, args, &err));
    assert_true(cli.help);
    assert_true(parse(&cli, &exec_like, brief, &err));
    assert_true(cli.help);
}

static void numbers_are_whole_and_small(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        long long value;
    } rows[] = {{"0", true, 0},
                {"41", true, 41},
                {"", false, 0},
                {"-1", false, 0},
                {"4x", false, 0},
                {"0x4", false, 0},
                {" 4", false, 0},
                {"999999999999999999", true, 999999999999999999},
                {"9999999999999999999", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long long value = -7;
        assert_int_equal(parse_number(rows[i].text, &value), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(value, rows[i].value);
    }
    struct cli cli;
    struct err err;
    long long n;
    static const char *const args[] = {"--release", "four", NULL};
    assert_true(parse(&cli, &run_like, args, &err));
    assert_false(cli_number(&cli, "release", 0, &n, &err));
    assert_non_null(strstr(err.text, "four"));
}

static void an_operator_is_a_name_with_its_door(void **state)
{
    (void)state;
    static const char *const good[] = {"ann", "slack:ann", "api:ci", "page:bob@example.org", "proxy:a+b-c.d"};
    static const char *const bad[] = {
        "",    ":",         "slack:", ":ann",          "Slack:ann", "slack:-x",
        "a b", "slack:a:b", "x\ny",   "slack:\x1b[0m", "page:<b>",  "averyveryverylongdoor:ann"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!operator_valid(good[i]))
            fail_msg("'%s' is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (operator_valid(bad[i]))
            fail_msg("'%s' is taken", bad[i]);
}

static void every_verb_can_explain_itself(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct command *const *c = command_table; *c; c++, n++) {
        auto_buf struct buf help = BUF_INIT(65536);
        char call[64];
        help_command(&help, *c);
        snprintf(call, sizeof call, "release %s", (*c)->name);
        assert_non_null(strstr(buf_str(&help), call));
        assert_non_null((*c)->example);
        assert_non_null(strstr((*c)->example, call));
        for (const struct option_def *o = (*c)->options; o && o->name; o++) {
            assert_non_null(strstr(buf_str(&help), o->name));
            assert_true(o->help && o->help[0]);
        }
        assert_ptr_equal(command_find((*c)->name), *c);
    }
    assert_true(n >= 16);
    auto_buf struct buf all = BUF_INIT(65536);
    help_all(&all);
    for (const struct command *const *c = command_table; *c; c++)
        assert_non_null(strstr(buf_str(&all), (*c)->summary));
    assert_null(command_find("rnu"));
}

static void tables_line_up_and_obey_nothing(void **state)
{
    (void)state;
    auto_arena struct arena arena = {0};
    auto_buf struct buf out = BUF_INIT(4096);
    struct table t;
    table_init(&t, &arena, 3);
    TABLE_ROW(&t, "NODE", "STATE", "");
    TABLE_ROW(&t, "app1", "\x1b[31mUP", "x");
    TABLE_ROW(&t, "größer", NULL, "y");
    table_render(&t, &out);
    assert_string_equal(buf_str(&out), "NODE    STATE\n"
                                       "app1    \\x1b[31mUP  x\n"
                                       "größer              y\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_and_after_the_environment),
        cmocka_unit_test(common_options_are_everywhere),
        cmocka_unit_test(repeated_options_keep_their_order),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(what_follows_two_dashes_is_kept_as_it_is),
        cmocka_unit_test(mistakes_are_told_and_are_usage_errors),
        cmocka_unit_test(the_same_value_twice_is_no_mistake),
        cmocka_unit_test(help_wins_over_what_is_missing),
        cmocka_unit_test(numbers_are_whole_and_small),
        cmocka_unit_test(an_operator_is_a_name_with_its_door),
        cmocka_unit_test(every_verb_can_explain_itself),
        cmocka_unit_test(tables_line_up_and_obey_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
