/* SPDX-License-Identifier: MIT */
/* release serve: the journal over HTTP. The parts of the server meet here; none of them knows the others. */
#include "cli/session.h"

#include <string.h>

#include "base/auto.h"
#include "chat/chat.h"
#include "cli/signals.h"
#include "serve/page.h"
#include "serve/serve.h"

static const struct option_def options[] = {
    {.name = "listen",
     .arg = "ADDRESS:PORT",
     .help = "where (default: serve.yml's, else 127.0.0.1:8710); port 0 = any free one, said at the start"},
    {.name = "config", .arg = "FILE", .help = "instead of ROOT/serve.yml"},
    OPTION_END,
};

static const struct serve_part *const parts[] = {&page_part, &chat_part, NULL};

static int run(struct cli *cli)
{
    auto_problems struct problems problems = {0};
    auto_fd int signal_fd = signals_open();
    struct err err;
    const char *state;
    int status = cli_state(cli, STORE_WRITE, &state);
    if (status)
        return status;
    if (signal_fd < 0) {
        say_error("serve: no descriptor for signals (limit reached?)");
        return EXIT_JOURNAL;
    }
    struct serve_options opt = {.root = cli_root(cli),
                                .state_path = state,
                                .listen = cli_opt(cli, "listen"),
                                .config_path = cli_opt(cli, "config"),
                                .program = "/proc/self/exe",
                                .signal_fd = signal_fd};
    if (serve_run(&opt, parts, &problems, &err))
        return 0;
    return problems.n ? cli_problems(&problems, "serve", EXIT_USAGE) : say_err(&err);
}

const struct command command_serve = {
    .name = "serve",
    .summary = "The page, the API and the chat's door: the journal over HTTP",
    .usage = "[--listen ADDRESS:PORT]",
    .text = "Reads the journal and gives orders by starting this same program as a process of its own: "
            "ending or\n"
            "restarting the server never disturbs a running release. People come in with a token ('release "
            "token\n"
            "add') or through a trusted proxy named in ROOT/serve.yml. docs/api.md has every path.",
    .example = "  release serve --listen 127.0.0.1:8710",
    .options = options,
    .run = run,
};
