/* SPDX-License-Identifier: MIT */
/* A plan as canonical JSON (keys sorted, no spaces) with its SHA-256: what the journal keeps and a resume
 * reads. Unknown members are ignored on reading, so an engine may add some; a change of meaning raises
 * FORMAT. */
#include "plans/plan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "plans/freeze_priv.h"
#include "plans/judge.h"
#include "plans/times.h"

static json_t *text(const char *s)
{
    json_t *j = s == NULL ? json_null() : json_string(s);
    if (j != NULL)
        return j;
    auto_buf struct buf visible = BUF_INIT((size_t)1 << 24); /* not UTF-8: facts may come from anywhere */
    text_visible(&visible, s, strlen(s));
    return json_string(buf_str(&visible));
}

static void put(json_t *o, const char *name, json_t *value)
{
    must(json_object_set_new(o, name, value) == 0);
}

static void put_text(json_t *o, const char *name, const char *s)
{
    if (s != NULL)
        put(o, name, text(s));
}

static void put_int(json_t *o, const char *name, int64_t n)
{
    put(o, name, json_integer(n));
}

/* Pairs keep their order, so they are an array of [name, value]. */
static void put_pairs(json_t *o, const char *name, const struct op_pair *pairs, size_t n)
{
    if (n == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array();
        must(json_array_append_new(pair, text(pairs[i].name)) == 0);
        must(json_array_append_new(pair, text(pairs[i].value)) == 0);
        must(json_array_append_new(list, pair) == 0);
    }
    put(o, name, list);
}

/* Fields that came later: plans without them stay as they were, digest and all. */
static void put_flag(json_t *o, const char *name, bool flag)
{
    if (flag)
        put(o, name, json_true());
}

static json_t *step_json(const struct plan_step *s)
{
    json_t *o = json_object();
    put_text(o, "verb", s->verb);
    put_text(o, "label", s->label);
    put_text(o, "counts", s->counts);
    put_text(o, "phase", phase_name(s->phase));
    put_text(o, "once", once_name(s->once));
    if (s->role > 0)
        put_int(o, "role", s->role);
    put_text(o, "on_timeout", on_timeout_name(s->on_timeout));
    put_int(o, "timeout_ms", s->timeout_ms);
    put_int(o, "interval_ms", s->interval_ms);
    put_int(o, "escalate_ms", s->escalate_ms);
    put_int(o, "retries", s->retries);
    put_int(o, "stable", s->stable);
    put(o, "forward_only", json_boolean(s->forward_only));
    put_flag(o, "back_only", s->back_only);
    put_flag(o, "out_only", s->out_only);
    put_flag(o, "warns", s->warns);
    put_flag(o, "warns_back", s->warns_back);
    put_flag(o, "undoes", s->undoes);
    put_text(o, "undo_cmd", s->undo_cmd);
    put_text(o, "where", s->where);
    put_pairs(o, "args", s->args, s->n_args);
    if (s->also != NULL)
        put(o, "also", step_json(s->also));
    return o;
}

static void put_step(json_t *o, const char *name, const struct plan_step *s)
{
    if (s->verb != NULL)
        put(o, name, step_json(s));
}

static json_t *target_json(const struct target *t)
{
    json_t *o = json_object();
    put_text(o, "id", t->id);
    put_text(o, "transport", t->transport);
    put_text(o, "host", t->host);
    put_int(o, "port", t->ssh.port);
    put_text(o, "user", t->ssh.user);
    put_text(o, "key", t->ssh.key);
    put_text(o, "known_hosts", t->ssh.known_hosts);
    put_text(o, "proxy_jump", t->ssh.proxy_jump);
    put_text(o, "ssh_config", t->ssh.config);
    put_text(o, "state_dir", t->state_dir);
    put_text(o, "identity", t->identity);
    return o;
}

static json_t *node_json(const struct plan_node *n)
{
    json_t *o = json_object();
    put_text(o, "id", n->id);
    put_text(o, "rev", n->rev);
    put_text(o, "rev_before", n->rev_before);
    put(o, "was_up", json_boolean(n->was_up));
    if (n->role > 0)
        put_int(o, "role", n->role);
    put(o, "target", target_json(&n->target));
    put_pairs(o, "vars", n->vars, n->n_vars);
    put_pairs(o, "facts", n->facts, n->n_facts);
    put_text(o, "where", n->where);
    put_text(o, "of_host", n->of_host);
    put_pairs(o, "own", n->own, n->n_own);
    return o;
}

static void put_judge(json_t *o, const struct plan_judge *j)
{
    if (j == NULL)
        return;
    json_t *judge = json_object();
    put_int(judge, "errors_ppm", j->errors_ppm);
    put_int(judge, "worse_percent", j->worse_percent);
    put_int(judge, "slower_percent", j->slower_percent);
    put_int(judge, "min_requests", j->min_requests);
    put_int(judge, "deadline_ms", j->deadline_ms);
    put(judge, "passes", json_boolean(j->passes));
    put_step(judge, "step", &j->step);
    put_step(judge, "cmd", &j->cmd);
    put_step(judge, "prometheus", &j->prometheus);
    put_text(judge, "where", j->where);
    put(o, "judge", judge);
}

static void put_head(json_t *o, const struct plan *p)
{
    put_int(o, "format", FREEZE_FORMAT_OF(p));
    put_text(o, "env", p->env);
    put_text(o, "app", p->app);
    put_text(o, "name", p->name);
    put_text(o, "kind", kind_name(p->kind));
    put_text(o, "rev", p->rev);
    put_text(o, "rev_typed", p->rev_typed);
    put_text(o, "dir", p->dir);
    put_text(o, "user", p->user);
    put_text(o, "repo", p->repo);
    put(o, "needs_rev", json_boolean(p->needs_rev));
    put_int(o, "soak_ms", p->soak_ms);
    put_int(o, "window", p->window);
    put_int(o, "min_up", p->min_up);
    put_int(o, "max_failed", p->max_failed);
    put(o, "rollback_on_failure", json_boolean(p->rollback_on_failure));
    put_int(o, "keep", p->keep);
    put(o, "capacity", json_boolean(p->capacity));
}

static json_t *role_json(const struct plan_role *r)
{
    json_t *o = json_object();
    put_text(o, "name", r->name);
    put_int(o, "window", r->window);
    put_int(o, "min_up", r->min_up);
    put_int(o, "max_failed", r->max_failed);
    put_int(o, "soak_ms", r->soak_ms);
    put_judge(o, r->judge);
    put_step(o, "capacity_step", &r->capacity_step);
    put_step(o, "guard_step", &r->guard_step);
    put_step(o, "show_step", &r->show_step);
    put_step(o, "survey_step", &r->survey_step);
    put_step(o, "probe_step", &r->probe_step);
    if (r->ssh_defaults.transport != NULL)
        put(o, "ssh_defaults", target_json(&r->ssh_defaults));
    return o;
}

static void put_roles(json_t *o, const struct plan *p)
{
    json_t *roles = json_array();
    for (size_t i = 0; i < p->n_roles; i++)
        must(json_array_append_new(roles, role_json(&p->roles[i])) == 0);
    put(o, "roles", roles);
}

static void put_lists(json_t *o, const struct plan *p)
{
    json_t *steps = json_array(), *nodes = json_array(), *stages = json_array();
    for (size_t i = 0; i < p->n_steps; i++)
        must(json_array_append_new(steps, step_json(&p->steps[i])) == 0);
    for (size_t i = 0; i < p->n_nodes; i++)
        must(json_array_append_new(nodes, node_json(&p->nodes[i])) == 0);
    for (size_t i = 0; i < p->n_stages; i++)
        must(json_array_append_new(stages, json_integer(p->stage_end[i])) == 0);
    put(o, "steps", steps);
    put(o, "nodes", nodes);
    put(o, "stage_end", stages);
}

static json_t *texts_json(const char *const *texts, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        must(json_array_append_new(list, text(texts[i])) == 0);
    return list;
}

static json_t *overrides_json(uint8_t overrides)
{
    json_t *list = json_array();
    for (int i = 0; i < OVERRIDE_COUNT; i++)
        if (overrides >> i & 1)
            must(json_array_append_new(list, text(override_name((enum override)i))) == 0);
    return list;
}

static json_t *times_json(const struct plan_times *times)
{
    json_t *o = json_object(), *freezes = json_array();
    put(o, "windows", texts_json(times->windows, times->n_windows));
    put(o, "skip_days", texts_json(times->skip_days, times->n_skip_days));
    put_text(o, "tz", times->tz);
    put(o, "pauses", json_boolean(times->pauses));
    for (size_t i = 0; i < times->n_freezes; i++) {
        json_t *one = json_object();
        put_text(one, "from", times->freezes[i].from);
        put_text(one, "to", times->freezes[i].to);
        put_text(one, "why", times->freezes[i].why);
        must(json_array_append_new(freezes, one) == 0);
    }
    put(o, "freeze", freezes);
    return o;
}

char *plan_encode(struct plan *plan)
{
    json_t *o = json_object();
    put_head(o, plan);
    put_lists(o, plan);
    if (plan->n_roles > 0)
        put_roles(o, plan);
    else
        put_judge(o, plan->judge);
    put_step(o, "capacity_step", &plan->capacity_step);
    put_step(o, "guard_step", &plan->guard_step);
    put_step(o, "show_step", &plan->show_step);
    put_step(o, "survey_step", &plan->survey_step);
    put_step(o, "probe_step", &plan->probe_step);
    put_step(o, "resolve_step", &plan->resolve_step);
    put_step(o, "log_step", &plan->log_step);
    put(o, "ssh_defaults", target_json(&plan->ssh_defaults));
    put_pairs(o, "vars", plan->vars, plan->n_vars);
    put_pairs(o, "secrets", plan->secrets, plan->n_secrets);
    put_pairs(o, "events", plan->events, plan->n_events);
    if (plan->n_rendered > 0)
        put_pairs(o, "rendered", plan->rendered, plan->n_rendered);
    if (plan->times != NULL)
        put(o, "times", times_json(plan->times));
    if (plan->override != NULL)
        put_text(o, "override", plan->override);
    if (plan->overrides != 0)
        put(o, "overrides", overrides_json(plan->overrides));
    char *json = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);
    must(json != NULL);
    json_decref(o);
    sha256_hex(json, strlen(json), plan->digest);
    return json;
}
