/* SPDX-License-Identifier: MIT */
/* release lock: hold the lock by hand, so that nobody releases meanwhile. */
#include "cli/session.h"

#include <inttypes.h>

static const struct option_def options[] = {
    {.name = "reason", .arg = "TEXT", .help = "why; shown to everybody who is refused"},
    OPTION_END,
};

static int run(struct cli *cli)
{
    struct session s;
    const char *reason = cli_opt(cli, "reason");
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    if (!env_valid(env)) {
        say_error("lock: '%s' cannot be an environment's name: " NAME_WANTED, env);
        return EXIT_USAGE;
    }
    if (!reason || !reason[0]) {
        say_error("lock: why? 'release lock %s --reason \"database move until 14:00\"'", env);
        return EXIT_USAGE;
    }
    int status = session_begin(&s, cli, env, STORE_WRITE);
    if (status)
        return session_end(&s, status, "");
    if ((status = cli_env_known(cli, s.store, env)))
        return session_end(&s, status, "");
    struct lock_request req = {.env = env, .who = s.opt.who, .why = reason, .by_hand = true, .in_turn = true};
    struct lock_info lock;
    struct err err;
    if (lock_take(s.store, &req, &cli->arena, &lock, &err)) {
        out_printf("%s is locked (fence %" PRId64 "); 'release unlock %s' frees it\n", env, lock.fence, env);
        session_tell_lock(&s, arena_printf(&cli->arena, "locked by %s: %s", s.opt.who, reason));
    } else if (err.code == E_LOCKED && lock.held) {
        say_error("lock: %s %s; nothing was changed", env, lock_text(&lock, &cli->arena));
        status = EXIT_LOCKED;
    } else
        status = say_err(&err);
    return session_end(&s, status, "");
}

const struct command command_lock = {
    .name = "lock",
    .summary = "Hold an environment's lock by hand",
    .usage = "[ENV] --reason TEXT",
    .example = "  release lock prod --reason 'database move until 14:00'",
    .options = options,
    .max_words = 1,
    .run = run,
};
