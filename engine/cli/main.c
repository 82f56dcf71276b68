/* SPDX-License-Identifier: MIT */
/* main: hardening, then one row of the command table. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/docs.h"
#include "cli/signals.h"
#include "run/run.h"
#include "version.h" /* made at each build: cmake/version.cmake */

static int unknown_command(const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (const struct command *const *c = command_table; *c && n < 64; c++)
        names[n++] = (*c)->name;
    int near = str_nearest(name, names, n);
    if (near >= 0)
        say_error("unknown verb '%s'; did you mean '%s'? 'release help' lists them", name, names[near]);
    else
        say_error("unknown verb '%s'; 'release help' lists them", name);
    return EXIT_USAGE;
}

static int show_help(const char *topic)
{
    auto_buf struct buf text = BUF_INIT(1024 * 1024);
    const struct command *command = topic ? command_find(topic) : NULL;
    if (!topic)
        help_all(&text);
    else if (command)
        help_command(&text, command);
    else if (strcmp(topic, "--markdown") == 0)
        docs_cli(&text);
    else if (strcmp(topic, "--verbs") == 0)
        docs_verbs(&text);
    else if (!help_verb(&text, topic))
        return unknown_command(topic);
    out_buf(&text);
    return 0;
}

/* `release --root X check`: options that every verb knows may stand before it. They are moved behind it. */
static bool verb_first(int argc, char **argv, struct err *err)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && strcmp(argv[at], "--") != 0; at++) {
        const struct option_def *def = common_option(argv[at]);
        if (!def)
            return err_set(
                err, E_USAGE,
                "'%s' stands before the verb, and not every verb knows it: write 'release VERB %s'; "
                "'release help' lists the verbs",
                argv[at], argv[at]);
        at += def->arg && !strchr(argv[at], '=');
    }
    if (at >= argc)
        return err_set(err, E_USAGE, "'%s' is no verb, and none follows; 'release help' lists them", argv[1]);
    char *verb = argv[at];
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof(*argv));
    argv[1] = verb;
    return true;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    static struct cli cli; /* static: the commands' data hang on its arena until the very end */
    struct err err;
    if (!cli_parse(&cli, command, argc, argv, &err))
        return cli.help ? show_help(command->name) : say_err(&err);
    if (cli.help)
        return show_help(command->name);
    cli.version = RELEASE_VERSION;
    pillar_on_progress(say_progress);
    pillar_lists_by(run_list_nodes);
    int status = command->run(&cli);
    arena_fini(&cli.arena);
    return status;
}

int main(int argc, char **argv)
{
    unsigned long files = 0;
    if (!process_harden(&files)) {
        say_error("only %lu files may be open at once here, wanted at least 64; 'ulimit -n 1024', then again",
                  files);
        return EXIT_USAGE;
    }
    const char *verb = argc > 1 ? argv[1] : "help";
    if (strcmp(verb, "--version") == 0 || strcmp(verb, "version") == 0) {
        out_text("release " RELEASE_VERSION "\n");
        return 0;
    }
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        /* `release help --root X` asks for help, not for a verb called --root. */
        const char *topic = argc > 2 ? argv[2] : "";
        bool page = strcmp(topic, "--markdown") == 0 || strcmp(topic, "--verbs") == 0;
        int status = show_help(topic[0] && (page || topic[0] != '-') ? topic : NULL);
        return argc > 1 ? status : EXIT_USAGE;
    }
    struct err err;
    if (verb[0] == '-' && !verb_first(argc, argv, &err))
        return say_err(&err);
    verb = argv[1];
    const struct command *command = command_find(verb);
    return command ? run_command(command, argc - 2, argv + 2) : unknown_command(verb);
}
