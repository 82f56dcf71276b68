/* SPDX-License-Identifier: MIT */
/* From argv to a struct cli. Options may stand before or after the words; `--opt=value` and `--opt value` are
 * the same; `--` ends them. Names are never abbreviated: an abbreviation in a script breaks when an option is
 * added. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct option_def common_options[] = {
    {.name = "root", .arg = "DIR", .help = "where pillar/ and plans/ are (default: ., else /etc/release)"},
    {.name = "state",
     .arg = "FILE",
     .help = "the journal (default: $RELEASE_STATE, else the user's state directory)"},
    {.name = "operator",
     .arg = "NAME",
     .help = "for whom: slack:ann, api:ci (default: the login); recorded as who gave the order"},
    {.name = "json", .help = "one JSON object per line, for programs"},
    {.name = "help", .help = "this text"},
    OPTION_END,
};

static const struct option_def *option_in(const struct option_def *defs, const char *name, size_t n)
{
    for (; defs && defs->name; defs++)
        if (strlen(defs->name) == n && memcmp(defs->name, name, n) == 0)
            return defs;
    return NULL;
}

const struct option_def *common_option(const char *word)
{
    return str_starts(word, "--") ? option_in(common_options, word + 2, strcspn(word + 2, "=")) : NULL;
}

static bool unknown_option(const struct command *command, const char *name, size_t n, struct err *err)
{
    const char *names[2 * CLI_OPTIONS_MAX];
    size_t n_names = 0;
    const struct option_def *tables[] = {command->options, common_options};
    for (size_t i = 0; i < 2; i++)
        for (const struct option_def *d = tables[i]; d && d->name && n_names < CLI_OPTIONS_MAX; d++)
            names[n_names++] = d->name;
    char word[64];
    size_t len = n < sizeof word ? n : sizeof word - 1;
    memcpy(word, name, len);
    word[len] = '\0';
    int near = str_nearest(word, names, n_names);
    if (near >= 0)
        return err_set(err, E_USAGE, "%s: unknown option '--%s'; did you mean '--%s'?", command->name, word,
                       names[near]);
    return err_set(err, E_USAGE, "%s: unknown option '--%s'; 'release %s --help' lists them", command->name,
                   word, command->name);
}

static bool option_add(struct cli *cli, const struct option_def *def, const char *value, struct err *err)
{
    if (!def->many)
        for (size_t i = 0; i < cli->n_given; i++)
            if (cli->given[i].def == def && strcmp(cli->given[i].value, value) != 0)
                return err_set(err, E_USAGE,
                               "%s: '--%s' is given twice, with '%s' and '%s'; it takes one value",
                               cli->command->name, def->name, cli->given[i].value, value);
    if (cli->n_given == CLI_OPTIONS_MAX)
        return err_set(err, E_USAGE, "%s: more than %d options", cli->command->name, CLI_OPTIONS_MAX);
    cli->given[cli->n_given].def = def;
    cli->given[cli->n_given++].value = value;
    return true;
}

/* One "--name[=value]"; *i is moved on when the value is the next argument. */
static bool parse_option(struct cli *cli, int argc, char **argv, int *i, struct err *err)
{
    const char *name = argv[*i] + 2;
    size_t n = strcspn(name, "=");
    const struct option_def *def = option_in(cli->command->options, name, n);
    if (!def)
        def = option_in(common_options, name, n);
    if (!def)
        return unknown_option(cli->command, name, n, err);
    if (!def->arg && name[n] == '=')
        return err_set(err, E_USAGE, "%s: '--%s' takes no value", cli->command->name, def->name);
    if (!def->arg)
        return option_add(cli, def, "", err);
    if (name[n] == '=')
        return option_add(cli, def, name + n + 1, err);
    if (*i + 1 >= argc)
        return err_set(err, E_USAGE, "%s: '--%s' needs a value: --%s %s", cli->command->name, def->name,
                       def->name, def->arg);
    return option_add(cli, def, argv[++*i], err);
}

static bool parse_word(struct cli *cli, const char *word, struct err *err)
{
    const struct command *c = cli->command;
    if (cli->n_words >= c->max_words || cli->n_words >= CLI_WORDS_MAX)
        return err_set(err, E_USAGE, "%s: unexpected word '%s'; usage: release %s %s", c->name, word, c->name,
                       c->usage);
    cli->words[cli->n_words++] = word;
    return true;
}

static bool parse_all(struct cli *cli, int argc, char **argv, struct err *err)
{
    static char long_help[] = "--help";
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0)
            argv[i] = long_help;
        const char *a = argv[i];
        if (strcmp(a, "--") == 0) {
            cli->rest = (const char *const *)argv + i + 1;
            cli->n_rest = (size_t)(argc - i - 1);
            if (!cli->command->rest)
                return err_set(err, E_USAGE, "%s: takes no '--'; usage: release %s %s", cli->command->name,
                               cli->command->name, cli->command->usage);
            return true;
        }
        bool option = str_starts(a, "--");
        if (!option && a[0] == '-' && a[1] != '\0')
            return err_set(err, E_USAGE, "%s: unknown option '%s'; 'release %s --help' lists them",
                           cli->command->name, a, cli->command->name);
        if (option ? !parse_option(cli, argc, argv, &i, err) : !parse_word(cli, a, err))
            return false;
    }
    return true;
}

static bool operator_ok(const struct cli *cli, struct err *err)
{
    const char *text = cli_opt(cli, "operator");
    return !text || operator_valid(text) ||
           err_set(err, E_USAGE, "%s: --operator: '%s' is not a name (wanted: ann, slack:ann, api:ci)",
                   cli->command->name, text);
}

bool cli_parse(struct cli *cli, const struct command *command, int argc, char **argv, struct err *err)
{
    *cli = (struct cli){.command = command};
    bool ok = parse_all(cli, argc, argv, err);
    cli->help = cli_flag(cli, "help");
    if (!ok || cli->help)
        return ok;
    if (!operator_ok(cli, err))
        return false;
    if (cli->n_words < command->min_words)
        return err_set(err, E_USAGE, "%s: something is missing; usage: release %s %s", command->name,
                       command->name, command->usage);
    return true;
}

void cli_take(struct cli *cli, const struct option_def *def, const char *value)
{
    must(cli->n_given < CLI_OPTIONS_MAX);
    cli->given[cli->n_given].def = def;
    cli->given[cli->n_given++].value = value;
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_opt(cli, name) != NULL;
}

const char *cli_opt(const struct cli *cli, const char *name)
{
    for (size_t i = cli->n_given; i-- > 0;)
        if (strcmp(cli->given[i].def->name, name) == 0)
            return cli->given[i].value;
    return NULL;
}

const char *const *cli_opts(struct cli *cli, const char *name, size_t *ret_n)
{
    const char **values = arena_array(&cli->arena, cli->n_given + 1, sizeof *values);
    size_t n = 0;
    for (size_t i = 0; i < cli->n_given; i++)
        if (strcmp(cli->given[i].def->name, name) == 0)
            values[n++] = cli->given[i].value;
    *ret_n = n;
    return values;
}

bool parse_number(const char *text, long long *ret)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] != '\0')
        return false;
    *ret = strtoll(text, NULL, 10);
    return true;
}

bool cli_number(const struct cli *cli, const char *name, long long deflt, long long *ret, struct err *err)
{
    const char *text = cli_opt(cli, name);
    *ret = deflt;
    if (!text || parse_number(text, ret))
        return true;
    return err_set(err, E_USAGE, "%s: --%s: '%s' is not a number (wanted a whole number, as in --%s 41)",
                   cli->command->name, name, text, name);
}
