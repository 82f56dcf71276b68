/* SPDX-License-Identifier: MIT */
/* release nodes: the nodes of an environment in release order, and where each was written. */
#include "cli/session.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static const struct option_def options[] = {
    PILLAR_OPTIONS,
    {.name = "only", .arg = "NODE,..", .help = "only these nodes"},
    OPTION_END,
};

static const char *var_of(const struct plan_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_vars; i++)
        if (strcmp(node->vars[i].name, name) == 0)
            return node->vars[i].value;
    return "";
}

/* Variables beyond the columns, as name=value. */
static const char *other_vars(struct arena *arena, const struct plan_node *node)
{
    static const char *const columns[] = {"node", "host", "port"};
    auto_buf struct buf out = BUF_INIT(4096);
    for (size_t i = 0; i < node->n_vars; i++) {
        bool column = false;
        for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
            column |= strcmp(node->vars[i].name, columns[k]) == 0;
        if (!column)
            buf_printf(&out, "%s%s=%s", out.len ? " " : "", node->vars[i].name, node->vars[i].value);
    }
    for (size_t i = 0; i < node->n_own; i++)
        buf_printf(&out, "%s%s=%s", out.len ? " " : "", node->own[i].name, node->own[i].value);
    return arena_strdup(arena, buf_str(&out));
}

static json_t *rendered_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->n_rendered; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "by", plan->rendered[i].name, "sha256", plan->rendered[i].value));
    return list;
}

static void print_json(const struct plan *plan, struct buf *out)
{
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *n = &plan->nodes[i];
        json_t *o = json_object(), *vars = json_object();
        for (size_t k = 0; k < n->n_vars; k++)
            json_object_set_new(vars, n->vars[k].name, json_string(n->vars[k].value));
        json_object_set_new(o, "kind", json_string("node"));
        json_object_set_new(o, "env", json_string(plan->env));
        json_object_set_new(o, "node", json_string(n->id));
        json_object_set_new(o, "address", json_string(n->target.host));
        json_object_set_new(o, "vars", vars);
        if (plan_role_name(plan, n))
            json_object_set_new(o, "role", json_string(plan_role_name(plan, n)));
        json_object_set_new(o, "where", json_string(n->where));
        json_object_set_new(o, "rendered", rendered_json(plan));
        auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
        buf_printf(out, "%s\n", text);
        json_decref(o);
    }
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = cli_plan_look(cli, env, &pillar, &plan)))
        return status;
    auto_buf struct buf out = BUF_INIT(32 * 1024 * 1024);
    if (cli_flag(cli, "json"))
        print_json(plan, &out);
    else {
        struct table t;
        table_init(&t, &cli->arena, 7);
        const char *role = plan->n_roles > 0 ? "ROLE" : "";
        TABLE_ROW(&t, "NODE", "HOST", "PORT", "SSH", "VARIABLES", "WRITTEN", role);
        for (size_t i = 0; i < plan->n_nodes; i++) {
            const struct plan_node *n = &plan->nodes[i];
            const char *ssh =
                arena_printf(&cli->arena, "%s%s%s%s", n->target.ssh.user ? n->target.ssh.user : "",
                             n->target.ssh.user ? "@" : "", n->target.host,
                             n->target.ssh.port ? arena_printf(&cli->arena, ":%d", n->target.ssh.port) : "");
            TABLE_ROW(&t, n->id, var_of(n, "host"), var_of(n, "port"), ssh, other_vars(&cli->arena, n),
                      n->where, plan->n_roles > 0 ? plan_role_name(plan, n) : "");
        }
        table_render(&t, &out);
        for (size_t i = 0; i < plan->n_rendered; i++)
            buf_printf(&out, "%s%s (sha256 %.12s)\n", i == 0 ? "\n" : "", plan->rendered[i].name,
                       plan->rendered[i].value);
    }
    out_buf(&out);
    return 0;
}

const struct command command_nodes = {
    .name = "nodes",
    .summary = "The nodes in release order, and where each was written",
    .usage = "[ENV]",
    .example = "  release nodes prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
