/* release lb: what the balancers themselves say about each server. */
#include "cli/session.h"

#include <jansson.h>
#include <string.h>

#include "base/auto.h"

static const struct option_def options[] = {
    PILLAR_OPTIONS,
    OPTION_END,
};

/* The fact "lb.BALANCER.SERVER" taken apart: addresses have dots, so the known server names are tried first.
 */
static bool split_name(struct arena *arena, const struct plan *plan, const char *fact, const char **ret_lb,
                       const char **ret_server)
{
    if (!str_starts(fact, "lb."))
        return false;
    const char *name = fact + 3, *dot = strrchr(name, '.');
    for (size_t i = 0; i < plan->n_nodes; i++)
        for (size_t k = 0; k < plan->nodes[i].n_vars; k++) {
            const struct op_pair *var = &plan->nodes[i].vars[k];
            size_t n = strlen(var->value), all = strlen(name);
            if (strcmp(var->name, "lb_server") == 0 && all > n + 1 && name[all - n - 1] == '.' &&
                strcmp(name + all - n, var->value) == 0)
                dot = name + all - n - 1;
        }
    if (!dot)
        return false;
    *ret_lb = arena_strndup(arena, name, (size_t)(dot - name));
    *ret_server = dot + 1;
    return true;
}

static const char *field(struct arena *arena, json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    if (json_is_string(v))
        return arena_strdup(arena, json_string_value(v));
    if (json_is_integer(v))
        return arena_printf(arena, "%lld", (long long)json_integer_value(v));
    return json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "";
}

static void put_row(struct cli *cli, struct table *t, struct buf *out, const char *env, const char *lb,
                    const char *server, json_t *row)
{
    struct arena *a = &cli->arena;
    if (!cli_flag(cli, "json")) {
        TABLE_ROW(t, lb, server, field(a, row, "state"), field(a, row, "admin"), field(a, row, "sessions"),
                  field(a, row, "queued"), field(a, row, "weight"), field(a, row, "check"),
                  field(a, row, "serving"));
        return;
    }
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s}", "kind", "server", "env", env, "balancer", lb, "server", server);
    must(o);
    json_object_update(o, row);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    buf_printf(out, "%s\n", text);
    json_decref(o);
}

static int print(struct cli *cli, const struct plan *plan, const struct probe *probes, size_t n)
{
    auto_buf struct buf out = BUF_INIT(32 * 1024 * 1024);
    struct table t;
    int status = 0;
    table_init(&t, &cli->arena, 9);
    TABLE_ROW(&t, "BALANCER", "SERVER", "STATE", "ADMIN", "SESSIONS", "QUEUED", "WEIGHT", "CHECK", "SERVING");
    for (size_t i = 0; i < n; i++) {
        if (probes[i].outcome != OUT_OK) {
            say_error("lb: %s; wanted the balancer's own table of servers; check its address in the pillar",
                      probes[i].text);
            status = EXIT_PREFLIGHT;
        }
        for (size_t k = 0; k < probes[i].n_facts; k++) {
            const char *lb, *server;
            json_t *row = split_name(&cli->arena, plan, probes[i].facts[k].name, &lb, &server)
                              ? json_loads(probes[i].facts[k].value, 0, NULL)
                              : NULL;
            if (json_is_object(row))
                put_row(cli, &t, &out, plan->env, lb, server, row);
            json_decref(row);
        }
    }
    if (!cli_flag(cli, "json") && t.n_rows > 1)
        table_render(&t, &out);
    out_buf(&out);
    return status;
}

static int show(struct session *s, struct plan *plan)
{
    struct probe *probes;
    size_t n;
    int status;
    if (!plan->show_step.verb) {
        say_error("lb: %s has no balancer in its pillar (wanted release: balancer:)", s->env);
        return EXIT_USAGE;
    }
    if ((status = session_secrets(s, plan)) || (status = probe_step(s, plan, &plan->show_step, &probes, &n)))
        return status;
    return print(s->cli, plan, probes, n);
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct session s;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = cli_plan_look(cli, env, &pillar, &plan)))
        return status;
    status = session_begin(&s, cli, env, STORE_READ);
    s.pillar = pillar;
    pillar = NULL;
    if (!status)
        status = show(&s, plan);
    return session_end(&s, status, "");
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
