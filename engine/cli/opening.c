/* SPDX-License-Identifier: MIT */
#include "cli/opening.h"

#include <string.h>

#include "base/clock.h"
#include "plans/times.h"

static struct times_now now_of(struct cli *cli, const struct plan *plan)
{
    return times_at(plan->times, clock_wall_ms() / 1000, &cli->arena);
}

static bool is_closed(struct cli *cli, const struct plan *plan, struct times_now *ret)
{
    if (plan->times == NULL)
        return false;
    *ret = now_of(cli, plan);
    return !ret->open;
}

static const char *opens_text(struct cli *cli, const struct times_now *now)
{
    return now->changes_s == TIMES_NEVER ? "it does not open in the next 400 days"
                                         : arena_printf(&cli->arena, "it opens %s", now->changes);
}

int opening_refuse(struct cli *cli, const char *env, const struct plan *plan)
{
    struct times_now now;
    if (!is_closed(cli, plan, &now))
        return 0;
    say_error(
        "%s: %s is not released now (%s); %s; 'release %s --override-window --reason TEXT %s' does it all the same, "
        "and that is recorded; nothing was touched",
        cli->command->name, env, now.why, opens_text(cli, &now),
        strcmp(cli->command->name, "resume") == 0 ? "resume" : "run", env);
    return EXIT_PREFLIGHT;
}

int opening_ask(struct cli *cli, const char *env, struct plan *plan)
{
    struct times_now now;
    const char *reason = cli_opt(cli, "reason");
    bool overrides = cli_flag(cli, "override-window");
    if (overrides != (reason != NULL && *reason != '\0')) {
        say_error(
            "%s: --override-window and --reason TEXT go together: who looks later wants to know why it could not wait",
            cli->command->name);
        return EXIT_USAGE;
    }
    if (plan->override != NULL || !is_closed(cli, plan, &now))
        return 0;
    if (!overrides)
        return opening_refuse(cli, env, plan);
    plan->override = reason;
    say_note("%s is not released now (%s), and is all the same: %s", env, now.why, reason);
    return 0;
}

void opening_tell(struct cli *cli, const char *env, const struct plan *plan)
{
    struct times_now now;
    if (is_closed(cli, plan, &now))
        say_note("%s is not released now (%s); %s", env, now.why, opens_text(cli, &now));
}

/* A way back is never kept waiting, and a task is not what the windows are about. */
bool opening_pauses(const struct plan *plan)
{
    return plan->kind == KIND_RELEASE && plan->times != NULL && plan->times->pauses && plan->override == NULL;
}

int64_t opening_stop_at(struct cli *cli, const struct plan *plan)
{
    if (!opening_pauses(plan))
        return 0;
    struct times_now now = now_of(cli, plan);
    if (!now.open)
        return clock_mono_ms();
    return now.changes_s == TIMES_NEVER ? 0 : clock_mono_ms() + now.changes_s * 1000 - clock_wall_ms();
}
