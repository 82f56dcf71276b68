/* SPDX-License-Identifier: MIT */
#include "cli/opening.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plans/times.h"

static bool has_override(const struct plan *plan, enum override which)
{
    return plan->overrides >> which & 1;
}

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

/* The words of --override, and --override-window. */
static int overrides_read(struct cli *cli, uint8_t *ret)
{
    char name[32];
    const char *list = cli_opt(cli, "override");
    *ret = cli_flag(cli, "override-window") ? 1u << OVERRIDE_WINDOW : 0;
    for (size_t n; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), list);
        int which = override_from_name(name);
        if (which < 0) {
            say_error("%s: --override: there is no '%s' (wanted: window, allow, max_age or signed)",
                      cli->command->name, name);
            return EXIT_USAGE;
        }
        *ret |= (uint8_t)(1u << which);
    }
    return 0;
}

static int words_read(struct cli *cli, uint8_t *ret, const char **ret_reason)
{
    const char *reason = *ret_reason = cli_opt(cli, "reason");
    int status = overrides_read(cli, ret);
    if (status || (*ret != 0) == (reason != NULL && *reason != '\0'))
        return status;
    say_error(
        "%s: what is overridden needs --reason TEXT, and a reason something to override (--override-window, "
        "--override): who looks later wants to know why it could not wait",
        cli->command->name);
    return EXIT_USAGE;
}

int opening_words(struct cli *cli)
{
    uint8_t overrides;
    const char *reason;
    return words_read(cli, &overrides, &reason);
}

int opening_ask(struct cli *cli, const char *env, struct plan *plan, bool looks)
{
    struct times_now now;
    const char *reason;
    uint8_t overrides;
    int status = words_read(cli, &overrides, &reason);
    if (status)
        return status;
    if (overrides) {
        plan->overrides |= overrides;
        plan->override = reason;
    }
    if (!is_closed(cli, plan, &now))
        return 0;
    if (!has_override(plan, OVERRIDE_WINDOW) && !looks)
        return opening_refuse(cli, env, plan);
    if (!has_override(plan, OVERRIDE_WINDOW)) {
        opening_tell(cli, env, plan);
        return 0;
    }
    say_note("%s is not released now (%s), and is all the same: %s", env, now.why, plan->override);
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
    return plan->kind == KIND_RELEASE && plan->times != NULL && plan->times->pauses &&
           !has_override(plan, OVERRIDE_WINDOW);
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
