/* SPDX-License-Identifier: MIT */
/* Pillar + plan file -> plan: everything but what only the world knows, every mistake at once. */
#include "plans/compile_priv.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "plans/judge.h"
#include "plans/subst.h"

static void add_var(struct op_pair *vars, size_t *n, const char *name, const char *value)
{
    vars[(*n)++] = (struct op_pair){.name = name, .value = value == NULL ? "" : value};
}

/* Six digits that change with anything that makes another tree out of the same revision. */
static const char *recipe_of(struct compiler *c)
{
    const struct plan *plan = c->plan;
    char hex[SHA256_HEX_LEN + 1];
    struct sha256 *s = sha256_new();
    auto_buf struct buf shared = BUF_INIT(YAML_BYTES_MAX);
    if (c->b.shared != NULL)
        value_json(&shared, c->b.shared);
    sha256_add(s, plan->repo, strlen(plan->repo) + 1);
    sha256_add(s, buf_str(&shared), strlen(buf_str(&shared)) + 1);
    if (c->b.git_path != NULL)
        sha256_add(s, c->b.git_path, strlen(c->b.git_path) + 1);
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->phase != PHASE_PREPARE)
            continue;
        sha256_add(s, step->verb, strlen(step->verb) + 1);
        for (size_t k = 0; k < step->n_args; k++) {
            sha256_add(s, step->args[k].name, strlen(step->args[k].name) + 1);
            sha256_add(s, step->args[k].value, strlen(step->args[k].value) + 1);
        }
    }
    sha256_end(s, hex);
    return arena_strndup(c->r.arena, hex, 6);
}

static void vars_set(struct compiler *c)
{
    struct op_pair *vars = arena_array(c->r.arena, 10, sizeof(*vars));
    size_t n = 0;
    add_var(vars, &n, "env", c->plan->env);
    add_var(vars, &n, "app", c->plan->app);
    add_var(vars, &n, "dir", c->plan->dir);
    add_var(vars, &n, "user", c->plan->user);
    add_var(vars, &n, "repo", c->plan->repo);
    add_var(vars, &n, "layout", c->layout);
    add_var(vars, &n, "recipe", recipe_of(c));
    if (c->b.git_path != NULL)
        add_var(vars, &n, "git_path", c->b.git_path);
    /* 0: these are all nodes that the environment has, and others are no longer its own */
    add_var(vars, &n, "left_out", arena_printf(c->r.arena, "%zu", c->n_all_nodes - c->plan->n_nodes));
    c->plan->vars = vars;
    c->plan->n_vars = n;
}

static void target_defaults(struct compiler *c)
{
    const struct ssh_block *ssh = &c->b.ssh_defaults;
    c->plan->ssh_defaults = (struct target){
        .id = "",
        .transport = ssh->transport,
        .ssh = ssh_way(ssh),
        .state_dir = arena_printf(c->r.arena, ".release/%s+%s", c->plan->app, c->pillar->env),
    };
}

/* One step for each balancer, the first in *ret, the others behind it: all of them are asked. */
static void balancer_probe(struct compiler *c, const char *verb, enum phase phase, struct plan_step *ret)
{
    *ret = (struct plan_step){.verb = NULL};
    for (size_t i = c->b.n_balancers; i-- > 0;) {
        const struct driver_block *b = &c->b.balancers[i];
        const char *name = arena_printf(c->r.arena, "%s.%s", b->driver, verb);
        const struct item item = {.verb = name, .block = b, .phase = phase, .at = b->map->at};
        struct plan_step one;
        if (table_verb(c->table, name) == NULL || !step_make(c, &item, &one))
            continue;
        if (ret->verb != NULL) {
            struct plan_step *also = arena_alloc(c->r.arena, sizeof(*also));
            *also = *ret;
            one.also = also;
        }
        *ret = one;
    }
}

static void balancer_set(struct compiler *c)
{
    balancer_probe(c, "show", PHASE_DRAIN, &c->plan->show_step);
    if (c->under_load)
        return; /* nobody leaves rotation: there is no floor to mind */
    balancer_probe(c, "capacity", PHASE_DRAIN, &c->plan->capacity_step);
    balancer_probe(c, "guard", PHASE_DRAIN, &c->plan->guard_step);
    balancer_probe(c, "survey", PHASE_DRAIN, &c->plan->survey_step);
    c->plan->capacity = c->plan->capacity_step.verb != NULL;
    bool counts = c->judge != NULL && judge_counts(c->judge);
    if (counts)
        balancer_probe(c, "show", PHASE_DRAIN, &c->judge->step);
    if (counts && c->judge->step.verb == NULL && c->b.n_balancers > 0)
        problem_at(c->r.problems, c->b.judge->at, "release: judge: balancer %s tells nothing of its servers",
                   c->b.balancers[0].driver);
}

/* The verbs that look before and beside a release, with the arguments they cannot know themselves. */
static void looking_set(struct compiler *c)
{
    const struct place at = c->b.map->at;
    struct value *probe = value_map(c->r.arena, at), *resolve = value_map(c->r.arena, at);
    auto_buf struct buf typed = BUF_INIT(10000);
    subst_literal(&typed, c->plan->rev_typed);
    map_put(c->r.arena, probe, "layout", at, value_scalar(c->r.arena, at, c->layout));
    map_put(c->r.arena, resolve, "rev", at,
            value_scalar(c->r.arena, at, arena_strdup(c->r.arena, buf_str(&typed))));
    /* Versions that were built elsewhere have no commits between them. */
    const bool artifact = c->b.artifact != NULL;
    if (artifact)
        source_args(c, resolve);
    const struct {
        const char *verb;
        const struct value *args;
        struct plan_step *to;
    } rows[] = {{"release.probe", probe, &c->plan->probe_step},
                {artifact ? "source.resolve" : "git.resolve", resolve, &c->plan->resolve_step},
                {"git.log", NULL, &c->plan->log_step}};
    for (size_t i = 0; c->revision && c->b.repo != NULL && i < (artifact ? 2 : 3); i++) {
        const struct item item = {
            .verb = rows[i].verb, .args = rows[i].args, .at = at, .phase = PHASE_PREPARE};
        if (table_verb(c->table, rows[i].verb) != NULL)
            (void)step_make(c, &item, rows[i].to);
    }
    if (c->plan->resolve_step.verb != NULL && c->b.git_path != NULL)
        c->plan->resolve_step.where = place_text(c->r.arena, map_get(map_get(c->b.map, "git"), "path")->at);
}

static void secret_add(struct compiler *c, const char *reference)
{
    struct plan *plan = c->plan;
    if (op_pair_value(plan->secrets, plan->n_secrets, reference) != NULL)
        return;
    struct op_pair *bigger = arena_array(c->r.arena, plan->n_secrets + 1, sizeof(*bigger));
    if (plan->n_secrets > 0)
        memcpy(bigger, plan->secrets, plan->n_secrets * sizeof(*bigger));
    bigger[plan->n_secrets++] = (struct op_pair){.name = reference, .value = ""};
    plan->secrets = bigger;
}

/* Values of a map (`env:`, `send:`) may be references, too. */
static void map_secrets(struct compiler *c, const char *json)
{
    const char *name;
    json_t *value, *map = json == NULL ? NULL : json_loads(json, 0, NULL);
    json_object_foreach(map, name, value) if (json_is_string(value) &&
                                              secret_is_reference(json_string_value(value)) &&
                                              !subst_has_names(json_string_value(value)))
        secret_add(c, arena_strdup(c->r.arena, json_string_value(value)));
    json_decref(map);
}

static void step_secrets(struct compiler *c, const struct plan_step *step)
{
    const struct verb *verb = step->verb == NULL ? NULL : table_verb(c->table, step->verb);
    for (const struct param *p = verb == NULL ? NULL : verb->params; p != NULL && p->name != NULL; p++) {
        const char *value = op_pair_value(step->args, step->n_args, p->name);
        if (value != NULL && p->type == PARAM_SECRET)
            secret_add(c, value);
        else if (value != NULL && p->type == PARAM_MAP)
            map_secrets(c, value);
    }
}

static void event_secrets(struct compiler *c)
{
    const struct value *notify = c->b.notify;
    for (size_t i = 0; notify != NULL && notify->kind == VALUE_LIST && i < notify->n; i++) {
        const struct value *v = map_get(notify->items[i], "webhook");
        if (v == NULL || v->kind != VALUE_SCALAR)
            continue;
        secret_add(c, secret_is_reference(v->text)
                          ? v->text
                          : arena_printf(c->r.arena, "pillar:release:notify:%zu:webhook", i));
    }
}

static void secrets_set(struct compiler *c)
{
    for (size_t i = 0; i < c->plan->n_steps; i++)
        step_secrets(c, &c->plan->steps[i]);
    const struct plan_step *beside[] = {&c->plan->capacity_step,
                                        &c->plan->guard_step,
                                        &c->plan->show_step,
                                        &c->plan->resolve_step,
                                        c->judge != NULL ? &c->judge->step : NULL,
                                        c->judge != NULL ? &c->judge->prometheus : NULL};
    for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++)
        for (const struct plan_step *s = beside[i]; s != NULL; s = s->also)
            step_secrets(c, s);
    event_secrets(c);
}

/* What a plan about a revision cannot do without. */
static void wanted_keys(struct compiler *c)
{
    static const char *const wanted[] = {"app", "repo", "dir"};
    static const char *const example[] = {"plone", "https://git.example.org/site.git", "/srv/plone"};
    size_t n = c->revision ? 3 : 1;
    for (size_t i = 0; i < n; i++)
        if (value_is_null(map_get(c->b.map, wanted[i])))
            problem_at(c->r.problems, c->b.map->at, "release: no %s (wanted: %s: %s)", wanted[i], wanted[i],
                       example[i]);
}

static void revision_set(struct compiler *c)
{
    struct plan *plan = c->plan;
    const char *typed = c->req->rev_typed != NULL ? c->req->rev_typed : c->b.branch;
    plan->rev = plan->rev_typed = "";
    plan->needs_rev = c->revision;
    if (!c->revision)
        return;
    if (typed == NULL && c->req->look)
        return;
    if (typed == NULL)
        problem_at(c->r.problems, c->b.map->at, "no revision: give --rev REV, or branch: in the pillar");
    else if (c->req->rev_typed != NULL && !rev_valid(typed))
        problems_add(c->r.problems,
                     "--rev: '%s' is not a revision (wanted: 4 to 40 hex digits, a branch or a tag)", typed);
    else
        plan->rev_typed = arena_strdup(c->r.arena, typed);
}

static bool revision_wanted(struct compiler *c, const struct value *file)
{
    const struct value *v = map_get(file, "revision");
    bool yes = !c->req->task;
    if (v != NULL && (v->kind != VALUE_SCALAR || !scalar_bool(v->text, &yes)))
        problem_at(c->r.problems, v->at, "plan %s: revision: wanted yes or no", c->plan->name);
    return yes;
}

/* A release's plan run as a task would have no revision to go to. */
static void revision_missed(struct compiler *c)
{
    for (size_t i = 0; !c->revision && i < c->plan->n_steps; i++) {
        const struct plan_step *s = &c->plan->steps[i];
        enum does does = verb_does(s->verb);
        if (does != DOES_FETCH && does != DOES_UNPACK && does != DOES_CHECKOUT && does != DOES_SWITCH)
            continue;
        problems_add(c->r.problems,
                     "%s: plan %s has %s but no revision: 'release run --plan %s' releases one, or "
                     "'revision: yes' in the plan takes --rev",
                     s->where, c->plan->name, s->verb, c->plan->name);
        return;
    }
}

/* release.unpack alone knows of it; a checkout is of a whole repository. */
static void git_path_missed(struct compiler *c)
{
    const struct plan_step *checkout = NULL;
    bool unpacks = false;
    for (size_t i = 0; i < c->plan->n_steps; i++) {
        enum does does = verb_does(c->plan->steps[i].verb);
        unpacks = unpacks || does == DOES_UNPACK;
        if (does == DOES_CHECKOUT && checkout == NULL)
            checkout = &c->plan->steps[i];
    }
    if (c->b.git_path == NULL || !c->plan->needs_rev || (unpacks && checkout == NULL))
        return;
    const char *deed = checkout == NULL
                           ? "has no release.unpack, so nothing would look at it"
                           : arena_printf(c->r.arena, "checks out the whole repository (%s at %s)",
                                          checkout->verb, checkout->where);
    problem_at(c->r.problems, map_get(map_get(c->b.map, "git"), "path")->at,
               "release: git: path: plan %s %s; `plan: rolling` puts %s alone into a release directory, or "
               "leave 'path' out",
               c->plan->name, deed, c->b.git_path);
}

/* `drain: no` is for plans that leave the application up: others drain, and the pillar's own plan is to be one of them. */
static bool leaves_it_up(struct compiler *c, const struct value *file)
{
    const struct place *at = plan_file_stops(file);
    bool no = false;
    if (c->b.drain == NULL || !scalar_bool(c->b.drain, &no) || no)
        return false;
    if (at != NULL && strcmp(c->plan->name, c->b.plan) == 0)
        problem_at(c->r.problems, map_get(c->b.map, "drain")->at,
                   "release: drain: no: plan %s stops the application (%s), and requests would find nobody; "
                   "`plan: reload` changes it under load, or leave 'drain' out",
                   c->plan->name, place_text(c->r.arena, *at));
    return at == NULL;
}

/* A task or restart works where the pillar's own plan puts the application. */
static const char *layout_of(struct compiler *c, const struct value *file)
{
    if (!c->revision && map_get(file, "layout") == NULL && strcmp(c->plan->name, c->b.plan) != 0) {
        auto_problems struct problems ignored = {.n = 0};
        struct compiler quiet = *c;
        quiet.r.problems = &ignored;
        const struct value *own = plan_file_load(&quiet, c->b.plan);
        if (own != NULL)
            file = own;
    }
    const char *layout = plan_file_layout(file);
    if (strcmp(layout, LAYOUT_RELEASES) != 0 && strcmp(layout, LAYOUT_IN_PLACE) != 0)
        problem_at(c->r.problems, map_get(file, "layout")->at,
                   "plan %s: layout: '%s' is not releases or in-place", c->plan->name, layout);
    return layout;
}

static void plan_start(struct compiler *c)
{
    struct plan *plan = c->plan;
    const struct release_block *b = &c->b;
    plan->env = arena_strdup(c->r.arena, c->pillar->env);
    plan->app = b->app == NULL ? "" : b->app;
    plan->name = c->req->plan_name != NULL ? arena_strdup(c->r.arena, c->req->plan_name) : b->plan;
    plan->kind = c->req->task ? KIND_TASK : KIND_RELEASE;
    plan->dir = b->dir == NULL ? "" : b->dir;
    plan->repo = b->repo == NULL ? "" : b->repo;
    plan->user = b->user != NULL ? b->user : b->ssh_defaults.user != NULL ? b->ssh_defaults.user : "";
    plan->soak_ms = b->soak_ms;
    plan->rollback_on_failure = strcmp(b->on_failure, "rollback") == 0;
    plan->keep = (uint32_t)b->keep;
    plan->rendered = c->pillar->sources;
    plan->n_rendered = c->pillar->n_sources;
    target_defaults(c);
}

static void plan_fill(struct compiler *c)
{
    const struct value *file = plan_file_load(c, c->plan->name);
    nodes_read(c);
    if (file == NULL)
        return;
    c->revision = revision_wanted(c, file);
    c->layout = layout_of(c, file);
    wanted_keys(c);
    revision_set(c);
    c->under_load = leaves_it_up(c, file);
    c->n_plan_problems = c->r.problems->n;
    steps_read(c, file);
    revision_missed(c);
    git_path_missed(c);
    source_missed(c);
    judge_set(c);
    balancer_set(c);
    times_set(c);
    looking_set(c);
    events_set(c);
    vars_set(c);
    if (c->plan->n_nodes > 0) {
        nodes_prove(c);
        if (c->r.problems->n + c->r.problems->dropped == c->n_problems_before) {
            lb_servers_set(c); /* what is wrong already would only be told twice */
            args_prove(c);
            instances_prove(c);
        }
        nodes_rehearse(c);
        stages_set(c);
    }
    secrets_set(c);
}

void compile_block(struct compiler *c)
{
    if (!block_read(c))
        return;
    plan_start(c);
    plan_fill(c);
}

/* The plan outlives the pillar: nothing in it may point there. Decoding its own encoding is the copy, and
 * proves on every compile that what the journal keeps is the whole plan. */
static bool plan_copy(struct compiler *c, struct arena *arena, struct plan **ret)
{
    struct err err = {.code = E_NONE};
    char *json = plan_encode(c->plan);
    bool ok = plan_decode(arena, json, ret, &err);
    free(json);
    if (!ok)
        problems_add(c->r.problems, "the plan cannot be frozen: %s", err.text);
    return ok;
}

bool plan_compile_with(const struct pillar *pillar, const struct compile_request *req,
                       const struct driver *const *table, struct arena *arena, struct plan **ret,
                       struct problems *problems)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct pillar own = *pillar; /* its node trees are ours to add to, in our arena */
    own.arena = (struct arena){.head = NULL};
    size_t before = problems->n + problems->dropped;
    struct plan *plan = arena_alloc(&scratch, sizeof(*plan));
    struct compiler c = {.r = {.arena = &scratch, .problems = problems},
                         .pillar = &own,
                         .req = req,
                         .table = table,
                         .plan = plan,
                         .n_problems_before = before,
                         .layout = LAYOUT_RELEASES};
    if (req->only_role != NULL && !has_roles(pillar))
        problems_add(problems, "--only-role: environment %s has no roles; --only names nodes", pillar->env);
    if (has_roles(pillar))
        roles_compile(&c);
    else
        compile_block(&c);
    bool ok = problems->n + problems->dropped == before && plan_copy(&c, arena, ret);
    arena_fini(&own.arena);
    return ok;
}
