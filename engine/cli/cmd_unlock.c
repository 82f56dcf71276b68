/* SPDX-License-Identifier: MIT */
/* release unlock: free a lock that was taken by hand; with --force, one whose holder is gone (or, knowingly,
 * lives). */
#include "cli/session.h"

#include <inttypes.h>

#include "base/clock.h"

static const struct option_def options[] = {
    {.name = "force", .help = "free it although a run holds it; needs --reason"},
    {.name = "reason", .arg = "TEXT", .help = "why; recorded"},
    {.name = "fence", .arg = "N", .help = "later grants get numbers above N (nodes have seen grant N)"},
    OPTION_END,
};

/* An unfinished release whose lock is broken is given up: it can be neither resumed nor rolled back any more.
 */
static bool abandon(struct session *s, const char *reason, struct err *err)
{
    struct release_info *r;
    if (!release_unfinished(reader(s->store, &s->cli->arena), s->env, &r, err))
        return false;
    if (!r)
        return true;
    struct row row = {.at_ms = clock_wall_ms(),
                      .release = r->id,
                      .kind = ROW_ORDER,
                      .node = "",
                      .step = -1,
                      .verb = "",
                      .role = role_name(ROLE_NONE),
                      .code = order_name(ORDER_ABANDON),
                      .facts = "",
                      .text = arena_printf(&s->cli->arena, "%s@%s: %s", s->opt.who, s->opt.host, reason)};
    if (!store_begin(s->store, err))
        return false;
    if (!journal_append(s->store, &row, err) || !store_commit(s->store, err)) {
        store_rollback(s->store);
        return false;
    }
    out_printf("release %" PRId64
               " is given up: what it left undone is yours ('release status %s' lists debts)\n",
               r->id, s->env);
    return true;
}

/* The plan that the nodes were claimed for last: of the release that is given up, else of the newest one,
 * else today's. NULL: nobody knows them. */
static struct plan *plan_of_claims(struct session *s, const struct lock_info *lock)
{
    struct release_info *list;
    struct plan *plan = NULL;
    struct err err;
    const char *json;
    size_t n = 0;
    int64_t id = lock->release;
    if (!id &&
        release_list(reader(s->store, &s->cli->arena), &(struct newest){.env = s->env, .limit = 1}, &list, &n,
                     &err) &&
        n > 0)
        id = list[0].id;
    if (id && release_plan(reader(s->store, &s->cli->arena), id, &json, &err) &&
        plan_decode(&s->cli->arena, json, &plan, &err))
        return plan;
    auto_problems struct problems problems = {0};
    const struct compile_request req = {.root = cli_root(s->cli), .env = s->key.env, .look = true};
    session_pillar_if_readable(s);
    return s->pillar && plan_compile(s->pillar, &req, &s->cli->arena, &plan, &problems) ? plan : NULL;
}

/* Nobody goes on with it any more, so the nodes are not this journal's either. The number that they keep is
 * above the broken grant: what its holder sends late is refused. */
static void free_nodes(struct session *s, const struct lock_info *lock)
{
    struct err err;
    const char *left;
    struct plan *plan = plan_of_claims(s, lock);
    if (!plan || plan->n_nodes == 0 || !lock_fence_last(s->store, &s->opt.fence, &err))
        return;
    struct secrets *secrets = NULL;
    if (!secrets_load(plan, s->pillar, &secrets, &err))
        secrets = NULL; /* a balancer's password; nodes are reached without */
    s->opt.secrets = secrets;
    run_free(plan, &s->opt, &s->cli->arena, &left);
    s->opt.secrets = NULL;
    secrets_free(secrets);
    if (left)
        say_note("no answer from %s: for another journal they stay held by this one until its next release; "
                 "the same command again frees those that answer by then",
                 left);
}

static int force(struct session *s, const struct lock_info *lock, const char *reason)
{
    struct err err;
    long long above;
    if (!reason || !reason[0]) {
        say_error("unlock: --force needs a reason: 'release unlock %s --force --reason \"ctl1 is gone\"'",
                  s->env);
        return EXIT_USAGE;
    }
    if (!cli_number(s->cli, "fence", 0, &above, &err) ||
        !lock_force(s->store,
                    &(struct lock_end){.env = s->env, .who = s->opt.who, .why = reason, .fence = above},
                    &err))
        return say_err(&err);
    bool by_hand = lock->held && lock->holder == HOLDER_BY_HAND; /* says nothing about a release */
    if (!by_hand && !abandon(s, reason, &err))
        return say_err(&err);
    if (!by_hand)
        free_nodes(s, lock);
    out_printf("%s is free; it was %s\n", s->env,
               lock->held ? lock_text(lock, &s->cli->arena) : "free before");
    session_tell_lock(s, arena_printf(&s->cli->arena, "lock broken by %s: %s", s->opt.who, reason));
    return 0;
}

static int unlock(struct session *s)
{
    struct cli *cli = s->cli;
    const char *reason = cli_opt(cli, "reason");
    struct lock_info lock;
    struct err err;
    if (!lock_get(reader(s->store, &cli->arena), s->env, &lock, &err))
        return say_err(&err);
    if (cli_flag(cli, "force"))
        return force(s, &lock, reason);
    int status = lock.held ? 0 : cli_env_known(cli, s->store, s->env);
    if (status)
        return status;
    if (!lock.held) {
        out_printf("%s is not locked\n", s->env);
        return 0;
    }
    if (lock.holder != HOLDER_BY_HAND) {
        say_error("unlock: %s %s; %s", s->env, lock_text(&lock, &cli->arena),
                  lock.release
                      ? "'release resume' or 'release rollback' take it over when that run is gone; --force "
                        "--reason WHY gives the release up"
                      : "--force --reason WHY frees it");
        return EXIT_LOCKED;
    }
    if (!lock_free(
            s->store,
            &(struct lock_end){
                .env = s->env, .fence = lock.fence, .who = s->opt.who, .why = reason ? reason : "by hand"},
            &err))
        return say_err(&err);
    out_printf("%s is free; it was %s\n", s->env, lock_text(&lock, &cli->arena));
    session_tell_lock(s, arena_printf(&cli->arena, "freed by %s", s->opt.who));
    return 0;
}

static int run(struct cli *cli)
{
    struct session s;
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    int status = session_begin(&s, cli, env, STORE_WRITE);
    if (!status)
        status = unlock(&s);
    return session_end(&s, status, "");
}

const struct command command_unlock = {
    .name = "unlock",
    .summary = "Free an environment's lock",
    .usage = "[ENV] [--force --reason TEXT]",
    .text = "A lock taken by hand is freed at once. The lock of a run is left to `resume` and `rollback`, "
            "which take it\n"
            "over when that run is gone; --force gives its unfinished release up, for good, also one that "
            "nobody holds\n"
            "any more.",
    .example = "  release unlock prod\n  release unlock prod --force --reason 'ctl1 burnt down'",
    .options = options,
    .max_words = 1,
    .run = run,
};
