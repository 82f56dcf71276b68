/* SPDX-License-Identifier: MIT */
/* What release.prepared and the application's own driver found out, as a list of what is lacking. */
#include "cli/prepare.h"

#include <jansson.h>
#include <string.h>

#include "base/auto.h"
#include "cli/plan_brief.h"
#include "run/look.h"

void lacks_add(struct lacks *lacks, const char *node, struct lack lack)
{
    for (size_t i = 0; i < lacks->n; i++) {
        struct lack *l = &lacks->list[i];
        if (strcmp(l->kind, lack.kind) == 0 && strcmp(l->text, lack.text) == 0 && l->does == lack.does &&
            strcmp(l->act ? l->act : "", lack.act ? lack.act : "") == 0) {
            l->nodes = arena_printf(lacks->arena, "%s, %s", l->nodes, node);
            return;
        }
    }
    if (lacks->n == lacks->cap) {
        lacks->cap = lacks->cap ? 2 * lacks->cap : 16;
        struct lack *more = arena_array(lacks->arena, lacks->cap, sizeof *more);
        for (size_t i = 0; i < lacks->n; i++)
            more[i] = lacks->list[i];
        lacks->list = more;
    }
    lack.nodes = node;
    lacks->list[lacks->n++] = lack;
}

/* The directory of releases. true: --apply makes it. */
static bool judge_dir(struct lacks *lacks, const char *dir, const struct probe *probe)
{
    struct arena *a = lacks->arena;
    const char *state = probe_fact(probe, "prepare.state"), *user = probe_fact(probe, "prepare.user"),
               *group = probe_fact(probe, "prepare.group");
    bool can = strcmp(probe_fact(probe, "prepare.way"), "none") != 0;
    if (strcmp(state, "nouser") == 0)
        lacks_add(lacks, probe->node,
                  (struct lack){.kind = "user",
                                .text = arena_printf(a, "there is no user %s", user),
                                .act = arena_printf(
                                    a, "as root there: adduser --disabled-password --gecos '' %s", user)});
    else if (strcmp(state, "file") == 0)
        lacks_add(lacks, probe->node,
                  (struct lack){.kind = "directory",
                                .text = arena_printf(a, "%s is there and is no directory", dir),
                                .act = "move it away, or correct `dir` in the pillar"});
    else if (strcmp(state, "foreign") == 0)
        lacks_add(lacks, probe->node,
                  (struct lack){.kind = "directory",
                                .text = arena_printf(a, "%s belongs to %s, and %s cannot write there", dir,
                                                     probe_fact(probe, "prepare.owner"), user),
                                .act = arena_printf(a, "look what is in it; as root there: chown %s:%s %s",
                                                    user, group, dir)});
    else if (strcmp(state, "missing") == 0)
        lacks_add(lacks, probe->node,
                  (struct lack){.kind = "directory",
                                .text = arena_printf(a, "%s is missing", dir),
                                .act = can ? NULL
                                           : arena_printf(a, "as root there: install -d -o %s -g %s -- %s",
                                                          user, group, dir),
                                .does = can});
    return strcmp(state, "missing") == 0 && can;
}

static bool has_host_key(const struct probe *probe)
{
    for (size_t k = 0; k < probe->n_facts; k++)
        if (str_starts(probe->facts[k].name, HOST_KEY_FACT))
            return true;
    return false;
}

void prepare_judge(struct lacks *lacks, const struct plan *plan, const struct probe *probes, bool *dirs)
{
    for (size_t i = 0; i < plan->n_nodes; i++) {
        size_t n;
        const struct op_pair *vars = plan_vars(plan, &plan->nodes[i], false, lacks->arena, &n);
        const char *dir = op_pair_value(vars, n, "dir");
        dirs[i] = false;
        if (probes[i].outcome != OUT_OK) {
            if (!has_host_key(&probes[i])) /* that is said by its key */
                lacks_add(lacks, probes[i].node, (struct lack){.kind = "node", .text = probes[i].text});
            continue;
        }
        if (*probe_fact(&probes[i], "prepare.git"))
            lacks_add(lacks, probes[i].node,
                      (struct lack){.kind = "git",
                                    .text = "git is not installed",
                                    .act = "as root there: apt-get install git"});
        dirs[i] = judge_dir(lacks, dir ? dir : plan->dir, &probes[i]);
    }
}

struct plan *plan_of_nodes(const struct plan *plan, const bool *some, struct arena *arena)
{
    struct plan *part = arena_alloc(arena, sizeof *part);
    *part = *plan;
    part->nodes = arena_array(arena, plan->n_nodes + 1, sizeof *part->nodes);
    part->n_nodes = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (some[i])
            part->nodes[part->n_nodes++] = plan->nodes[i];
    return part;
}

/* ---- what the application's driver would have there */

static void put_name(struct buf *out, const char *name)
{
    buf_printf(out, "%.*s", (int)strcspn(name, ":"), name); /* of supervisord's "group:*" the group */
}

static void put_place(struct buf *out, const char *key, const struct op_pair *vars, size_t n)
{
    const char *value = op_pair_value(vars, n, key), *release_dir = op_pair_value(vars, n, "release_dir");
    if (strcmp(key, "port") == 0)
        buf_printf(out, "%s%s", value && *value ? ", on port " : "", value ? value : "");
    else if (strcmp(key, "dir") == 0)
        buf_printf(out, "%s%s", value, release_dir && strcmp(release_dir, value) == 0 ? "" : "/current");
    else
        buf_puts(out, value && *value ? value : "FILL IN");
}

static void put_proposal(struct buf *out, const char *text, const char *of, const struct op_pair *vars,
                         size_t n)
{
    while (*text) {
        const char *open = strchr(text, '{'), *end = open ? strchr(open, '}') : NULL;
        buf_printf(out, "%.*s", (int)(end ? (size_t)(open - text) : strlen(text)), text);
        if (!end)
            return;
        char key[16] = "";
        must((size_t)(end - open) <= sizeof key);
        memcpy(key, open + 1, (size_t)(end - open - 1));
        if (strcmp(key, "of") == 0)
            put_name(out, of);
        else
            put_place(out, key, vars, n);
        text = end + 1;
    }
}

/* One text for each program or service that the step names. */
static const char *proposal(const struct plan *plan, const struct plan_step *step,
                            const struct driver *driver, const struct plan_node *node, struct arena *arena)
{
    size_t n_args, n_vars;
    const struct op_pair *args = plan_args(plan, step, node, false, arena, &n_args),
                         *vars = plan_vars(plan, node, false, arena, &n_vars);
    const char *of = op_pair_value(args, n_args, driver->proposal_of);
    auto_buf struct buf out = BUF_INIT(64 * 1024);
    if (!of || !*of)
        return NULL;
    json_t *list = json_loads(of, 0, NULL);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && *name && *name != '*')
            put_proposal(&out, driver->proposal, name, vars, n_vars);
    }
    if (!json_is_array(list))
        put_proposal(&out, driver->proposal, of, vars, n_vars);
    json_decref(list);
    return arena_strdup(arena, buf_str(&out));
}

/* The first of the nodes, all of one role, stands for them: what starts and stops them is the same. */
static int ask_apps(struct session *s, const struct plan *plan, struct lacks *lacks)
{
    const struct verb *verb = NULL;
    const struct driver *driver = NULL;
    const struct plan_step *step = plan->n_nodes ? look_app_step(plan, &plan->nodes[0], &verb) : NULL;
    struct probe *probes = NULL;
    size_t n = 0;
    if (!step)
        return 0;
    struct plan_step probe = *step;
    probe.verb = verb->name;
    int status = probe_step(s, plan, &probe, &probes, &n);
    must(verb_find(verb->name, &driver));
    for (size_t i = 0; i < n && !status; i++) {
        bool absent = probes[i].code == E_NOTFOUND && driver->proposal;
        if (probes[i].outcome != OUT_OK)
            lacks_add(lacks, probes[i].node,
                      (struct lack){.kind = "application",
                                    .text = probes[i].text,
                                    .act = absent
                                               ? proposal(plan, step, driver, &plan->nodes[i], lacks->arena)
                                               : NULL});
    }
    return status;
}

int prepare_apps(struct session *s, const struct plan *plan, const struct probe *probes, struct lacks *lacks)
{
    bool *some = arena_array(lacks->arena, plan->n_nodes + 1, sizeof *some);
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        for (size_t i = 0; i < plan->n_nodes; i++)
            some[i] = plan->nodes[i].role == r && probes[i].outcome == OUT_OK;
        int status = ask_apps(s, plan_of_nodes(plan, some, lacks->arena), lacks);
        if (status)
            return status;
    }
    return 0;
}
