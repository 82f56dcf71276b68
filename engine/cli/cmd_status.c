/* SPDX-License-Identifier: MIT */
/* release status: what runs, what ran last, who holds the lock, what is owed, what each node was last known
 * to run. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/signals.h"
#include "cli/watching.h"
#include "run/look.h"
#include "watch/json.h"

static const struct option_def options[] = {
    {.name = "watch", .help = "the live board of the running release, until it ends"},
    {.name = "probe", .help = "ask every node what it runs now, and show where that differs"},
    OPTION_END,
};

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* ---- progress of a running release, out of its rows */

static bool load_model(struct cli *cli, struct store *store, int64_t release, struct model *m)
{
    struct plan *plan;
    struct err err;
    const char *json;
    int64_t seq = 0;
    size_t n;
    if (!release_plan(reader(store, &cli->arena), release, &json, &err) ||
        !plan_decode(&cli->arena, json, &plan, &err))
        return false;
    model_init(m, watching_plan(&cli->arena, store, plan, release));
    do {
        auto_arena struct arena arena = {0};
        struct row *rows;
        if (!journal_read(reader(store, &arena),
                          &(struct row_range){.release = release, .after = seq, .limit = 1000}, &rows, &n,
                          &err))
            break;
        for (size_t i = 0; i < n; i++) {
            model_apply(m, &rows[i]);
            seq = rows[i].seq;
        }
    } while (n == 1000);
    return true;
}

static void put_progress(struct cli *cli, struct store *store, int64_t release, struct buf *out)
{
    struct model m;
    if (!load_model(cli, store, release, &m))
        return;
    auto_buf struct buf board = BUF_INIT(4 * 1024 * 1024);
    board_render(&m, clock_wall_ms(), 110, 1000, false, &board);
    for (const char *p = buf_str(&board); *p;) {
        size_t n = strcspn(p, "\n");
        buf_printf(out, "    %.*s\n", (int)n, p);
        p += n + (p[n] == '\n');
    }
    model_fini(&m);
}

/* ---- for people */

static void put_release(struct arena *arena, const struct release_info *r, const char *what, struct buf *out)
{
    char when[CLOCK_TEXT_MAX];
    clock_text(r->started_ms, when, sizeof when);
    const char *rev = r->rev[0] ? arena_strndup(arena, r->rev, 12) : r->plan_name;
    buf_printf(out, "  %-10s %s %" PRId64 ": %s, by %s@%s, %s: ", what, kind_name(r->kind), r->id, rev,
               r->who, r->host, when);
    if (r->exit_status < 0)
        buf_puts(out, r->resumable ? "unfinished\n" : "unfinished, given up\n");
    else
        buf_printf(out, "%s (exit %d)\n", end_text(r), r->exit_status);
}

static void put_lock(struct cli *cli, const struct env_state *st, struct buf *out)
{
    buf_printf(out, "  lock       %s\n", st->lock.held ? lock_text(&st->lock, &cli->arena) : "free");
    if (st->lock.held && st->lock.holder == HOLDER_BY_HAND)
        buf_printf(out, "             'release unlock %s' frees it\n", st->env);
}

static void put_unfinished(const struct env_state *st, struct buf *out)
{
    if (!st->unfinished || (st->running && st->running->id == st->unfinished->id))
        return;
    buf_printf(out,
               "  unfinished %s %" PRId64
               ": 'release resume %s' goes on, 'release rollback %s' takes it back\n",
               kind_name(st->unfinished->kind), st->unfinished->id, st->env, st->env);
}

static void put_nodes(struct cli *cli, const struct env_state *st, struct buf *out)
{
    struct table t;
    char when[CLOCK_TEXT_MAX];
    table_init(&t, &cli->arena, 5);
    for (size_t i = 0; i < st->n_nodes; i++) {
        const struct node_state_info *n = &st->nodes[i];
        if (n->debt)
            buf_printf(out, "  owed       %s: %s%s\n", n->node, n->debt_text,
                       st->left && st->left[i] ? "; it left the pillar" : "");
        TABLE_ROW(&t, "   ", n->node, n->rev && n->rev[0] ? arena_strndup(&cli->arena, n->rev, 12) : "-",
                  n->at_ms ? clock_text(n->at_ms, when, sizeof when) : "",
                  n->release ? arena_printf(&cli->arena, "release %" PRId64, n->release) : "");
    }
    if (st->n_nodes)
        buf_puts(out, "  nodes      as last known:\n");
    table_render(&t, out);
    if (st->n_gone)
        buf_printf(out, "  gone       %s\n", env_gone_text(st, &cli->arena));
}

static void put_env(struct cli *cli, struct store *store, const struct env_state *st, struct buf *out)
{
    const char *app = st->last ? st->last->app : st->lock.held ? st->lock.app : "";
    buf_printf(out, app[0] ? "%s of %s\n" : "%s\n", env_bare(st->env), app);
    if (st->running) {
        put_release(&cli->arena, st->running, "running", out);
        put_progress(cli, store, st->running->id, out);
    }
    if (st->last && !(st->running && st->running->id == st->last->id))
        put_release(&cli->arena, st->last, "last", out);
    if (!st->last && !st->running)
        buf_printf(out, "  last       no release yet (journal %s)\n", store_place(store));
    put_unfinished(st, out);
    put_lock(cli, st, out);
    put_nodes(cli, st, out);
}

/* ---- for programs */

static void put_json(struct cli *cli, const struct env_state *st, struct buf *out)
{
    json_t *o = env_state_json(st, &cli->arena);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    buf_printf(out, "%s\n", text);
    json_decref(o);
}

/* ---- drift */

static const char *known_rev(const struct env_state *st, const char *node)
{
    for (size_t i = 0; i < st->n_nodes; i++)
        if (same(st->nodes[i].node, node))
            return st->nodes[i].rev ? st->nodes[i].rev : "";
    return "";
}

/* What a node is, against what it was last released to: one word for programs, a sentence for people. "As
 * released" only when disk, processes and programs all say so. */
struct drift {
    const char *word, *text;
};

static bool is_rev(const char *text)
{
    return strlen(text) == 40 && is_hex(text, 40);
}

static struct drift drift_of(struct arena *arena, const struct look *l, const char *known)
{
    const char *down = look_down(l, arena);
    if (l->outcome != OUT_OK || *l->text)
        return (struct drift){"unknown", arena_printf(arena, "not known: %s", l->text)};
    if (*l->app_text)
        return (struct drift){"unknown",
                              arena_printf(arena, "the application is not known: %s", l->app_text)};
    if (*down)
        return (struct drift){"stopped", arena_printf(arena, "DOWN: %s", down)};
    if (*l->old || (*l->runs && !same(l->runs, l->disk)))
        return (struct drift){
            "old", arena_printf(arena, "OLD CODE: its processes run %.12s%s%s, on disk is %.12s",
                                *l->runs ? l->runs : "another revision", *l->old ? ", so do pids " : "",
                                l->old, *l->disk ? l->disk : "nothing")};
    if (!known[0])
        return (struct drift){"new", "never released from here"};
    if (!same(known, l->disk))
        return (struct drift){"drift", arena_printf(arena, "DRIFT: released was %.12s", known)};
    if (*l->unseen)
        return (struct drift){
            "unseen", arena_printf(arena, "on disk as released; what runs cannot be told: %s", l->unseen)};
    if (same(l->how, "age"))
        return (struct drift){"none", "as released, by the age of its processes"};
    if (same(l->how, "disk"))
        return (struct drift){"none", "as released on disk; no process was found to ask"};
    return (struct drift){"none", "as released"};
}

static const char *running_rev(const struct look *l)
{
    return is_rev(l->runs) ? l->runs : l->disk;
}

static void put_drift_json(struct session *s, const struct env_state *st, const struct look *l,
                           const char *role, struct buf *out)
{
    const char *known = known_rev(st, l->node);
    struct drift d = drift_of(&s->cli->arena, l, known);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "kind", "drift", "env", s->env, "node",
                          l->node, "running", running_rev(l), "released", known, "drift", d.word, "text",
                          watch_text_json(d.text, strlen(d.text)));
    must(o);
    if (role)
        json_object_set_new(o, "role", json_string(role));
    auto_free char *line = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    buf_printf(out, "%s\n", line);
    json_decref(o);
}

static void put_drift_table(struct session *s, const struct env_state *st, const struct look *looks,
                            const struct plan *plan, struct buf *out)
{
    struct table t;
    table_init(&t, &s->cli->arena, 4);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const char *runs = running_rev(&looks[i]), *role = plan_role_name(plan, &plan->nodes[i]);
        TABLE_ROW(&t, "   ",
                  role ? arena_printf(&s->cli->arena, "%s (%s)", looks[i].node, role) : looks[i].node,
                  runs[0] ? arena_strndup(&s->cli->arena, runs, 12) : "-",
                  drift_of(&s->cli->arena, &looks[i], known_rev(st, looks[i].node)).text);
    }
    buf_puts(out, "  asked now:\n");
    table_render(&t, out);
}

/* More than one revision in one environment: visitors get either. */
static void put_mixed(struct session *s, const struct look *looks, size_t n, struct buf *out)
{
    const char **revs = arena_array(&s->cli->arena, n + 1, sizeof *revs);
    size_t *counts = arena_array(&s->cli->arena, n + 1, sizeof *counts), n_revs = 0, k;
    for (size_t i = 0; i < n; i++) {
        const char *rev = running_rev(&looks[i]);
        if (looks[i].outcome != OUT_OK || !is_rev(rev)) /* what a node says is data */
            continue;
        for (k = 0; k < n_revs && !same(revs[k], rev); k++)
            continue;
        if (k == n_revs) {
            revs[n_revs] = rev;
            counts[n_revs++] = 0;
        }
        counts[k]++;
    }
    if (cli_flag(s->cli, "json")) {
        buf_printf(out, "{\"kind\":\"fleet\",\"env\":\"%s\",\"mixed\":%s,\"revisions\":{", s->env,
                   n_revs > 1 ? "true" : "false");
        for (k = 0; k < n_revs; k++)
            buf_printf(out, "%s\"%s\":%zu", k ? "," : "", revs[k], counts[k]);
        buf_puts(out, "}}\n");
    } else if (n_revs > 1) {
        buf_puts(out, "  MIXED      ");
        for (k = 0; k < n_revs; k++)
            buf_printf(out, "%s%.12s on %zu node%s", k ? ", " : "", revs[k], counts[k],
                       counts[k] == 1 ? "" : "s");
        buf_puts(out, "\n");
    }
}

static int put_drift(struct session *s, const struct env_state *st, struct buf *out)
{
    struct plan *plan;
    struct look *looks;
    struct err err;
    int status;
    if ((status = cli_plan_look(s->cli, s->env, &s->pillar, &plan)) || (status = session_secrets(s, plan)))
        return status;
    if (!run_look(plan, &s->cli->arena, &s->opt, &looks, &err)) {
        err_wrap(&err, "status: %s", s->env);
        return say_err(&err);
    }
    if (!cli_flag(s->cli, "json"))
        put_drift_table(s, st, looks, plan, out);
    for (size_t i = 0; i < plan->n_nodes && cli_flag(s->cli, "json"); i++)
        put_drift_json(s, st, &looks[i], plan_role_name(plan, &plan->nodes[i]), out);
    put_mixed(s, looks, plan->n_nodes, out);
    return 0;
}

/* ---- which environments */

static bool has_env(const char *const *envs, size_t n, const char *env)
{
    for (size_t i = 0; i < n; i++)
        if (same(envs[i], env))
            return true;
    return false;
}

/* The pillar's environments, then those that only the journal knows. */
static const char *const *all_envs(struct cli *cli, struct store *store, size_t *ret_n)
{
    const char *const *pillar = pillar_envs(cli_root(cli), &cli->arena), *const * list;
    struct err err;
    size_t n = 0, n_list = 0;
    if (!env_all(reader(store, &cli->arena), &list, &n_list, &err))
        n_list = 0;
    size_t most = n_list;
    for (size_t i = 0; pillar && pillar[i]; i++)
        most++;
    const char **envs = arena_array(&cli->arena, most + 1, sizeof *envs);
    for (size_t i = 0; pillar && pillar[i]; i++)
        envs[n++] = pillar[i];
    for (size_t i = 0; i < n_list; i++)
        if (!has_env(envs, n, list[i]))
            envs[n++] = list[i];
    *ret_n = n;
    return envs;
}

/* ---- the board of somebody else's release */

static int watch(struct cli *cli, struct store *store, const char *env)
{
    struct env_state st;
    struct plan *plan;
    struct err err;
    int status = cli_env_meant(cli, store, env);
    if (status)
        return status;
    if (!env_state_read(store, env, &cli->arena, &st, &err))
        return say_err(&err);
    if (!st.running) {
        out_printf("%s: nothing is running; 'release status %s' has the rest\n", env, env);
        return 0;
    }
    if ((status = stored_plan(cli, store, st.running->id, &plan)))
        return status;
    struct watch_spec spec = {.state_path = store_place(store),
                              .plan = watching_plan(&cli->arena, store, plan, st.running->id),
                              .form = watching_form(cli),
                              .out_fd = STDOUT_FILENO,
                              .wake_fd = -1,
                              .colour = watching_colour(STDOUT_FILENO),
                              .quit_on_death = true,
                              .step = -1};
    auto_fd int stop_fd = signals_open();
    if (!watch_run(&spec, stop_fd, &err))
        return say_err(&err);
    return signals_taken(stop_fd) ? EXIT_SIGINT : 0;
}

static int status_of(struct cli *cli, struct store *store, const char *env, struct buf *out)
{
    struct env_state st;
    struct err err;
    int status = cli_env_meant(cli, store, env);
    if (status)
        return status;
    if (!env_state_read(store, env, &cli->arena, &st, &err))
        return say_err(&err);
    status = st.last || st.lock.held ? 0 : cli_env_known(cli, store, env);
    if (status)
        return status;
    if (cli_flag(cli, "json"))
        put_json(cli, &st, out);
    else
        put_env(cli, store, &st, out);
    if (!cli_flag(cli, "probe"))
        return 0;
    struct session s;
    status = session_begin(&s, cli, env, STORE_READ);
    if (!status)
        status = put_drift(&s, &st, out);
    return session_end(&s, status, "");
}

static int run(struct cli *cli)
{
    auto_store struct store *store = NULL;
    const char *env;
    int status;
    if ((status = cli_env_or_all(cli, 0, &env)) || (status = cli_store(cli, STORE_READ, &store)))
        return status;
    if (cli_flag(cli, "watch")) {
        env = cli_env(cli, 0);
        return env ? watch(cli, store, env) : EXIT_USAGE;
    }
    size_t n = 1;
    const char *const *envs = env ? &env : all_envs(cli, store, &n);
    auto_buf struct buf out = BUF_INIT(32 * 1024 * 1024);
    for (size_t i = 0; i < n && !status; i++)
        status = status_of(cli, store, envs[i], &out);
    if (n == 0)
        buf_printf(&out, "no environment in the pillar of %s and no release in the journal %s yet\n",
                   cli_root(cli), store_place(store));
    out_buf(&out);
    return status;
}

const struct command command_status = {
    .name = "status",
    .summary = "What runs, who holds the lock, what is owed; --watch for the live board",
    .usage = "[ENV] [--watch] [--probe]",
    .text = "Without --probe this only reads the journal, so nodes are shown as last known.",
    .example = "  release status prod --watch",
    .options = options,
    .max_words = 1,
    .run = run,
};
