/* SPDX-License-Identifier: MIT */
/* release lb: what the balancers themselves say about each server. */
#include "cli/session.h"

#include <jansson.h>
#include <string.h>

#include "base/auto.h"

static const struct option_def options[] = {
    PILLAR_OPTIONS,
    OPTION_END,
};

static const char *field(struct arena *arena, json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    if (json_is_string(v))
        return arena_strdup(arena, json_string_value(v));
    if (json_is_integer(v))
        return arena_printf(arena, "%lld", (long long)json_integer_value(v));
    return json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "";
}

/* What all of a pool's servers did together, below the table. */
static void put_pool(struct buf *out, struct arena *a, const char *lb, json_t *row)
{
    static const char *const keys[] = {"requests", "errors", "answer_ms"};
    bool any = false;
    buf_printf(out, "%s %s, all its servers in %s s:", lb, field(a, row, "backend"),
               field(a, row, "seconds"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!json_object_get(row, keys[i]))
            continue;
        buf_printf(out, "%s %s %s", any ? "," : "", keys[i], field(a, row, keys[i]));
        any = true;
    }
    buf_puts(out, any ? "\n" : " nothing is told\n");
}

static void put_row(struct cli *cli, struct table *t, struct buf *out, const char *env, const char *lb,
                    json_t *row)
{
    struct arena *a = &cli->arena;
    const char *server = field(a, row, "server");
    bool pool = server[0] == '\0'; /* what all of a pool's servers did together */
    if (!cli_flag(cli, "json")) {
        if (pool)
            put_pool(out, a, lb, row);
        else
            TABLE_ROW(t, lb, field(a, row, "backend"), server, field(a, row, "state"), field(a, row, "admin"),
                      field(a, row, "sessions"), field(a, row, "queued"), field(a, row, "weight"),
                      field(a, row, "check"), field(a, row, "serving"));
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:s}", "kind", pool ? "pool" : "server", "env", env, "balancer", lb);
    must(o && (pool || json_object_set_new(o, "server", json_string(server)) == 0));
    json_object_update(o, row);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    buf_printf(out, "%s\n", text);
    json_decref(o);
}

/* Two blocks of one backend see the same servers: each is shown once. */
static bool seen_already(json_t *seen, struct arena *a, const char *lb, json_t *row)
{
    const char *key = arena_printf(a, "%s %s %s", lb, field(a, row, "backend"), field(a, row, "server"));
    if (json_object_get(seen, key))
        return true;
    json_object_set_new(seen, key, json_true());
    return false;
}

struct view {
    struct cli *cli;
    const char *env;
    struct table table;
    struct buf out; /* without --json: what stands below the table */
    json_t *seen;
};

static void print_probe(struct view *v, const struct probe *probe)
{
    for (size_t k = 0; k < probe->n_facts; k++) {
        json_t *row = json_loads(probe->facts[k].value, 0, NULL);
        const char *lb = field(&v->cli->arena, row, "balancer");
        if (*lb && !seen_already(v->seen, &v->cli->arena, lb, row))
            put_row(v->cli, &v->table, &v->out, v->env, lb, row);
        json_decref(row);
    }
}

static int print(struct cli *cli, const struct plan *plan, const struct probe *probes, size_t n)
{
    struct view v = {.cli = cli, .env = plan->env, .out = BUF_INIT(32 * 1024 * 1024), .seen = json_object()};
    int status = 0;
    table_init(&v.table, &cli->arena, 10);
    TABLE_ROW(&v.table, "BALANCER", "BACKEND", "SERVER", "STATE", "ADMIN", "SESSIONS", "QUEUED", "WEIGHT",
              "CHECK", "SERVING");
    for (size_t i = 0; i < n; i++) {
        if (probes[i].outcome != OUT_OK) {
            say_error("lb: %s; wanted the balancer's own table of servers; check its address in the pillar",
                      probes[i].text);
            status = EXIT_PREFLIGHT;
        }
        print_probe(&v, &probes[i]);
    }
    auto_buf struct buf table = BUF_INIT(32 * 1024 * 1024);
    if (!cli_flag(cli, "json") && v.table.n_rows > 1)
        table_render(&v.table, &table);
    out_buf(&table);
    out_buf(&v.out);
    buf_fini(&v.out);
    json_decref(v.seen);
    return status;
}

static bool any_balancer(const struct plan *plan)
{
    for (size_t r = 0; r < plan_n_roles(plan); r++)
        if (plan_role_of(plan, r).show_step.verb)
            return true;
    return false;
}

/* The balancers of every role. */
static int ask_all(struct session *s, struct plan *plan, struct probe **ret, size_t *ret_n)
{
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        struct plan_role *role = arena_alloc(&s->cli->arena, sizeof *role);
        struct probe *probes;
        size_t n;
        *role = plan_role_of(plan, r);
        int status = role->show_step.verb ? probe_step(s, plan, &role->show_step, &probes, &n) : 0;
        if (status)
            return status;
        if (!role->show_step.verb)
            continue;
        struct probe *all = arena_array(&s->cli->arena, *ret_n + n + 1, sizeof *all);
        for (size_t i = 0; i < *ret_n + n; i++)
            all[i] = i < *ret_n ? (*ret)[i] : probes[i - *ret_n];
        *ret = all;
        *ret_n += n;
    }
    return 0;
}

static int show(struct session *s, struct plan *plan)
{
    struct probe *probes = NULL;
    size_t n = 0;
    int status;
    if (!any_balancer(plan)) {
        say_error("lb: %s has no balancer in its pillar (wanted release: balancer:)", s->env);
        return EXIT_USAGE;
    }
    if ((status = session_secrets(s, plan)) || (status = ask_all(s, plan, &probes, &n)))
        return status;
    return print(s->cli, plan, probes, n);
}

static int run(struct cli *cli)
{
    return session_with_plan(cli, cli_plan_look, STORE_READ, show);
}

const struct command command_lb = {
    .name = "lb",
    .summary = "The balancers' own view: server, state, sessions",
    .usage = "[ENV]",
    .example = "  release lb prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
