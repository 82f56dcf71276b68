/* SPDX-License-Identifier: MIT */
/* What watchers need of a plan, in which form, and whether in colour. */
#include "cli/watching.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

enum watch_form watching_form(const struct cli *cli)
{
    if (cli_flag(cli, "json"))
        return WATCH_JSON;
    return is_terminal(STDOUT_FILENO) ? WATCH_BOARD : WATCH_PLAIN;
}

bool watching_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    return is_terminal(fd) && !(no && no[0]);
}
