/* SPDX-License-Identifier: MIT */
/* From the plan to the core's view of it, and from the core's requests to jobs for the workers. */
#include "run/run_priv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "plans/judge.h"

#define DEFAULT_TIMEOUT_MS 60000
#define GUARD_MS           2000
#define FLOOR_WAIT_MS      60000
#define UNKNOWN_GRACE_MS   30000
#define JUDGE_ASKS_MS      60000 /* a program of the user's may take its time */

/* A balancer's drain, or its maintenance: what was before is recorded first. */
bool verb_takes_out(const struct verb *verb)
{
    return verb->scope == SCOPE_BALANCER && verb->record_before && verb->effect != EFFECT_READ;
}

static struct core_step_def step_def(const struct plan_step *step)
{
    const struct verb *verb = verb_find(step->verb, NULL);
    must(verb != NULL);
    int64_t timeout = step->timeout_ms > 0 ? step->timeout_ms : verb->default_timeout_ms;
    return (struct core_step_def){
        .phase = (uint8_t)step->phase,
        .group = step->role,
        .effect = (uint8_t)verb->effect,
        .once = (uint8_t)step->once,
        .on_timeout = (uint8_t)step->on_timeout,
        .retries = (uint8_t)(step->retries > 255 ? 255 : step->retries),
        .stable = (uint8_t)(step->stable > 255 ? 255 : step->stable),
        .waits = verb->waits,
        .record_before = verb->record_before && verb->observe,
        .forward_only = step->forward_only || verb->forward_only,
        .takes_out = verb_takes_out(verb),
        .gives_back = verb->does == DOES_ENABLE,
        .stops = verb->does == DOES_STOP,
        .of_host = plan_step_of_host(step),
        .back_only = step->back_only,
        .out_only = step->out_only,
        .warns = step->warns,
        .warns_back = step->warns_back,
        .has_observe = verb->observe != NULL,
        .has_undo = step->undo_cmd != NULL,
        .has_escalate = verb->escalate != NULL,
        .has_kill = verb->kill != NULL,
        .timeout_ms = timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS,
        .interval_ms = step->interval_ms > 0 ? step->interval_ms : verb->interval_ms,
        .escalate_ms = step->escalate_ms,
    };
}

static bool step_known(const struct plan_step *step)
{
    for (; step && step->verb; step = step->also)
        if (!verb_find(step->verb, NULL))
            return false;
    return true;
}

static bool unfit(struct err *err, const char *what, size_t at)
{
    return err_set(err, E_JOURNAL, "the frozen plan is damaged: %s %zu", what, at);
}

static bool stages_fit(const struct plan *plan, struct err *err)
{
    uint32_t before = 0;
    if (plan->n_stages < 1 || plan->n_stages > CORE_STAGES_MAX)
        return unfit(err, "its number of stages is", plan->n_stages);
    for (size_t i = 0; i < plan->n_stages; i++) {
        if (plan->stage_end[i] <= before || plan->stage_end[i] > plan->n_nodes)
            return unfit(err, "a stage ends at node", plan->stage_end[i]);
        before = plan->stage_end[i];
    }
    return before == plan->n_nodes || unfit(err, "the last stage ends at node", before);
}

static bool unknown(const struct plan_step *step, struct err *err)
{
    return err_set(err, E_JOURNAL,
                   "the frozen plan has the verb '%s', which this program does not know; go on with the "
                   "version of release that began it",
                   step->verb);
}

static bool beside_fit(const struct plan *plan, struct err *err)
{
    const struct plan_step *of_all[] = {&plan->capacity_step, &plan->guard_step,   &plan->show_step,
                                        &plan->probe_step,    &plan->resolve_step, &plan->log_step,
                                        &plan->survey_step};
    for (size_t i = 0; i < sizeof(of_all) / sizeof(*of_all); i++)
        if (!step_known(of_all[i]))
            return unknown(of_all[i], err);
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        const struct plan_judge *judge = plan_role_of(plan, r).judge;
        const struct plan_step *asked[] = {judge ? &judge->step : NULL, judge ? &judge->cmd : NULL,
                                           judge ? &judge->prometheus : NULL};
        for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
            if (!step_known(asked[i]))
                return unknown(asked[i], err);
    }
    for (size_t r = 0; r < plan->n_roles; r++) {
        const struct plan_role *role = &plan->roles[r];
        const struct plan_step *of_role[] = {&role->capacity_step, &role->guard_step, &role->show_step,
                                             &role->probe_step, &role->survey_step};
        for (size_t i = 0; i < sizeof(of_role) / sizeof(*of_role); i++)
            if (!step_known(of_role[i]))
                return unknown(of_role[i], err);
    }
    return true;
}

bool bridge_fit(const struct plan *plan, struct err *err)
{
    if (!beside_fit(plan, err))
        return false;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (!step_known(step))
            return unknown(step, err);
        if (i > 0 && step->phase < plan->steps[i - 1].phase)
            return unfit(err, "its phases are out of order at step", i);
    }
    return plan->n_steps > CORE_STEPS_MAX ? unfit(err, "its number of steps is", plan->n_steps)
                                          : stages_fit(plan, err);
}

/* Nodes of the role that --only and --exclude leave alone serve, too: the balancer is asked about all. */
static uint32_t others(const struct plan_step *s, size_t n_nodes)
{
    size_t all = PLAN_NODES_MAX;
    for (size_t i = 0; s->verb && i < s->n_args; i++) {
        json_t *servers =
            strcmp(s->args[i].name, "servers") == 0 ? json_loads(s->args[i].value, 0, NULL) : NULL;
        if (json_is_array(servers))
            all = json_array_size(servers);
        json_decref(servers);
    }
    return all > n_nodes ? (uint32_t)(all - n_nodes) : 0;
}

/* As preflight saw it: not in rotation, and nobody's will. */
static bool comes_back(const struct plan_node *node)
{
    for (size_t i = 0; i < node->n_facts; i++)
        if (strcmp(node->facts[i].name, LB_FACT_RETURNS) == 0)
            return true;
    return false;
}

static bool judge_asks(const struct plan_judge *judge)
{
    return judge && (judge->cmd.verb || judge->prometheus.verb);
}

static struct core_group group_def(const struct plan *plan, uint32_t r, size_t n_nodes, uint32_t end)
{
    struct plan_role role = plan_role_of(plan, r);
    return (struct core_group){.end = end,
                               .window = role.window > 0 ? role.window : 1,
                               .min_up = role.min_up,
                               .max_failed = role.max_failed,
                               .n_others = others(&role.capacity_step, n_nodes),
                               .has_capacity = role.capacity_step.verb != NULL,
                               .has_guard = role.guard_step.verb != NULL,
                               .soak_ms = role.soak_ms,
                               .judges = role.judge && role.soak_ms > 0,
                               .unjudged =
                                   role.judge && role.judge->passes ? UNJUDGED_PASSES : UNJUDGED_STOPS,
                               .judge_late = role.judge && !role.judge->step.verb,
                               .judge_look_ms = judge_asks(role.judge) ? JUDGE_ASKS_MS : 0,
                               .judge_wait_ms = role.judge ? role.judge->deadline_ms : 0};
}

/* The first node of each one's host; NULL: each is a host of its own. */
static const uint32_t *hosts_of(const struct plan *plan, struct arena *arena)
{
    if (!plan_has_instances(plan))
        return NULL;
    uint32_t *first = arena_array(arena, plan->n_nodes, sizeof(*first));
    for (size_t i = 0; i < plan->n_nodes; i++)
        first[i] = plan_first_of_host(plan, i) ? (uint32_t)i : first[i - 1];
    return first;
}

_Static_assert(PLAN_ROLES_MAX == CORE_GROUPS_MAX, "what compiles can be run");

void bridge_core_plan(const struct plan *plan, struct arena *arena, struct core_plan *ret)
{
    must(plan->n_steps <= CORE_STEPS_MAX && plan->n_stages >= 1 && plan->n_stages <= CORE_STAGES_MAX);
    *ret = (struct core_plan){.n_nodes = (uint32_t)plan->n_nodes,
                              .n_steps = (uint32_t)plan->n_steps,
                              .n_stages = (uint32_t)plan->n_stages,
                              .n_groups = (uint32_t)plan_n_roles(plan),
                              .rollback_on_failure = plan->rollback_on_failure,
                              .guard_ms = GUARD_MS,
                              .floor_wait_ms = FLOOR_WAIT_MS,
                              .unknown_grace_ms = UNKNOWN_GRACE_MS};
    for (uint32_t r = 0, end = 0; r < ret->n_groups; r++) {
        size_t n = plan_role_count(plan, r);
        ret->groups[r] = group_def(plan, r, n, end += (uint32_t)n);
    }
    for (size_t i = 0; i < plan->n_steps; i++)
        ret->steps[i] = step_def(&plan->steps[i]);
    for (size_t i = 0; i < plan->n_stages; i++)
        ret->stage_end[i] = plan->stage_end[i];
    uint8_t *flags = arena_array(arena, plan->n_nodes + 1, 1);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        bool has_before = !plan->needs_rev || (node->rev_before && *node->rev_before);
        flags[i] =
            (uint8_t)((node->was_up ? CORE_NODE_WAS_UP : 0u) | (has_before ? CORE_NODE_HAS_BEFORE : 0u) |
                      (comes_back(node) ? CORE_NODE_COMES_BACK : 0u));
    }
    ret->node_flags = flags;
    ret->host_first = hosts_of(plan, arena);
}

/* What is asked first; what else, when the soak is over, goes with it. */
static const struct plan_step *judge_step(const struct plan_judge *judge)
{
    return judge->step.verb ? &judge->step : judge->prometheus.verb ? &judge->prometheus : &judge->cmd;
}

const struct verb *bridge_verb(const struct plan *plan, const struct op_req *req,
                               const struct plan_step **ret_step)
{
    const struct plan_step *step = req->step < plan->n_steps ? &plan->steps[req->step] : NULL;
    const char *name = NULL;
    bool of_role = req->group < plan->n_roles;
    if (req->role == ROLE_CAPACITY)
        step = of_role ? &plan->roles[req->group].capacity_step : &plan->capacity_step;
    else if (req->role == ROLE_JUDGE)
        step = judge_step(plan_role_of(plan, req->group).judge);
    else if (req->role == ROLE_GUARD && !step)
        step = of_role ? &plan->roles[req->group].guard_step : &plan->guard_step;
    must(step && step->verb);
    const struct verb *verb = verb_find(step->verb, NULL);
    must(verb != NULL);
    switch (req->role) {
    case ROLE_OBSERVE:
    case ROLE_BEFORE: name = verb->effect == EFFECT_READ ? verb->name : verb->observe; break;
    case ROLE_ESCALATE: name = verb->escalate; break;
    case ROLE_KILL: name = verb->kill; break;
    case ROLE_UNDO: /* the step's own `undo:` command, by the same verb */
    case ROLE_NONE:
    case ROLE_RUN:
    case ROLE_GUARD:
    case ROLE_SOAK:
    case ROLE_CAPACITY:
    case ROLE_JUDGE:
    case ROLE_COUNT: name = verb->name; break;
    }
    must(name != NULL);
    *ret_step = step;
    return verb_find(name, NULL);
}

static const struct op_pair *with_pair(struct arena *arena, const struct op_pair *pairs, size_t *n,
                                       const char *name, const char *value)
{
    struct op_pair *more = arena_array(arena, *n + 1, sizeof(*more));
    size_t k = 0;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(pairs[i].name, name) != 0)
            more[k++] = pairs[i];
    more[k++] = (struct op_pair){.name = name, .value = value};
    *n = k;
    return more;
}

/* A map argument (`env:`) with its references replaced; NULL when it has none. */
static const char *map_with_secrets(struct arena *arena, const char *json, const struct secrets *secrets)
{
    const char *name, *result = NULL;
    json_t *value, *map = json_loads(json, 0, NULL);
    bool any = false;
    json_object_foreach(map, name, value)
    {
        const char *secret = json_is_string(value) ? secrets_get(secrets, json_string_value(value)) : NULL;
        any |= secret && json_object_set_new_nocheck(map, name, json_string_nocheck(secret)) == 0;
    }
    if (any) {
        char *text = json_dumps(map, JSON_COMPACT);
        must(text);
        result = arena_strdup(arena, text);
        explicit_bzero(text, strlen(text));
        free(text);
    }
    json_decref(map);
    return result;
}

/* Secret arguments are references in the plan; the value is put in here, on its way to the op and nowhere
 * else. */
static const char *secret_value(struct job *job, const struct param *p, const char *arg,
                                const struct secrets *secrets)
{
    if (p->type == PARAM_SECRET)
        return secrets_get(secrets, arg);
    return p->type == PARAM_MAP ? map_with_secrets(&job->arena, arg, secrets) : NULL;
}

static void resolve_secrets(struct job *job, const struct verb *verb, const struct secrets *secrets)
{
    for (const struct param *p = verb->params; secrets && p && p->name; p++) {
        for (size_t i = 0; i < job->spec.n_args; i++) {
            const char *value = strcmp(job->spec.args[i].name, p->name) == 0
                                    ? secret_value(job, p, job->spec.args[i].value, secrets)
                                    : NULL;
            if (value) {
                job->spec.args = with_pair(&job->arena, job->spec.args, &job->spec.n_args, p->name, value);
                break;
            }
        }
    }
}

/* The controller itself as a target, for hooks and repository questions. */
static const struct target *controller_target(const struct plan *plan, struct arena *arena)
{
    struct target *t = arena_alloc(arena, sizeof(*t));
    const char *own = plan->ssh_defaults.state_dir; /* ".release/shop+prod"; older plans: ".release/prod" */
    *t = (struct target){.id = "controller",
                         .transport = "local",
                         .host = "localhost",
                         .state_dir = own ? arena_printf(arena, "%s/controller", own)
                                          : arena_printf(arena, ".release/%s/controller", plan->env)};
    return t;
}

static const char *var_of(const struct plan_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_vars; i++)
        if (strcmp(node->vars[i].name, name) == 0)
            return node->vars[i].value;
    return NULL;
}

/* The node as the release saw it that did what is now undone: its revision, in that revision's directory. */
static const struct plan_node *undone_node(const struct plan_node *node, struct arena *arena)
{
    struct plan_node *copy = arena_alloc(arena, sizeof(*copy));
    const char *dir = var_of(node, "undo.release_dir"), *rev = var_of(node, "undo.rev");
    *copy = *node;
    copy->rev_before = node->rev;
    copy->rev = rev ? rev : node->rev;
    if (dir)
        copy->vars = with_pair(arena, node->vars, &copy->n_vars, "release_dir", dir);
    return copy;
}

static struct job *job_new(const struct job_basis *a, const struct step_call *call, bool back)
{
    const struct plan *plan = a->plan;
    const struct run_options *opt = a->opt;
    const struct plan_step *step = call->step;
    const struct verb *verb = call->verb;
    const struct plan_node *node = call->node;
    struct job *job = xcalloc(1, sizeof(*job));
    outbuf_init(&job->out, a->waker_fd);
    job->label = step->label ? step->label : verb->name;
    struct op_spec *spec = &job->spec;
    *spec = (struct op_spec){.verb = verb,
                             .target = verb->scope == SCOPE_CONTROLLER || !node
                                           ? controller_target(plan, &job->arena)
                                           : &node->target,
                             .ssh_defaults = plan_ssh(plan, step, node),
                             .secrets = opt->secrets ? secrets_values(opt->secrets) : NULL,
                             .conns = a->conns,
                             .sink = {.write = outbuf_write, .ctx = &job->out},
                             .cancel_fd = -1,
                             .fence = opt->fence,
                             .forced = opt->forced,
                             .holder = arena_printf(&job->arena, "%s@%s (%s %s)", opt->who ? opt->who : "?",
                                                    opt->host ? opt->host : "?", plan->app, plan->env),
                             .attempt = 1,
                             .going_back = back};
    const struct plan_node *as = step->undoes && node ? undone_node(node, &job->arena) : node;
    spec->args = plan_args(plan, step, as, back, &job->arena, &spec->n_args);
    spec->vars = plan_vars(plan, as, back, &job->arena, &spec->n_vars);
    spec->vars = with_pair(&job->arena, spec->vars, &spec->n_vars, "phase", phase_name(step->phase));
    spec->vars = with_pair(&job->arena, spec->vars, &spec->n_vars, "once", once_name(step->once));
    spec->vars = with_pair(&job->arena, spec->vars, &spec->n_vars, "operator", opt->who ? opt->who : "");
    spec->owner = node && spec->target == &node->target ? opt->owner : NULL; /* the controller is nobody's */
    resolve_secrets(job, verb, opt->secrets);
    return job;
}

/* What else the name of a job on a node says. A drain that the guard repeats is a new one each time. */
static const char *key_suffix(const struct op_req *req, struct arena *arena)
{
    const char *walk = req->walk ? arena_printf(arena, "-w%u", req->walk + 1u) : "";
    if (req->role == ROLE_GUARD)
        return arena_printf(arena, "%s-guard%u", walk, req->op);
    return arena_printf(arena, "%s%s", walk,
                        req->role == ROLE_ESCALATE ? "-escalate"
                        : req->role == ROLE_KILL   ? "-kill"
                                                   : "");
}

/* Instances of a host have one place for their jobs. */
static const char *key_of_instance(const struct plan *plan, uint32_t node, struct arena *arena)
{
    size_t n = 0;
    if (node >= plan->n_nodes || !plan->nodes[node].of_host)
        return "";
    while (!plan_first_of_host(plan, node - n))
        n++;
    return arena_printf(arena, "-n%zu", n);
}

static struct job *step_job(const struct job_basis *a, const struct plan_step *step, const struct verb *verb,
                            const struct op_req *req)
{
    const struct plan *plan = a->plan;
    const struct plan_node *node = req->node < plan->n_nodes ? &plan->nodes[req->node] : NULL;
    /* An undo runs where the step ran, with what it had. */
    bool back = req->back && req->role != ROLE_UNDO;
    auto_arena struct arena scratch = {0};
    struct plan_step undo = *step;
    if (req->role == ROLE_UNDO && step->undo_cmd && verb->undo_arg) {
        undo.args = with_pair(&scratch, step->args, &undo.n_args, verb->undo_arg, step->undo_cmd);
        step = &undo;
    }
    struct job *job = job_new(a, &(struct step_call){.step = step, .verb = verb, .node = node}, back);
    struct arena *arena = &job->arena;
    struct op_spec *spec = &job->spec;
    job->req = *req;
    spec->vars = with_pair(arena, spec->vars, &spec->n_vars, "release",
                           arena_printf(arena, "%lld", (long long)a->release));
    spec->recall = facts_all(a->facts, req->node, arena, &spec->n_recall);
    spec->release = a->release;
    spec->attempt = req->attempt;
    /* The tag keeps two releases with the same number apart on a node, also of the same plan by a journal
     * that was begun anew; the walk a step that is to be done again because the node went back meanwhile. */
    char tag[SHA256_HEX_LEN + 1];
    const char *text = arena_printf(arena, "%s %lld", plan->digest, (long long)a->opt->began_ms);
    sha256_hex(text, strlen(text), tag);
    spec->step_key = arena_printf(
        arena, "%lld-%.6s-%d%s%s", (long long)a->release, tag,
        req->step == CORE_NO_STEP ? -1 : (int)req->step, req->back ? "-back" : "",
        arena_printf(arena, "%s%s", key_of_instance(plan, req->node, arena), key_suffix(req, arena)));
    return job;
}

/* The worker of `job` also does `more`; both speak with one voice. */
static void job_also(struct job *job, struct job *more)
{
    for (struct job *m = more; m; m = m->also)
        m->spec.sink = job->spec.sink;
    while (job->also)
        job = job->also;
    job->also = more;
}

/* A balancer that forgot a drain is drained again, and so are the others: where it is in force that is
 * nothing. */
static void other_drains(const struct job_basis *a, struct job *job)
{
    for (size_t s = 0; s < a->plan->n_steps; s++) {
        const struct plan_step *step = &a->plan->steps[s];
        const struct verb *verb = verb_find(step->verb, NULL);
        struct op_req req = job->req;
        if (!plan_takes(step, &a->plan->nodes[req.node]) || step->phase != PHASE_DRAIN || s == req.step ||
            !verb->record_before || verb->scope != SCOPE_BALANCER)
            continue;
        req.step = (uint16_t)s;
        job_also(job, step_job(a, step, verb, &req));
    }
}

/* A program of the user's comes last: one that does not end takes no time from the others. */
static void other_judges(const struct job_basis *a, struct job *job, const struct plan_step *first)
{
    const struct plan_judge *judge = plan_role_of(a->plan, job->req.group).judge;
    const struct plan_step *asked[] = {&judge->prometheus, &judge->cmd};
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
        if (asked[i]->verb && asked[i] != first)
            job_also(job, step_job(a, asked[i], verb_find(asked[i]->verb, NULL), &job->req));
}

struct job *bridge_job(const struct job_basis *a, const struct op_req *req)
{
    const struct plan_step *step;
    const struct verb *verb = bridge_verb(a->plan, req, &step);
    struct job *job = step_job(a, step, verb, req);
    if (req->role == ROLE_GUARD && req->step != CORE_NO_STEP)
        other_drains(a, job);
    for (const struct plan_step *also = step->also; also; also = also->also)
        job_also(job, step_job(a, also, verb_find(also->verb, NULL), req));
    if (req->role == ROLE_JUDGE && req->look == JUDGE_LAST)
        other_judges(a, job, step);
    return job;
}

struct job *bridge_probe_job(const struct job_basis *a, const struct step_call *call)
{
    const struct plan_step *step = call->step;
    const struct verb *verb = call->verb;
    const struct plan_node *nodes = a->plan->nodes;
    struct job *job = job_new(a, call, false);
    job->req =
        (struct op_req){.node = (uint32_t)(call->node ? (size_t)(call->node - nodes) : a->plan->n_nodes),
                        .step = CORE_NO_STEP,
                        .role = ROLE_OBSERVE,
                        .attempt = 1};
    job->spec.step_key = "probe";
    /* A question that stands in the plan as itself has the time it was given there; one that is asked in
     * place of a changing step does not get the half hour that the change may take. */
    bool itself = strcmp(step->verb, verb->name) == 0;
    int64_t given = step->timeout_ms > 0 ? step->timeout_ms : verb->default_timeout_ms;
    job->budget_ms = given > 0 && (itself || given < DEFAULT_TIMEOUT_MS) ? given : DEFAULT_TIMEOUT_MS;
    if (step->also) {
        const struct step_call also = {
            .step = step->also, .verb = verb_find(step->also->verb, NULL), .node = call->node};
        job_also(job, bridge_probe_job(a, &also));
    }
    return job;
}
