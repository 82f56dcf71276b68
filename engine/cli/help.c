/* SPDX-License-Identifier: MIT */
/* `release help` and `release VERB --help`, made from the same tables that the parser reads. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void help_options(struct buf *out, const struct option_def *defs)
{
    for (; defs && defs->name; defs++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", defs->name, defs->arg ? " " : "", defs->arg ? defs->arg : "");
        buf_printf(out, "  %-20s  %s%s\n", left, defs->help, defs->many ? " (may be repeated)" : "");
    }
}

void help_all(struct buf *out)
{
    buf_puts(out, "release - a new revision on every server, a few at a time, without one failed request\n\n"
                  "usage: release VERB [OPTIONS] [ENV]\n\n");
    for (const struct command *const *c = command_table; *c; c++)
        buf_printf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
    buf_puts(out, "\nENV may be left out when the pillar has only one environment. Common options:\n");
    help_options(out, common_options);
    buf_puts(out,
             "\nExit status: 0 released and verified; 1 failed, back on the old revision; 2 usage or "
             "configuration;\n"
             "3 lock held; 4 stopped part-way, serving: resume or rollback; 5 needs a person; 6 "
             "preflight failed;\n"
             "7 the journal cannot be written; 130, 143 stopped by a signal.\n\n"
             "'release VERB --help' has the options of a verb and an example; 'release help "
             "haproxy.drain'\nexplains what a step of a plan can call, 'release help --verbs' all of it.\n");
}

void help_command(struct buf *out, const struct command *command)
{
    buf_printf(out, "usage: release %s %s\n\n%s.\n", command->name, command->usage, command->summary);
    if (command->text)
        buf_printf(out, "\n%s\n", command->text);
    if (command->options) {
        buf_puts(out, "\nOptions:\n");
        help_options(out, command->options);
    }
    buf_puts(out, "\nCommon options:\n");
    help_options(out, common_options);
    buf_printf(out, "\nExample:\n%s\n", command->example);
}
