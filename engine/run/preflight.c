/* SPDX-License-Identifier: MIT */
/* Preflight: everything that can be known before the first change is asked, everywhere and at once, and every
 * problem is reported (docs/promises.md#i13). What only the world knows is filled into the plan, which is
 * then frozen. */
#include "drivers/node/node.h"
#include "run/judge.h"
#include "run/look.h"
#include "run/preflight_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plans/judge.h"

/* Less than this free where releases are unpacked: the release would fill the disk half-way. */
#define FREE_BYTES_MIN (64 * 1024 * 1024)

/* Users of steps, each an argument of its own: "user0", "user1" ... */
static enum outcome probe_run(struct op *op)
{
    const char *users[PLAN_STEPS_MAX + 2] = {NULL}, *user;
    for (size_t n = 0; n <= PLAN_STEPS_MAX && (user = op_arg(op, arena_printf(op_arena(op), "user%zu", n)));)
        users[n++] = user;
    return node_probe(op, op_var(op, "dir"), users);
}
static const struct verb probe_verb = {.name = "node.probe",
                                       .help = "can the node be used at all",
                                       .effect = EFFECT_READ,
                                       .scope = SCOPE_NODE,
                                       .run = probe_run};

const char *preflight_fact(const struct job *job, const char *name)
{
    for (size_t i = 0; job && job->result && i < job->result->n_facts; i++)
        if (strcmp(job->result->facts[i].name, name) == 0)
            return job->result->facts[i].value;
    return NULL;
}

bool preflight_good(const struct job *job)
{
    return job && job->result->outcome == OUT_OK;
}

const char *preflight_dir(const struct preflight *p, const struct plan_node *node)
{
    for (size_t v = 0; v < node->n_vars; v++)
        if (strcmp(node->vars[v].name, "dir") == 0)
            return node->vars[v].value;
    return p->plan->dir;
}

/* "node: what went wrong"; many of the drivers' messages name the node already. */
void preflight_problem(struct preflight *p, const struct plan_node *node, const struct job *job)
{
    const char *text = job->result->err.text;
    size_t n = strlen(node->id);
    bool named = strncmp(text, node->id, n) == 0 && strncmp(text + n, ": ", 2) == 0;
    problems_add(p->problems, "%s%s%s", named ? "" : node->id, named ? "" : ": ", text);
}

/* As whom will steps run there? `user:` of the plan, and each step's own. Templates still, for every node of a role. */
static const struct plan_step *probe_step(const struct plan *plan, size_t role, struct arena *arena)
{
    struct plan_step *probe = arena_alloc(arena, sizeof(*probe));
    struct op_pair *args = arena_array(arena, plan->n_steps + 1, sizeof(*args));
    *probe =
        (struct plan_step){.verb = "node.probe", .label = "preflight", .timeout_ms = 30000, .args = args};
    args[probe->n_args++] = (struct op_pair){.name = "user0", .value = "{user}"};
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        const struct verb *verb = verb_find(step->verb, NULL);
        bool taken = plan_role_takes(step, role);
        for (size_t k = 0; k < step->n_args && taken && verb && verb->scope == SCOPE_NODE; k++) {
            bool known = strcmp(step->args[k].name, "runas") != 0 || !*step->args[k].value;
            for (size_t u = 0; u < probe->n_args && !known; u++)
                known = strcmp(args[u].value, step->args[k].value) == 0;
            if (!known) {
                args[probe->n_args] = (struct op_pair){.name = arena_printf(arena, "user%zu", probe->n_args),
                                                       .value = step->args[k].value};
                probe->n_args++;
            }
        }
    }
    return probe;
}

/* What starts and stops the application can be asked too: a supervisord that is not there, or an orphan that
 * serves without it, is known before anything is touched (docs/promises.md#m30). */
static void ask_app(struct preflight *p, struct asked *a, const struct plan_node *node)
{
    const struct verb *verb = NULL;
    const struct plan_step *step = look_app_step(p->plan, node, &verb);
    if (step)
        a->app = batch_add_after(p->batch, a->node, step, verb, node);
}

/* All of a node's questions are lined up before the first is asked, so that they share its one connection. */
static void ask_node(struct preflight *p, size_t i, const struct plan_step *probe)
{
    struct asked *a = &p->asked[i];
    const struct plan *plan = p->plan;
    const struct plan_node *node = &plan->nodes[i];
    const struct plan_step *runs = plan_probe(plan, node);
    a->node = batch_later(p->batch, probe, &probe_verb, node);
    ask_app(p, a, node);
    if (runs)
        a->runs = batch_add_after(p->batch, a->node, runs, verb_find(runs->verb, NULL), node);
    preflight_try(p, i);
    batch_start(p->batch, a->node);
    a->balancer = arena_array(p->arena, plan->n_steps + 1, sizeof(*a->balancer));
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct verb *verb = verb_find(plan->steps[s].verb, NULL);
        if (plan_takes(&plan->steps[s], node) && plan->steps[s].phase == PHASE_DRAIN && verb->record_before &&
            verb->observe)
            a->balancer[a->n_balancers++] =
                batch_add(p->batch, &plan->steps[s], verb_find(verb->observe, NULL), node);
    }
}

/* What a judge will ask, but for a program that says what it thinks of a stage: there is none yet. */
static void ask_judge(struct preflight *p, size_t r, const struct plan_role *role)
{
    const struct plan_judge *judge = role->judge;
    if (!judge || role->soak_ms == 0)
        return;
    if (judge->step.verb)
        p->judge[r] = batch_add(p->batch, &judge->step, verb_find(judge->step.verb, NULL), NULL);
    if (judge->prometheus.verb)
        p->query[r] = batch_add(p->batch, &judge->prometheus, verb_find(judge->prometheus.verb, NULL), NULL);
}

static void ask(struct preflight *p)
{
    const struct plan *plan = p->plan;
    bool known = plan->rev && *plan->rev; /* a rollback's revisions come out of the journal */
    if (plan->needs_rev && !known && plan->resolve_step.verb)
        p->resolve = batch_add(p->batch, &plan->resolve_step, verb_find(plan->resolve_step.verb, NULL), NULL);
    const struct plan_step *probes[PLAN_ROLES_MAX];
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        struct plan_role *role = arena_alloc(p->arena, sizeof(*role));
        *role = plan_role_of(plan, r);
        if (role->capacity_step.verb)
            p->capacity[r] =
                batch_add(p->batch, &role->capacity_step, verb_find(role->capacity_step.verb, NULL), NULL);
        if (role->survey_step.verb)
            p->survey[r] =
                batch_add(p->batch, &role->survey_step, verb_find(role->survey_step.verb, NULL), NULL);
        ask_judge(p, r, role);
        probes[r] = probe_step(plan, r, p->arena);
    }
    for (size_t i = 0; i < plan->n_nodes; i++)
        ask_node(p, i, probes[plan->nodes[i].role]);
    batch_wait(p->batch);
}

/* Such a version may bear the name of the commit that it was built of. */
static bool is_artifact(const struct job *resolve)
{
    const char *kind = preflight_fact(resolve, "rev_kind");
    return kind && strcmp(kind, "artifact") == 0;
}

/* "--rev resolves once to 40 hex digits that begin with what was typed" */
static void take_revision(struct preflight *p)
{
    struct plan *plan = p->plan;
    if (!p->resolve) {
        bool ok = !plan->needs_rev || (plan->rev && strlen(plan->rev) == 40 && is_hex(plan->rev, 40));
        if (!ok)
            problems_add(p->problems,
                         "revision '%s': not 40 hexadecimal digits, and this plan has no repository to ask",
                         plan->rev_typed ? plan->rev_typed : "");
        return;
    }
    const char *rev = preflight_fact(p->resolve, "rev");
    const char *typed = plan->rev_typed;
    if (!preflight_good(p->resolve)) {
        problems_add(p->problems, "revision '%s': %s", typed, p->resolve->result->err.text);
    } else if (!rev || strlen(rev) != 40 || !is_hex(rev, 40)) {
        problems_add(p->problems, "revision '%s': the repository answered '%s' instead of a 40-digit commit",
                     typed, rev ? rev : "");
    } else if (strlen(typed) >= 7 && strlen(typed) <= 40 && is_hex(typed, strlen(typed)) &&
               !str_starts(rev, typed) && !is_artifact(p->resolve)) {
        problems_add(
            p->problems,
            "revision '%s': it names commit %s, which does not begin with it (a branch or tag named like a "
            "hash?); give all 40 digits",
            typed, rev);
    } else {
        plan->rev = arena_strdup(p->arena, rev);
        for (size_t i = 0; i < plan->n_nodes; i++)
            if (!plan->nodes[i].rev || !*plan->nodes[i].rev)
                plan->nodes[i].rev = plan->rev;
    }
}

static void check_identity(struct preflight *p, struct plan_node *node, const struct job *job,
                           const struct node_state_info *known, size_t n_known)
{
    const char *seen = preflight_fact(job, "identity");
    const char *wanted = node->target.identity;
    if (!seen)
        return;
    for (size_t k = 0; !wanted && k < n_known; k++)
        if (strcmp(known[k].node, node->id) == 0 && known[k].identity && *known[k].identity)
            wanted = known[k].identity;
    /* A pillar may name the host alone; what was seen is "hostname:machine-id". */
    bool same = !wanted || strcmp(seen, wanted) == 0 ||
                (!strchr(wanted, ':') && str_starts(seen, wanted) && seen[strlen(wanted)] == ':');
    if (!same)
        problems_add(p->problems,
                     "%s: it is another machine: identity %s, wanted %s. Check host and port in the pillar; "
                     "if the machine "
                     "was replaced, give 'identity: \"%s\"' for this node",
                     node->id, seen, wanted, seen);
    node->target.identity = arena_strdup(p->arena, seen);
}

/* Said early, so that nobody looks for other reasons; run_claim decides. */
static bool held_elsewhere(struct preflight *p, const struct plan_node *node, const struct job *job)
{
    const char *fence = preflight_fact(job, "fence"), *owner = preflight_fact(job, "owner"),
               *holder = preflight_fact(job, "holder");
    enum owned whose = fence && owner && p->opt->owner ? node_owned(p->opt->owner, owner) : OWNED_NOT;
    if (whose < OWNED_BESIDE || strtoll(fence, NULL, 10) <= p->opt->forced)
        return false;
    if (whose == OWNED_BESIDE)
        problems_add(p->problems,
                     "%s: its directory is held by %s (lock grant %s of this journal, for another "
                     "environment); 'release resume', 'release rollback' or 'release unlock --force --reason "
                     "WHY' of that one frees it",
                     node->id, holder ? holder : "?", fence);
    else
        problems_add(
            p->problems,
            "%s: held by %s (lock grant %s of another journal). Look there first; when that journal is "
            "lost, 'release "
            "unlock %s --force --fence %s --reason WHY' takes the nodes from it",
            node->id, holder ? holder : "?", fence, p->plan->env, fence);
    if (p->opt->ret_held)
        *p->opt->ret_held = true;
    return true;
}

static void check_node(struct preflight *p, struct plan_node *node, const struct job *job)
{
    if (!preflight_good(job)) {
        preflight_problem(p, node, job);
        return;
    }
    const char *fence = preflight_fact(job, "fence");
    if (held_elsewhere(p, node, job))
        return;
    if (fence && strtoll(fence, NULL, 10) > p->opt->fence && p->opt->fence > 0)
        problems_add(
            p->problems,
            "%s: it has seen lock grant %s, this journal is at %" PRId64
            ": another controller or a newer journal has released here. Use that journal; if it is lost, "
            "'release unlock %s --force --fence %s --reason ...' goes on above it",
            node->id, fence, p->opt->fence, p->plan->env, fence);
    const char *free_bytes = preflight_fact(job, "free_bytes");
    if (free_bytes && *free_bytes && strtoll(free_bytes, NULL, 10) < FREE_BYTES_MIN)
        problems_add(p->problems, "%s: %lld MiB free for %s, wanted at least %d MiB: make room", node->id,
                     strtoll(free_bytes, NULL, 10) / 1048576, preflight_dir(p, node),
                     FREE_BYTES_MIN / 1048576);
}

/* A checkout changed by hand would lose those changes, unless the pillar says that it may. */
static void check_tree(struct preflight *p, const struct plan_node *node, const struct job *runs)
{
    const char *dirty = preflight_fact(runs, "dirty"), *files = preflight_fact(runs, "dirty_files");
    bool checks_out = false;
    for (size_t s = 0; s < p->plan->n_steps; s++) {
        const struct plan_step *step = &p->plan->steps[s];
        bool forced = false;
        for (size_t k = 0; k < step->n_args; k++)
            forced |= strcmp(step->args[k].name, "force") == 0 && strcmp(step->args[k].value, "yes") == 0;
        checks_out |= plan_takes(step, node) && verb_does(step->verb) == DOES_CHECKOUT && !forced;
    }
    if (checks_out && dirty && strcmp(dirty, "0") != 0)
        problems_add(p->problems,
                     "%s: %s has %s files changed by hand: %s; commit or undo them there, or give `force: "
                     "yes` to lose them",
                     node->id, preflight_dir(p, node), dirty, files ? files : "");
}

static void take_facts(struct preflight *p, struct plan_node *node, const struct job *runs)
{
    if (!runs)
        return;
    if (!preflight_good(runs)) {
        preflight_problem(p, node, runs);
        return;
    }
    const char *before = preflight_fact(runs, "rev_before");
    node->rev_before = arena_strdup(p->arena, before ? before : "");
    size_t n = node->n_facts + runs->result->n_facts;
    struct op_pair *facts = arena_array(p->arena, n + 1, sizeof(*facts));
    for (size_t k = 0; k < node->n_facts; k++)
        facts[k] = node->facts[k];
    const struct op_pair *more = pairs_copy(runs->result->facts, runs->result->n_facts, p->arena);
    memcpy(facts + node->n_facts, more, runs->result->n_facts * sizeof(*facts));
    node->facts = facts;
    node->n_facts = n;
}

/* Sessions that do not finish are to be ended, by the kind of balancer that this verb is of. */
static bool wants_kill(const struct plan *plan, const struct plan_node *node, const struct verb *of)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct verb *verb = verb_find(plan->steps[i].verb, NULL);
        if (plan_takes(&plan->steps[i], node) && verb && verb->kill && verb->balancer == of->balancer &&
            plan->steps[i].on_timeout == ON_TIMEOUT_KILL)
            return true;
    }
    return false;
}

/* Its state before a drain is recorded again right before that drain: an operator may change it until then.
 */
static void take_balancer(struct preflight *p, struct plan_node *node, const struct asked *a)
{
    node->was_up = a->n_balancers > 0 || !p->capacity[node->role];
    for (size_t k = 0; k < a->n_balancers; k++) {
        const char *in = preflight_fact(a->balancer[k], "in_rotation");
        if (!preflight_good(a->balancer[k]))
            preflight_problem(p, node, a->balancer[k]);
        else if (wants_kill(p->plan, node, a->balancer[k]->spec.verb) &&
                 !lb_can_has(preflight_fact(a->balancer[k], LB_FACT_CAN), LB_WORD_KILL))
            problems_add(
                p->problems,
                "%s: 'on_timeout: kill' is wanted, and its balancer cannot end sessions; say 'restore' "
                "or 'proceed'",
                node->id);
        else if (in && strcmp(in, "no") == 0)
            node->was_up = false;
    }
}

/* An earlier release that was given up left this node drained: what it owes the balancers is paid by this
 * one. Seen for the first time now, the drain itself would pass for what was before, and be given back. */
static void take_debt(struct preflight *p, struct plan_node *node, const struct node_state_info *known,
                      size_t n_known)
{
    for (size_t k = 0; k < n_known; k++) {
        const char *before = known[k].debt && strcmp(known[k].node, node->id) == 0
                                 ? lb_debt_before(known[k].debt_text, p->arena)
                                 : "";
        if (node->was_up || *before == '\0')
            continue;
        struct op_pair *facts = arena_array(p->arena, node->n_facts + 2, sizeof(*facts));
        for (size_t i = 0; i < node->n_facts; i++)
            facts[i] = node->facts[i];
        facts[node->n_facts++] = (struct op_pair){.name = LB_FACT_BEFORE, .value = before};
        if (lb_debt_is_maint(known[k].debt_text))
            facts[node->n_facts++] = (struct op_pair){.name = LB_FACT_MAINT, .value = LB_OURS};
        node->facts = facts;
    }
}

static const char *fact_of(const struct plan_node *node, const char *name)
{
    for (size_t i = node->n_facts; i-- > 0;)
        if (strcmp(node->facts[i].name, name) == 0)
            return node->facts[i].value;
    return NULL;
}

/* A node that is out because its application is down, or because an earlier release owes it: with this
 * release it serves again. What its balancers had before says so. */
static void take_return(struct preflight *p, struct plan_node *node, const struct asked *a)
{
    const char *owed = fact_of(node, LB_FACT_BEFORE);
    bool returns = !node->was_up && (owed || a->n_balancers > 0);
    for (size_t k = 0; k < a->n_balancers && returns; k++)
        returns = lb_before_returns(owed ? owed : preflight_fact(a->balancer[k], LB_FACT_BEFORE));
    if (!returns)
        return;
    struct op_pair *facts = arena_array(p->arena, node->n_facts + 1, sizeof(*facts));
    for (size_t i = 0; i < node->n_facts; i++)
        facts[i] = node->facts[i];
    facts[node->n_facts++] = (struct op_pair){.name = LB_FACT_RETURNS, .value = "yes"};
    node->facts = facts;
}

/* Nodes that come back with this release go first in their role: then the others have their floor. */
static void returning_first(struct preflight *p, size_t role)
{
    struct plan *plan = p->plan;
    struct plan_node *sorted = arena_array(p->arena, plan->n_nodes + 1, sizeof(*sorted));
    size_t n = 0, first = 0;
    while (first < plan->n_nodes && plan->nodes[first].role < role)
        first++;
    for (int returns = 1; returns >= 0; returns--)
        for (size_t i = first; i < plan->n_nodes && plan->nodes[i].role == role; i++)
            if ((fact_of(&plan->nodes[i], LB_FACT_RETURNS) != NULL) == returns)
                sorted[n++] = plan->nodes[i];
    memcpy(plan->nodes + first, sorted, n * sizeof(*sorted));
}

static void check_floor(struct preflight *p, size_t role)
{
    const struct plan *plan = p->plan;
    const struct job *capacity = p->capacity[role];
    const struct plan_role of = plan_role_of(plan, role);
    bool any_up = false;
    int64_t returning = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        any_up |= plan->nodes[i].role == role && plan->nodes[i].was_up;
        returning += plan->nodes[i].role == role && fact_of(&plan->nodes[i], LB_FACT_RETURNS) != NULL;
    }
    if (!capacity)
        return;
    if (!preflight_good(capacity)) {
        problems_add(p->problems, "balancer: %s", capacity->result->err.text);
        return;
    }
    int64_t up = capacity->result->gauge;
    if (any_up && up - 1 < (int64_t)of.min_up && up - 1 + returning >= (int64_t)of.min_up)
        returning_first(p, role);
    else if (any_up && up - 1 < (int64_t)of.min_up)
        problems_add(
            p->problems,
            "balancer: %" PRId64
            " nodes%s%s are in rotation and min_up wants %u to stay: none may leave. Bring nodes back "
            "('--only NODE' releases one that is out already), or lower min_up",
            up, plan->n_roles ? " of role " : "", of.name, of.min_up);
}

static void check_judge(struct preflight *p, size_t role)
{
    const struct job *judge = p->judge[role], *query = p->query[role];
    const struct plan_role of = plan_role_of(p->plan, role);
    if (judge && preflight_good(judge))
        judge_fits(p->plan, (uint32_t)role, judge->result, p->problems);
    else if (judge && (!p->capacity[role] || preflight_good(p->capacity[role]))) /* else it has been said */
        problems_add(p->problems, "judge: %s", judge->result->err.text);
    if (query && !preflight_good(query))
        problems_add(p->problems, "%s: release: %s", of.judge->prometheus.where, query->result->err.text);
    if (of.judge && of.soak_ms > 0)
        judge_program_fits(of.judge, p->problems);
}

/* A balancer that is down is one problem, not one for each node. */
static void fold_repeats(struct problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        const char *text = strstr(problems->lines[i], ": ");
        size_t same = 0, k = i + 1;
        for (size_t j = i + 1; text && j < problems->n; j++) {
            const char *other = strstr(problems->lines[j], ": ");
            if (other && strcmp(other, text) == 0)
                same++;
            else
                problems->lines[k++] = problems->lines[j];
        }
        if (same > 0) {
            problems->n = k;
            problems->lines[i] =
                arena_printf(&problems->arena, "%.*s and %zu more%s", (int)(text - problems->lines[i]),
                             problems->lines[i], same, text);
        }
    }
}

bool run_preflight(struct plan *plan, struct arena *arena, const struct run_options *opt,
                   struct problems *problems)
{
    struct preflight p = {.plan = plan,
                          .arena = arena,
                          .opt = opt,
                          .problems = problems,
                          .asked = xcalloc(plan->n_nodes + 1, sizeof(struct asked)),
                          .batch = batch_new(plan, opt)};
    struct node_state_info *known = NULL;
    size_t n_known = 0;
    struct err err = {0};
    if (opt->store && !node_states(reader(opt->store, arena), plan->env, &known, &n_known, &err))
        problems_add(problems, "journal: %s", err.text);
    ask(&p);
    if (p.batch->canceled) {
        problems_add(problems, "preflight: stopped by a signal");
    } else {
        struct look *looks = arena_array(arena, plan->n_nodes + 1, sizeof(*looks));
        take_revision(&p);
        for (size_t i = 0; i < plan->n_nodes; i++) {
            struct plan_node *node = &plan->nodes[i];
            check_node(&p, node, p.asked[i].node);
            check_identity(&p, node, p.asked[i].node, known, n_known);
            if (preflight_good(p.asked[i].node))
                take_facts(&p, node, p.asked[i].runs);
            check_tree(&p, node, p.asked[i].runs);
            preflight_paths(&p, i);
            if (preflight_good(p.asked[i].node) && p.asked[i].app && !preflight_good(p.asked[i].app))
                preflight_problem(&p, node, p.asked[i].app);
            take_balancer(&p, node, &p.asked[i]);
            take_debt(&p, node, known, n_known);
            take_return(&p, node, &p.asked[i]);
            if (preflight_good(p.asked[i].node))
                preflight_place(node, preflight_fact(p.asked[i].node, "place"), arena);
            look_init(&looks[i], node);
            look_take_app(&looks[i], p.asked[i].app, arena);
            preflight_tried(&p, i);
        }
        preflight_git(&p);
        preflight_about(&p);
        preflight_sites(plan, arena, opt, problems);
        look_check(plan, arena, opt, looks, problems);
        for (size_t r = 0; r < plan_n_roles(plan); r++) {
            check_floor(&p, r);
            preflight_refusals(&p, r);
        }
        for (size_t r = 0; r < plan_n_roles(plan); r++)
            check_judge(&p, r);
        preflight_shared(&p);
        fold_repeats(problems);
        if (opt->warnings)
            fold_repeats(opt->warnings);
    }
    batch_free(p.batch);
    free(p.asked);
    return problems->n == 0;
}
