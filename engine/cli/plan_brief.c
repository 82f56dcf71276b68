/* SPDX-License-Identifier: MIT */
/* --brief: revision, nodes, capacity and commits in one small object. A room or a page shows it
 * with its question; the digest binds the answer to this plan and no other (--digest). */
#include "cli/plan_brief.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/watching.h"

#define COMMITS_SHOWN 10
#define NODES_SHOWN   20

/* What nodes print may be anything; JSON takes UTF-8 only. */
static json_t *text(const char *s)
{
    auto_buf struct buf visible = BUF_INIT(4000);
    text_visible(&visible, s, strlen(s));
    return json_string(buf_str(&visible));
}

/* ---- what changes from what to what */

const char *plan_target(const struct plan *plan, size_t i)
{
    const char *own = plan->nodes[i].rev;
    return own && *own ? own : plan->rev ? plan->rev : "";
}

bool plan_same_change(const struct plan *plan, size_t a, size_t b)
{
    return strcmp(plan->nodes[a].rev_before, plan->nodes[b].rev_before) == 0 &&
           strcmp(plan_target(plan, a), plan_target(plan, b)) == 0;
}

bool plan_first_of_change(const struct plan *plan, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (plan_same_change(plan, k, i))
            return false;
    return true;
}

/* What another machine's git says of it, in one of our words; "": it says none of them. */
static const char *direction_of(const struct probe *probe)
{
    int direction = direction_from_name(probe_fact(probe, "direction"));
    return direction_name(direction < 0 ? DIRECTION_UNKNOWN : (enum direction)direction);
}

static json_t *commits_json(const struct probe *probe)
{
    json_t *list = json_array();
    for (size_t i = 0; i < probe->n_facts && json_array_size(list) < COMMITS_SHOWN; i++)
        if (str_starts(probe->facts[i].name, "commit."))
            json_array_append_new(list, text(probe->facts[i].value));
    return list;
}

/* The change of node `of` and of all that have the same. */
static json_t *change_json(struct session *s, const struct plan *plan, size_t of)
{
    const char *why = "", *before = plan->nodes[of].rev_before, *to = plan_target(plan, of);
    json_int_t nodes = 0;
    for (size_t i = of; i < plan->n_nodes; i++)
        nodes += plan_same_change(plan, of, i);
    json_t *o = json_pack("{s:s, s:s, s:I}", "from", before, "to", to, "nodes", nodes);
    bool asks = before[0] && strcmp(before, to) != 0;
    const struct probe *probe = asks ? plan_commits(s, plan, before, to, &why) : NULL;
    long long count;
    if (asks && !probe)
        json_object_set_new(o, "unknown", text(why));
    if (!probe)
        return o;
    json_object_set_new(o, "direction", json_string(direction_of(probe)));
    json_object_set_new(o, "commits", commits_json(probe));
    if (plan_git_path(plan))
        json_object_set_new(o, "path", text(plan_git_path(plan)));
    if (parse_number(probe_fact(probe, "count"), &count))
        json_object_set_new(o, "count", json_integer(count));
    return o;
}

static json_t *changes_json(struct session *s, const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; plan->needs_rev && i < plan->n_nodes; i++)
        if (plan_first_of_change(plan, i))
            json_array_append_new(list, change_json(s, plan, i));
    return list;
}

static json_t *left_json(struct session *s, const struct plan *plan)
{
    struct model m;
    if (plan->n_nodes == 0)
        return json_null();
    model_init(&m, watching_plan(&s->cli->arena, s->store, plan, 0));
    m.started_ms = clock_wall_ms();
    int64_t left = model_left_ms(&m, m.started_ms);
    model_fini(&m);
    return left >= 0 ? json_integer(left) : json_null();
}

int plan_as_confirmed(struct cli *cli, const struct plan *plan)
{
    const char *wanted = cli_opt(cli, "digest");
    char digest[65];
    if (!wanted)
        return 0;
    plan_consent(plan, digest);
    if (strcmp(wanted, digest) == 0)
        return 0;
    say_error("%s: the plan is not the one that was confirmed (%.12s, now %.12s): nodes, revision or "
              "settings have changed since; look at it again and confirm it; nothing was touched",
              cli->command->name, wanted, digest);
    return EXIT_PREFLIGHT;
}

/* ---- in figures */

static bool is_balanced(const struct plan *plan, size_t role)
{
    return plan->n_roles == 0 || plan->roles[role].capacity_step.verb != NULL;
}

static size_t up_of_role(const struct plan *plan, size_t role)
{
    size_t up = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        up += plan->nodes[i].role == role && plan->nodes[i].was_up;
    return up;
}

size_t plan_up(const struct plan *plan)
{
    size_t up = 0;
    for (size_t r = 0; r < plan_n_roles(plan); r++)
        up += is_balanced(plan, r) ? up_of_role(plan, r) : 0;
    return up;
}

static json_t *roles_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t r = 0; r < plan->n_roles; r++) {
        const struct plan_role *role = &plan->roles[r];
        json_t *up = is_balanced(plan, r) ? json_integer((json_int_t)up_of_role(plan, r)) : json_null();
        json_array_append_new(list, json_pack("{s:s, s:I, s:i, s:i, s:o}", "name", role->name, "nodes",
                                              (json_int_t)plan_role_count(plan, r), "window",
                                              (int)role->window, "min_up", (int)role->min_up, "up", up));
    }
    return list;
}

const char *plan_roles_text(const struct plan *plan, struct arena *arena)
{
    if (plan->n_roles == 0)
        return NULL;
    json_t *list = roles_json(plan);
    auto_free char *json = json_dumps(list, JSON_COMPACT | JSON_ENSURE_ASCII);
    must(json);
    json_decref(list);
    return arena_strdup(arena, json);
}

void brief_print(struct session *s, struct plan *plan, const char *about)
{
    json_t *ids = json_array(), *stages = json_array();
    char digest[65];
    plan_consent(plan, digest);
    for (size_t i = 0; i < plan->n_nodes && i < NODES_SHOWN; i++)
        json_array_append_new(ids, json_string(plan->nodes[i].id));
    for (size_t i = 0; i < plan->n_stages; i++)
        json_array_append_new(stages, json_integer(plan->stage_end[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:I, s:i, s:i, s:o, s:I, s:o, s:o}", "kind",
                  "brief", "env", plan->env, "app", plan->app, "plan", plan->name, "rev",
                  plan->rev ? plan->rev : "", "rev_typed", plan->rev_typed ? plan->rev_typed : "", "digest",
                  digest, "nodes", (json_int_t)plan->n_nodes, "ids", ids, "up", (json_int_t)plan_up(plan),
                  "window", (int)plan->window, "min_up", (int)plan->min_up, "stages", stages, "soak_ms",
                  (json_int_t)plan->soak_ms, "changes", changes_json(s, plan), "left_ms", left_json(s, plan));
    if (plan->n_roles > 0)
        json_object_set_new(o, "roles", roles_json(plan));
    json_object_set_new(o, "what", json_string(kind_name(plan->kind)));
    json_object_set_new(o, "about", about ? text(about) : json_null());
    auto_free char *json = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    must(json);
    out_printf("%s\n", json);
    json_decref(o);
}
