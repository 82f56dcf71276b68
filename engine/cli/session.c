/* SPDX-License-Identifier: MIT */
/* The one way in which a plan becomes a running release: journal, lock, preflight, freeze, run, free. */
#include "cli/session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/choose.h"
#include "cli/opening.h"
#include "cli/signals.h"
#include "cli/watching.h"
#include "drivers/op/op.h"
#include "state/orders.h"

#define PILLAR_WAIT_MAX_MS 60000

/* The order of a server that started us: its release is written beside it. Taken away, so that what a hook
 * starts is not taken for it, too. */
static int64_t order_taken(void)
{
    long long order = 0;
    const char *text = getenv("RELEASE_ORDER");
    if (!text || !parse_number(text, &order))
        order = 0;
    unsetenv("RELEASE_ORDER");
    return order;
}

static void say_waits(void *ctx, const char *what, int64_t since_ms)
{
    char text[DURATION_TEXT_MAX];
    (void)ctx;
    say_note("asking for %s: no answer yet from %s", duration_text(since_ms / 1000 * 1000, text, sizeof text),
             what);
}

/* Which environment is meant: what the tree's pillar says of it counts most. The pillar may be broken or
 * gone; then what was last released from here does. */
static int name_env(struct session *s, const char *env, enum store_mode mode)
{
    struct cli *cli = s->cli;
    struct err err;
    if (!env_valid(env)) {
        say_error("%s: '%s' cannot be an environment's name: " NAME_WANTED, cli->command->name, env);
        return EXIT_USAGE;
    }
    if (!cli->app && (mode == STORE_WRITE || cli_flag(cli, "brief"))) /* a look names it as the order will */
        session_pillar_if_readable(s);
    if (cli->app)
        store_app(s->store, env, cli->app);
    if (!env_resolve(reader(s->store, &cli->arena), env, &s->key, &err))
        return say_err(&err);
    s->env = env_name(reader(s->store, &cli->arena), s->key.app, s->key.env);
    if (s->key.app[0]) /* from here on the plan's own name of it means this one */
        store_app(s->store, s->key.env, s->key.app);
    s->opt.owner = session_owner(s);
    return lock_forced(s->store, s->env, &s->opt.forced, &err) ? 0 : say_err(&err);
}

int session_begin(struct session *s, struct cli *cli, const char *env, enum store_mode mode)
{
    *s = (struct session){.cli = cli, .env = env, .order = order_taken(), .signal_fd = -1, .wake_fd = -1};
    /* Before the first thread: names of people and machines, and who gets the signals. */
    s->opt = (struct run_options){.who = cli_who(cli), .host = cli_host(cli), .wake_fd = -1, .signal_fd = -1};
    drivers_init(); /* not in main: it would be most of the time of a command that only reads the journal */
    s->opt.conns = conns_new(transport_table); /* what preflight opened serves the release */
    if (!cli_flag(cli, "json"))
        s->opt.waits = say_waits;
    s->signal_fd = s->opt.signal_fd = signals_open();
    s->wake_fd = s->opt.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signal_fd < 0 || s->wake_fd < 0) {
        say_error("%s: no descriptors for signals and events (limit reached?); nothing was touched",
                  cli->command->name);
        return EXIT_JOURNAL;
    }
    int status = cli_store(cli, mode, &s->store);
    s->opt.store = s->store;
    return status ? status : name_env(s, env, mode);
}

/* ---- whose release */

/* Made from another tree that is still there? One that is gone has moved. */
static bool other_tree(struct session *s, const struct release_info *r)
{
    const char *here = cli_tree(s->cli);
    return r->root[0] && here && strcmp(r->root, here) != 0 &&
           (access(r->root, F_OK) == 0 || errno != ENOENT);
}

int session_refuse_foreign(struct session *s, const struct release_info *r)
{
    if (cli_flag(s->cli, "any-tree") || !other_tree(s, r))
        return 0;
    say_error("%s: %s %" PRId64 " of %s was made from the tree %s, and this is %s; nothing was touched. "
              "'release %s %s --root %s' works on it there; --any-tree when this tree stands for that one",
              s->cli->command->name, kind_name(r->kind), r->id, s->env, r->root, cli_tree(s->cli),
              s->cli->command->name, s->env, r->root);
    return EXIT_USAGE;
}

static bool share_a_node(const struct plan *a, const struct plan *b)
{
    for (size_t i = 0; i < a->n_nodes; i++)
        for (size_t k = 0; k < b->n_nodes; k++)
            if (strcmp(a->nodes[i].target.host, b->nodes[k].target.host) == 0)
                return true;
    return false;
}

/* Two trees that give one name to two fleets: what one releases, the other would take back. Clones of one
 * tree have nodes in common. */
static int refuse_other_fleet(struct session *s, const struct plan *plan)
{
    struct release_info *list;
    struct plan *last;
    struct err err;
    const char *json;
    size_t n = 0;
    if (!release_list(reader(s->store, &s->cli->arena), &(struct newest){.env = s->env, .limit = 1}, &list,
                      &n, &err))
        return say_err(&err);
    if (n == 0 || !other_tree(s, &list[0]) ||
        !release_plan(reader(s->store, &s->cli->arena), list[0].id, &json, &err) ||
        !plan_decode(&s->cli->arena, json, &last, &err) || share_a_node(plan, last))
        return 0;
    say_error("%s: %s:%s is the environment of another tree, %s, on other servers (release %" PRId64
              "); two applications need two names: change `app:` in %s; nothing was touched",
              s->cli->command->name, s->key.app, s->key.env, list[0].root, list[0].id, cli_tree(s->cli));
    return EXIT_USAGE;
}

static int refuse_locked(struct session *s, const struct lock_info *held)
{
    const char *how =
        held->holder == HOLDER_BY_HAND ? arena_printf(&s->cli->arena, "'release unlock %s' frees it", s->env)
        : held->holder == HOLDER_ALIVE
            ? arena_printf(&s->cli->arena, "'release status %s --watch' shows it", s->env)
            : arena_printf(&s->cli->arena,
                           "when that run is certainly over: 'release unlock %s --force --reason WHY'",
                           s->env);
    say_error("%s: %s %s; %s; nothing was touched", s->cli->command->name, s->env,
              lock_text(held, &s->cli->arena), how);
    return EXIT_LOCKED;
}

/* A holder that died before its release had a number touched nothing; one that died after the last row of its
 * release left nothing to do. Either lock is taken over without ado. What lies between is for resume,
 * rollback or unlock. */
static bool died_with_nothing_open(struct session *s, const struct lock_info *held)
{
    struct release_info *r = NULL;
    struct err err;
    if (!held->held || held->holder != HOLDER_DEAD)
        return false;
    if (held->release == 0)
        return true;
    return release_get(reader(s->store, &s->cli->arena), held->release, &r, &err) && r && r->ended_ms > 0 &&
           !r->resumable;
}

int session_lock(struct session *s, const char *why, int64_t release, bool take_over)
{
    /* Who goes back or goes on does not stand in line: that is what makes things safe again. */
    bool in_turn = !take_over && strcmp(s->cli->command->name, "rollback") != 0;
    const char *approved = cli_opt(s->cli, "approved-by");
    if (approved && !operator_valid(approved)) {
        say_error("%s: --approved-by: '%s' is not a name (wanted: ann, slack:ann)", s->cli->command->name,
                  approved);
        return EXIT_USAGE;
    }
    if (approved)
        why = arena_printf(&s->cli->arena, "%s, approved by %s", why, approved);
    struct lock_request req = {.env = s->env,
                               .who = s->opt.who,
                               .why = why,
                               .release = release,
                               .take_over = take_over,
                               .in_turn = in_turn};
    struct err err;
    bool ok = lock_take(s->store, &req, &s->cli->arena, &s->lock, &err);
    if (!ok && err.code == E_LOCKED && !take_over && died_with_nothing_open(s, &s->lock)) {
        req.take_over = true;
        ok = lock_take(s->store, &req, &s->cli->arena, &s->lock, &err);
    }
    if (!ok)
        return err.code == E_LOCKED && s->lock.held ? refuse_locked(s, &s->lock) : say_err(&err);
    s->locked = true;
    s->opt.fence = s->lock.fence;
    return 0;
}

int session_secrets(struct session *s, const struct plan *plan)
{
    struct err err;
    if (secrets_load(plan, s->pillar, &s->secrets, &err)) {
        s->opt.secrets = s->secrets;
        return 0;
    }
    return say_err(&err);
}

int session_preflight(struct session *s, struct plan *plan)
{
    auto_problems struct problems problems = {0}, warnings = {0};
    int signo = 0;
    bool held = false;
    s->opt.ret_signal = &signo;
    s->opt.ret_held = &held;
    s->opt.warnings = &warnings;
    bool ok = run_preflight(plan, &s->cli->arena, &s->opt, &problems);
    s->opt.ret_signal = NULL;
    s->opt.ret_held = NULL;
    s->opt.warnings = NULL;
    if (!signo)
        signo = signals_taken(s->signal_fd); /* it came when the last answer was in already */
    if (signo) {
        say_error("%s: stopped by a signal in preflight; nothing was touched", s->cli->command->name);
        return signo == SIGINT ? EXIT_SIGINT : EXIT_SIGTERM;
    }
    for (size_t i = 0; i < warnings.n; i++)
        say_error("warning: %s", warnings.lines[i]);
    return ok ? 0 : cli_problems(&problems, "preflight", held ? EXIT_LOCKED : EXIT_PREFLIGHT);
}

/* ---- running */

static bool freeze(struct session *s, struct plan *plan, const char *json, int64_t of_release,
                   int64_t *ret_id, struct err *err)
{
    struct release_new r = {.env = plan->env,
                            .app = plan->app,
                            .kind = plan->kind,
                            .plan_name = plan->name,
                            .root = cli_tree(s->cli),
                            .rev = plan->rev,
                            .rev_typed = plan->rev_typed,
                            .who = s->opt.who,
                            .host = s->opt.host,
                            .plan_json = json,
                            .plan_digest = plan->digest,
                            .of_release = of_release,
                            .at_ms = clock_wall_ms()};
    if (!store_begin(s->store, err))
        return false;
    if (release_insert(s->store, &r, ret_id, err) && lock_bind(s->store, s->env, s->lock.fence, *ret_id, err))
        return store_commit(s->store, err);
    store_rollback(s->store);
    return false;
}

int session_start(struct session *s, struct plan *plan, int64_t of_release)
{
    struct err err;
    int64_t id;
    auto_free char *json = plan_encode(plan);
    int status = refuse_other_fleet(s, plan);
    if (status || (status = session_claim(s, plan)))
        return status;
    plan_about(plan, "why", s->lock.why, &s->cli->arena);
    if (!freeze(s, plan, json, of_release, &id, &err)) {
        session_free(s, plan, 0);
        return say_err(&err);
    }
    return session_run(s, plan, id, ORDER_START);
}

static struct watcher *start_watcher(struct session *s, const struct plan *plan, int64_t id)
{
    enum watch_form form = watching_form(s->cli);
    struct watch_spec spec = {.state_path = store_place(s->store),
                              .plan = watching_plan(&s->cli->arena, s->store, plan, id),
                              .form = form,
                              .out_fd = STDOUT_FILENO,
                              .wake_fd = s->wake_fd,
                              .output = form != WATCH_BOARD,
                              .colour = watching_colour(STDOUT_FILENO),
                              .after = journal_last_seq(s->store),
                              .step = -1};
    struct watcher *w = NULL;
    struct err err;
    if (!watch_start(&spec, &w, &err))
        say_note("cannot show how it goes (%s); the release runs all the same, 'release status' shows it",
                 err.text);
    return w;
}

int session_run(struct session *s, const struct plan *plan, int64_t id, enum order order)
{
    struct err err;
    struct release_info *row;
    int status = EXIT_JOURNAL;
    if (!release_get(reader(s->store, &s->cli->arena), id, &row, &err))
        return say_err(&err);
    must(row != NULL);
    s->opt.began_ms = row->started_ms;
    if (s->order && !order_release(s->store, s->order, id, clock_wall_ms(), &err))
        say_note("order %" PRId64 " of the server does not know its release: %s", s->order, err.text);
    s->opt.stop_at = order == ORDER_ROLLBACK ? 0 : opening_stop_at(s->cli, plan);
    struct watcher *w = start_watcher(s, plan, id);
    bool ok = run_release(plan, id, order, &s->opt, &status, &err);
    watch_stop(w);
    if (!ok && err.code == E_FENCED)
        return session_superseded(s, plan, id, &err);
    if (ok)
        session_free(s, plan, id);
    if (!ok) {
        say_error("%s %" PRId64
                  " of %s: %s; nothing more was started; when the journal can be written again, 'release "
                  "resume %s' or 'release rollback %s'",
                  kind_name(plan->kind), id, s->env, err.text, s->env, s->env);
        return EXIT_JOURNAL;
    }
    /* Back on the old revision is a failure of the release, and just what was asked of a rollback. */
    bool as_ordered = order == ORDER_ROLLBACK && status == EXIT_ROLLED_BACK;
    final_words(s->cli, s->store, plan, id, as_ordered ? EXIT_RELEASED : status);
    if (status == EXIT_STOPPED && opening_pauses(plan))
        opening_tell(s->cli, s->env, plan);
    return as_ordered ? EXIT_RELEASED : status;
}

/* The pillar serves for secrets and `confirm:` only: the plan is the frozen one. It may be broken or gone by
 * now, and whoever renders it must not keep a way back waiting. */
void session_pillar_if_readable(struct session *s)
{
    auto_problems struct problems problems = {0};
    if (s->pillar)
        return;
    const struct pillar_request req = {
        .root = cli_root(s->cli), .env = env_bare(s->env), .wait_max_ms = PILLAR_WAIT_MAX_MS};
    if (!pillar_load_as(&req, &s->pillar, &problems)) {
        s->pillar = NULL;
        return;
    }
    s->cli->app = arena_strdup(&s->cli->arena, pillar_app(s->pillar));
    if (!cli_app_matches(s->env, s->pillar))
        auto_pillar_fn(&s->pillar);
}

void session_tell_lock(struct session *s, const char *what)
{
    auto_problems struct problems problems = {0};
    const struct compile_request req = {.root = cli_root(s->cli), .env = env_bare(s->env), .look = true};
    struct plan *plan;
    struct err err;
    session_pillar_if_readable(s);
    if (!s->pillar || !plan_compile(s->pillar, &req, &s->cli->arena, &plan, &problems) ||
        !secrets_load(plan, s->pillar, &s->secrets, &err))
        return;
    s->opt.secrets = s->secrets;
    run_tell(plan, "lock", arena_printf(&s->cli->arena, "%s %s: %s", plan->app, s->env, what), &s->opt);
}

/* A way back does not take back what ran once and names no way back. */
static void say_lasting_steps(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].once != ONCE_NO && !plan->steps[i].undo_cmd)
            say_note("%s: runs once in a release and names no `undo:`; where it was done, its effect stays",
                     plan->steps[i].label);
}

int session_continue(struct session *s, const struct release_info *r, enum order order)
{
    struct cli *cli = s->cli;
    struct plan *plan;
    int status;
    if ((status = session_refuse_foreign(s, r)))
        return status;
    session_pillar_if_readable(s);
    const char *why = arena_printf(&cli->arena, "%s of release %" PRId64, order_name(order), r->id);
    bool *give_up = NULL;
    if ((status = stored_plan(cli, s->store, r->id, &plan)))
        return status;
    bool paused = order == ORDER_RESUME && opening_pauses(plan) && !session_has_turned(s, r->id);
    if ((status = paused ? opening_ask(cli, s->env, plan, false) : opening_words(cli)))
        return status;
    if (paused && plan->override)
        why = arena_printf(&cli->arena, "%s, overriding %s", why, plan_overrides_text(plan, &cli->arena));
    if ((status = choose_nodes(s, plan, &give_up)) || (status = session_secrets(s, plan)) ||
        (status = session_lock(s, why, r->id, true)) || (status = session_claim_again(s, plan)))
        return status;
    s->opt.give_up = give_up;
    if (order == ORDER_ROLLBACK)
        say_lasting_steps(plan);
    return session_run(s, plan, r->id, order);
}

int session_end(struct session *s, int status, const char *why)
{
    struct err err;
    if (s->locked &&
        !lock_free(s->store,
                   &(struct lock_end){.env = s->env, .fence = s->lock.fence, .who = s->opt.who, .why = why},
                   &err))
        say_error("%s: the lock of %s could not be freed: %s; 'release unlock %s' frees it",
                  s->cli->command->name, s->env, err.text, s->env);
    conns_free(s->opt.conns);
    secrets_free(s->secrets);
    auto_pillar_fn(&s->pillar);
    store_close(s->store);
    auto_fd_fn(&s->signal_fd);
    auto_fd_fn(&s->wake_fd);
    return status;
}

int session_with_plan(struct cli *cli,
                      int (*plan_of)(struct cli *, const char *env, struct pillar **, struct plan **),
                      enum store_mode mode, int (*act)(struct session *, struct plan *))
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct session s;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = plan_of(cli, env, &pillar, &plan)))
        return status;
    status = session_begin(&s, cli, env, mode);
    s.pillar = pillar;
    pillar = NULL;
    if (!status)
        status = act(&s, plan);
    return session_end(&s, status, "");
}

int stored_plan(struct cli *cli, struct store *store, int64_t id, struct plan **ret)
{
    struct err err;
    const char *json;
    if (release_plan(reader(store, &cli->arena), id, &json, &err) && json &&
        plan_decode(&cli->arena, json, ret, &err))
        return 0;
    err_wrap(&err, "release %" PRId64, id);
    return say_err(&err);
}

int probe_step(struct session *s, const struct plan *plan, const struct plan_step *step, struct probe **ret,
               size_t *ret_n)
{
    struct err err;
    struct probes probes = {.arena = &s->cli->arena};
    if (run_probe(plan, step, &s->opt, &probes, &err)) {
        *ret = probes.list;
        *ret_n = probes.n;
        return 0;
    }
    err_wrap(&err, "%s", step->verb);
    return say_err(&err);
}
