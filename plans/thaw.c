/* SPDX-License-Identifier: MIT */
/* Reading what plan_encode wrote. The journal may be damaged: nothing is believed before it has the right
 * type. */
#include "plans/plan.h"

#include <jansson.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "plans/freeze_priv.h"
#include "plans/judge.h"
#include "plans/times.h"

struct thaw {
    struct arena *arena;
    const char *bad; /* the first member that is not as it must be */
};

static const json_t *want(struct thaw *t, const json_t *o, const char *name, json_type type)
{
    const json_t *v = json_object_get(o, name);
    if (v != NULL && json_typeof(v) == type)
        return v;
    if (t->bad == NULL)
        t->bad = name;
    return NULL;
}

static const char *text(struct thaw *t, const json_t *o, const char *name)
{
    const json_t *v = want(t, o, name, JSON_STRING);
    return v == NULL ? "" : arena_strdup(t->arena, json_string_value(v));
}

/* Absent = NULL. */
static const char *maybe_text(struct thaw *t, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v == NULL || json_is_null(v) ? NULL : text(t, o, name);
}

static int64_t number(struct thaw *t, const json_t *o, const char *name, int64_t min, int64_t max)
{
    const json_t *v = want(t, o, name, JSON_INTEGER);
    int64_t n = v == NULL ? min : (int64_t)json_integer_value(v);
    if ((n < min || n > max) && t->bad == NULL)
        t->bad = name;
    return n < min || n > max ? min : n;
}

static bool boolean(struct thaw *t, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_boolean(v) && t->bad == NULL)
        t->bad = name;
    return json_is_true(v);
}

static int word(struct thaw *t, const json_t *o, const char *name, int (*from_name)(const char *))
{
    int i = from_name(text(t, o, name));
    if (i < 0 && t->bad == NULL)
        t->bad = name;
    return i < 0 ? 0 : i;
}

static const struct op_pair *pairs(struct thaw *t, const json_t *o, const char *name, size_t *ret_n)
{
    const json_t *list = json_object_get(o, name);
    size_t n = json_array_size(list);
    struct op_pair *ret = arena_array(t->arena, n + 1, sizeof(*ret));
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        const char *key = json_string_value(json_array_get(pair, 0)),
                   *value = json_string_value(json_array_get(pair, 1));
        if ((key == NULL || value == NULL) && t->bad == NULL)
            t->bad = name;
        ret[i] = (struct op_pair){.name = arena_strdup(t->arena, key == NULL ? "" : key),
                                  .value = arena_strdup(t->arena, value == NULL ? "" : value)};
    }
    return ret;
}

#define DAYS_MS(n) ((int64_t)(n)*24 * 3600 * 1000)

static const struct plan_step *also(struct thaw *t, const json_t *o);

/* A later field: absent is 0. */
static int64_t maybe_number(struct thaw *t, const json_t *o, const char *name, int64_t max)
{
    return json_object_get(o, name) == NULL ? 0 : number(t, o, name, 0, max);
}

static struct plan_step step(struct thaw *t, const json_t *o)
{
    struct plan_step s = {
        .verb = text(t, o, "verb"),
        .label = text(t, o, "label"),
        .counts = maybe_text(t, o, "counts"),
        .phase = (enum phase)word(t, o, "phase", phase_from_name),
        .role = (uint8_t)maybe_number(t, o, "role", PLAN_ROLES_MAX),
        .once = (enum once)word(t, o, "once", once_from_name),
        .on_timeout = (enum on_timeout)word(t, o, "on_timeout", on_timeout_from_name),
        .timeout_ms = number(t, o, "timeout_ms", 0, DAYS_MS(3650)),
        .interval_ms = number(t, o, "interval_ms", 0, DAYS_MS(3650)),
        .escalate_ms = number(t, o, "escalate_ms", 0, DAYS_MS(3650)),
        .retries = (int)number(t, o, "retries", 0, 1000),
        .stable = (int)number(t, o, "stable", 0, 255),
        .forward_only = boolean(t, o, "forward_only"),
        .back_only = json_is_true(json_object_get(o, "back_only")),
        .out_only = json_is_true(json_object_get(o, "out_only")),
        .warns = json_is_true(json_object_get(o, "warns")),
        .warns_back = json_is_true(json_object_get(o, "warns_back")),
        .undoes = json_is_true(json_object_get(o, "undoes")),
        .undo_cmd = maybe_text(t, o, "undo_cmd"),
        .where = text(t, o, "where"),
    };
    s.args = pairs(t, o, "args", &s.n_args);
    s.also = also(t, json_object_get(o, "also"));
    return s;
}

static const struct plan_step *also(struct thaw *t, const json_t *o)
{
    if (o == NULL)
        return NULL;
    struct plan_step *s = arena_alloc(t->arena, sizeof(*s));
    *s = step(t, o);
    return s;
}

static struct plan_step maybe_step(struct thaw *t, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v == NULL ? (struct plan_step){.verb = NULL} : step(t, v);
}

static struct target target(struct thaw *t, const json_t *o)
{
    return (struct target){
        .id = maybe_text(t, o, "id"),
        .transport = maybe_text(t, o, "transport"),
        .host = maybe_text(t, o, "host"),
        .ssh = {.port = (int)number(t, o, "port", 0, 65535),
                .user = maybe_text(t, o, "user"),
                .key = maybe_text(t, o, "key"),
                .known_hosts = maybe_text(t, o, "known_hosts"),
                .proxy_jump = maybe_text(t, o, "proxy_jump"),
                .config = maybe_text(t, o, "ssh_config")},
        .state_dir = maybe_text(t, o, "state_dir"),
        .identity = maybe_text(t, o, "identity"),
    };
}

static struct plan_node node(struct thaw *t, const json_t *o)
{
    struct plan_node n = {
        .id = text(t, o, "id"),
        .rev = text(t, o, "rev"),
        .rev_before = text(t, o, "rev_before"),
        .was_up = boolean(t, o, "was_up"),
        .role = (uint8_t)maybe_number(t, o, "role", PLAN_ROLES_MAX - 1),
        .target = target(t, want(t, o, "target", JSON_OBJECT)),
        .where = text(t, o, "where"),
        .of_host = maybe_text(t, o, "of_host"),
    };
    n.own = pairs(t, o, "own", &n.n_own);
    n.vars = pairs(t, o, "vars", &n.n_vars);
    n.facts = pairs(t, o, "facts", &n.n_facts);
    return n;
}

static void head(struct thaw *t, const json_t *o, struct plan *p)
{
    p->env = text(t, o, "env");
    p->app = text(t, o, "app");
    p->name = text(t, o, "name");
    p->kind = (enum release_kind)word(t, o, "kind", kind_from_name);
    p->rev = text(t, o, "rev");
    p->rev_typed = text(t, o, "rev_typed");
    p->dir = text(t, o, "dir");
    p->user = text(t, o, "user");
    p->repo = text(t, o, "repo");
    p->needs_rev = boolean(t, o, "needs_rev");
    p->soak_ms = number(t, o, "soak_ms", 0, DAYS_MS(3650));
    p->window = (uint32_t)number(t, o, "window", 0, PLAN_NODES_MAX);
    p->min_up = (uint32_t)number(t, o, "min_up", 0, UINT32_MAX);
    p->max_failed = (uint32_t)number(t, o, "max_failed", 0, UINT32_MAX);
    p->rollback_on_failure = boolean(t, o, "rollback_on_failure");
    p->keep = (uint32_t)number(t, o, "keep", 0, UINT32_MAX);
    p->capacity = boolean(t, o, "capacity");
}

static const json_t *bounded(struct thaw *t, const json_t *o, const char *name, size_t max)
{
    const json_t *v = want(t, o, name, JSON_ARRAY);
    if (json_array_size(v) > max && t->bad == NULL)
        t->bad = name;
    return json_array_size(v) > max ? NULL : v;
}

static const struct plan_judge *judge(struct thaw *t, const json_t *o)
{
    if (json_object_get(o, "judge") == NULL)
        return NULL;
    const json_t *v = want(t, o, "judge", JSON_OBJECT);
    struct plan_judge *j = arena_alloc(t->arena, sizeof(*j));
    *j = (struct plan_judge){.errors_ppm = number(t, v, "errors_ppm", 0, 1000000),
                             .worse_percent = number(t, v, "worse_percent", 0, INT32_MAX),
                             .slower_percent = number(t, v, "slower_percent", 0, INT32_MAX),
                             .min_requests = number(t, v, "min_requests", 1, INT32_MAX),
                             .deadline_ms = number(t, v, "deadline_ms", 0, DAYS_MS(3650)),
                             .passes = boolean(t, v, "passes"),
                             .step = maybe_step(t, v, "step"),
                             .cmd = maybe_step(t, v, "cmd"),
                             .prometheus = maybe_step(t, v, "prometheus"),
                             .where = text(t, v, "where")};
    bool asks = j->cmd.verb != NULL || j->prometheus.verb != NULL;
    if (t->bad == NULL && (judge_counts(j) ? j->step.verb == NULL : !asks))
        t->bad = "judge";
    return j;
}

static struct plan_role role(struct thaw *t, const json_t *o)
{
    return (struct plan_role){.name = text(t, o, "name"),
                              .window = (uint32_t)number(t, o, "window", 1, PLAN_NODES_MAX),
                              .min_up = (uint32_t)number(t, o, "min_up", 0, UINT32_MAX),
                              .max_failed = (uint32_t)number(t, o, "max_failed", 0, UINT32_MAX),
                              .soak_ms = number(t, o, "soak_ms", 0, DAYS_MS(3650)),
                              .judge = judge(t, o),
                              .capacity_step = maybe_step(t, o, "capacity_step"),
                              .guard_step = maybe_step(t, o, "guard_step"),
                              .show_step = maybe_step(t, o, "show_step"),
                              .survey_step = maybe_step(t, o, "survey_step"),
                              .probe_step = maybe_step(t, o, "probe_step"),
                              .ssh_defaults = json_object_get(o, "ssh_defaults") == NULL
                                                  ? (struct target){.transport = NULL}
                                                  : target(t, want(t, o, "ssh_defaults", JSON_OBJECT))};
}

/* The steps beside it are its own; those of an older plan are nobody's. */
static bool beside_fits(const struct plan_role *r, size_t number)
{
    const struct plan_step *beside[] = {&r->capacity_step, &r->guard_step,
                                        &r->show_step,     &r->survey_step,
                                        &r->probe_step,    r->judge == NULL ? NULL : &r->judge->step};
    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
        for (const struct plan_step *step = beside[i]; step != NULL; step = step->also)
            if (step->role != 0 && step->role != number + 1)
                return false;
    return true;
}

/* Roles that there are, and whose nodes stand side by side. */
static void roles(struct thaw *t, const json_t *o, struct plan *p)
{
    const json_t *list = json_object_get(o, "roles") == NULL ? NULL : bounded(t, o, "roles", PLAN_ROLES_MAX);
    size_t n = json_array_size(list), most = n > 0 ? n : 1;
    p->n_roles = n;
    p->roles = arena_array(t->arena, n + 1, sizeof(*p->roles));
    for (size_t i = 0; i < n; i++)
        p->roles[i] = role(t, json_array_get(list, i));
    for (size_t i = 0; i < n && t->bad == NULL; i++)
        if (!beside_fits(&p->roles[i], i))
            t->bad = "role";
    for (size_t i = 0; i < p->n_nodes && t->bad == NULL; i++)
        if (p->nodes[i].role >= most || (i > 0 && p->nodes[i].role < p->nodes[i - 1].role))
            t->bad = "role";
    for (size_t i = 0; i < p->n_steps && t->bad == NULL; i++)
        if (p->steps[i].role > n)
            t->bad = "role";
}

static void lists(struct thaw *t, const json_t *o, struct plan *p)
{
    const json_t *steps = bounded(t, o, "steps", PLAN_STEPS_MAX),
                 *nodes = bounded(t, o, "nodes", PLAN_NODES_MAX),
                 *stages = bounded(t, o, "stage_end", PLAN_STAGES_MAX);
    p->n_steps = json_array_size(steps);
    p->n_nodes = json_array_size(nodes);
    p->n_stages = json_array_size(stages);
    p->steps = arena_array(t->arena, p->n_steps + 1, sizeof(*p->steps));
    p->nodes = arena_array(t->arena, p->n_nodes + 1, sizeof(*p->nodes));
    for (size_t i = 0; i < p->n_steps; i++)
        p->steps[i] = step(t, json_array_get(steps, i));
    for (size_t i = 0; i < p->n_nodes; i++)
        p->nodes[i] = node(t, json_array_get(nodes, i));
    for (size_t i = 0; i < p->n_stages; i++)
        p->stage_end[i] = (uint32_t)json_integer_value(json_array_get(stages, i));
}

static const char *const *texts(struct thaw *t, const json_t *o, const char *name, size_t *ret_n)
{
    const json_t *list = want(t, o, name, JSON_ARRAY);
    size_t n = json_array_size(list);
    const char **ret = arena_array(t->arena, n + 1, sizeof(*ret));
    for (size_t i = 0; i < n; i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one == NULL && t->bad == NULL)
            t->bad = name;
        ret[i] = arena_strdup(t->arena, one == NULL ? "" : one);
    }
    *ret_n = n;
    return ret;
}

static const struct plan_times *times(struct thaw *t, const json_t *o)
{
    if (o == NULL)
        return NULL;
    struct plan_times *ret = arena_alloc(t->arena, sizeof(*ret));
    *ret = (struct plan_times){.tz = text(t, o, "tz"), .pauses = boolean(t, o, "pauses")};
    ret->windows = texts(t, o, "windows", &ret->n_windows);
    ret->skip_days = texts(t, o, "skip_days", &ret->n_skip_days);
    const json_t *list = want(t, o, "freeze", JSON_ARRAY);
    struct plan_freeze *freezes = arena_array(t->arena, json_array_size(list) + 1, sizeof(*freezes));
    for (; ret->n_freezes < json_array_size(list); ret->n_freezes++) {
        const json_t *f = json_array_get(list, ret->n_freezes);
        freezes[ret->n_freezes] =
            (struct plan_freeze){text(t, f, "from"), text(t, f, "to"), text(t, f, "why")};
    }
    ret->freezes = freezes;
    return ret;
}

static uint8_t overrides(struct thaw *t, const json_t *list)
{
    uint8_t ret = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int bit = name == NULL ? -1 : override_from_name(name);
        if (bit >= 0)
            ret |= (uint8_t)(1u << bit);
        else if (t->bad == NULL)
            t->bad = "overrides";
    }
    return ret;
}

static void rest(struct thaw *t, const json_t *o, struct plan *p)
{
    p->judge = judge(t, o);
    p->capacity_step = maybe_step(t, o, "capacity_step");
    p->guard_step = maybe_step(t, o, "guard_step");
    p->show_step = maybe_step(t, o, "show_step");
    p->survey_step = maybe_step(t, o, "survey_step");
    p->probe_step = maybe_step(t, o, "probe_step");
    p->resolve_step = maybe_step(t, o, "resolve_step");
    p->log_step = maybe_step(t, o, "log_step");
    p->ssh_defaults = target(t, want(t, o, "ssh_defaults", JSON_OBJECT));
    p->vars = pairs(t, o, "vars", &p->n_vars);
    p->secrets = pairs(t, o, "secrets", &p->n_secrets);
    p->events = pairs(t, o, "events", &p->n_events);
    p->rendered = pairs(t, o, "rendered", &p->n_rendered);
    p->times = times(t, json_object_get(o, "times"));
    p->override = maybe_text(t, o, "override");
    p->overrides = overrides(t, json_object_get(o, "overrides"));
}

static bool thaw(struct thaw *t, const json_t *o, struct plan *p, struct err *err)
{
    const json_t *format = json_object_get(o, "format");
    if (json_is_integer(format) && json_integer_value(format) > FREEZE_FORMAT)
        return err_set(err, E_JOURNAL,
                       "the plan was frozen by a newer release (format %lld, known is %d): use that one",
                       (long long)json_integer_value(format), FREEZE_FORMAT);
    if (!json_is_integer(format) || json_integer_value(format) < 1)
        return err_set(err, E_JOURNAL, "the frozen plan is damaged: no format");
    head(t, o, p);
    lists(t, o, p);
    roles(t, o, p);
    rest(t, o, p);
    if (t->bad == NULL)
        return true;
    return err_set(err, E_JOURNAL, "the frozen plan is damaged at '%s'", t->bad);
}

bool plan_decode(struct arena *arena, const char *json, struct plan **ret, struct err *err)
{
    json_error_t why;
    json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (o == NULL)
        return err_set(err, E_JOURNAL, "the frozen plan is damaged: %s", why.text);
    struct thaw t = {.arena = arena};
    struct plan *p = arena_alloc(arena, sizeof(*p));
    bool ok = thaw(&t, o, p, err);
    json_decref(o);
    sha256_hex(json, strlen(json), p->digest);
    if (ok)
        *ret = p;
    return ok;
}
