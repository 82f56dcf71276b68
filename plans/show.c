/* SPDX-License-Identifier: MIT */
/* `release plan`: the whole plan for people. */
#include "plans/pillar.h"

#include <stdlib.h>
#include <string.h>

#include "plans/judge.h"
#include "plans/subst.h"

#define TEXT_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define REV_SHOWN      12
#define ARG_SHOWN      100

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void visible(struct buf *out, const char *s)
{
    size_t n = strlen(s), shown = n > ARG_SHOWN ? ARG_SHOWN : n;
    while (shown < n && shown > 0 && ((unsigned char)s[shown] & 0xc0) == 0x80)
        shown--;
    text_visible(out, s, shown);
    if (shown < n)
        buf_puts(out, "...");
}

static void add_rev(struct buf *out, const char *rev, const char *none)
{
    if (rev == NULL || *rev == '\0')
        buf_puts(out, none);
    else
        buf_printf(out, "%.*s", REV_SHOWN, rev);
}

/* Of one role; of all nodes, where they are alike. */
static void limits(struct buf *out, const struct plan *p, size_t role)
{
    const struct plan_role r = plan_role_of(p, role);
    char soak[DURATION_TEXT_MAX];
    if (p->n_roles > 0)
        buf_printf(out, "  role        %s, %zu node%s; each stage judged for %s\n", r.name,
                   plan_role_count(p, role), plural(plan_role_count(p, role)),
                   duration_text(r.soak_ms, soak, sizeof(soak)));
    buf_printf(out, "  window      %u out at once\n", r.window);
    if (r.capacity_step.verb != NULL)
        buf_printf(out, "  floor       %u must stay in rotation, read from %s before each drain\n", r.min_up,
                   r.capacity_step.also == NULL ? "the balancer" : "every balancer");
    else
        buf_puts(out, "  floor       none: there is no balancer to read it from\n");
    if (r.judge != NULL) {
        buf_puts(out, "  judge       ");
        judge_text(r.judge, out);
        buf_puts(out, "\n");
    }
    buf_printf(out, "  failures    stops at failure %u, then %s\n", r.max_failed + 1,
               p->rollback_on_failure ? "every touched node goes back" : "finished nodes stay");
}

static void head(struct buf *out, const struct plan *p)
{
    char soak[DURATION_TEXT_MAX];
    buf_printf(out, "%s%s of %s in %s, plan %s\n", kind_name(p->kind),
               p->needs_rev ? "" : " without a revision", p->app, p->env, p->name);
    if (p->needs_rev) {
        buf_puts(out, "  revision    ");
        add_rev(out, p->rev, "not resolved yet");
        buf_printf(out, " (%s)\n", p->rev_typed);
    }
    const char *path = op_pair_value(p->vars, p->n_vars, "git_path");
    if (p->needs_rev && path != NULL) {
        buf_puts(out, "  path        ");
        visible(out, path);
        buf_puts(out, ", of the repository\n");
    }
    for (size_t i = 0; i < p->n_rendered; i++)
        buf_printf(out, "  %s%s (sha256 %.12s)\n", i == 0 ? "rendered    " : "            ",
                   p->rendered[i].name, p->rendered[i].value);
    buf_puts(out, "  stages      ");
    for (size_t i = 0; i < p->n_stages; i++)
        buf_printf(out, "%s%u", i == 0 ? "" : ", ", p->stage_end[i]);
    buf_printf(out, " of %zu node%s", p->n_nodes, plural(p->n_nodes));
    if (p->n_roles > 0)
        buf_puts(out, ", one role after the other; back in reverse\n");
    else
        buf_printf(out, "; each judged for %s\n", duration_text(p->soak_ms, soak, sizeof(soak)));
    for (size_t r = 0; r < plan_n_roles(p); r++)
        limits(out, p, r);
}

static void drain_policy(struct buf *out, const struct plan *p)
{
    char a[DURATION_TEXT_MAX], b[DURATION_TEXT_MAX];
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct plan_step *s = &p->steps[i];
        if (s->phase != PHASE_DRAIN || verb_does(s->verb) != DOES_IDLE)
            continue;
        static const char *const then[] = {"put back and stop", "go on", "end the sessions"};
        buf_printf(out, "  drain       wait %s for sessions to end",
                   duration_text(s->timeout_ms, a, sizeof(a)));
        if (s->escalate_ms > 0)
            buf_printf(out, ", after %s also sticky ones go elsewhere",
                       duration_text(s->escalate_ms, b, sizeof(b)));
        buf_printf(out, "; what is left then: %s (on_timeout: %s)\n", then[s->on_timeout],
                   on_timeout_name(s->on_timeout));
    }
}

static void nodes(struct buf *out, const struct plan *p)
{
    size_t wide = 4, stage = 0;
    for (size_t i = 0; i < p->n_nodes; i++)
        wide = strlen(p->nodes[i].id) > wide ? strlen(p->nodes[i].id) : wide;
    buf_puts(out, "\nnodes, in order\n");
    for (size_t i = 0; i < p->n_nodes; i++) {
        const struct plan_node *n = &p->nodes[i];
        const char *port = op_pair_value(n->vars, n->n_vars, "port");
        while (stage < p->n_stages && i >= p->stage_end[stage])
            stage++;
        const char *role = plan_role_name(p, n);
        buf_printf(out, "  %3zu  %-*s  %s%sstage %zu  %s%s%s", i + 1, (int)wide, n->id,
                   role == NULL ? "" : role, role == NULL ? "" : "  ", stage + 1,
                   n->target.host == NULL ? "" : n->target.host, port == NULL ? "" : ":",
                   port == NULL ? "" : port);
        for (size_t k = 0; k < n->n_own; k++) {
            buf_printf(out, "  %s ", n->own[k].name);
            visible(out, n->own[k].value);
        }
        if (p->needs_rev) {
            buf_puts(out, "  ");
            add_rev(out, n->rev_before, "unknown");
            buf_puts(out, " -> ");
            add_rev(out, n->rev != NULL && *n->rev != '\0' ? n->rev : p->rev, p->rev_typed);
        }
        buf_puts(out, "\n");
    }
}

/* What is the same on every node is shown; the rest stays {name}. */
static void same_everywhere(void *ctx, const char *name, struct buf *out)
{
    const struct plan *p = ctx;
    bool same = strcmp(name, "repo") == 0 || strcmp(name, "app") == 0 || strcmp(name, "env") == 0;
    const char *value = same ? op_pair_value(p->vars, p->n_vars, name) : NULL;
    if (value != NULL)
        buf_puts(out, value);
    else
        buf_printf(out, "{%s}", name);
}

static void args(struct buf *out, const struct plan *p, const struct plan_step *s)
{
    struct plan copy = *p; /* for a callback without const */
    for (size_t i = 0; i < s->n_args; i++) {
        auto_buf struct buf text = BUF_INIT(TEXT_BYTES_MAX);
        if (plan_says_own(p, s, s->args[i].name)) {
            buf_printf(out, "%s%s={%s}", i == 0 ? "  " : " ", s->args[i].name, s->args[i].name);
            continue;
        }
        subst_expand(&text, s->args[i].value, same_everywhere, &copy);
        buf_printf(out, "%s%s=", i == 0 ? "  " : " ", s->args[i].name);
        visible(out, buf_str(&text));
    }
}

const char *plan_overrides_text(const struct plan *plan, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(4096);
    for (int i = 0; i < OVERRIDE_COUNT; i++)
        if (plan->overrides >> i & 1)
            buf_printf(&out, "%s%s", out.len > 0 ? ", " : "", override_name((enum override)i));
    if (plan->override != NULL) {
        buf_puts(&out, ": ");
        text_visible(&out, plan->override, strlen(plan->override));
    }
    return arena_strdup(arena, buf_str(&out));
}

static void step(struct buf *out, const struct plan *p, const struct plan_step *s)
{
    char timeout[DURATION_TEXT_MAX];
    buf_printf(out, "    %-22s", s->verb);
    args(out, p, s);
    buf_printf(out, "  [%s", duration_text(s->timeout_ms, timeout, sizeof(timeout)));
    if (s->role > 0 && s->role <= p->n_roles)
        buf_printf(out, ", role %s", p->roles[s->role - 1].name);
    if (s->retries > 0)
        buf_printf(out, ", %d retr%s", s->retries, s->retries == 1 ? "y" : "ies");
    if (s->stable > 1)
        buf_printf(out, ", %d in a row", s->stable);
    if (s->once == ONCE_FIRST)
        buf_puts(out, ", once: on the first node only");
    if (s->undo_cmd != NULL)
        buf_puts(out, ", undone on the way back");
    else if (s->once != ONCE_NO)
        buf_puts(out, ", stays on the way back");
    else if (s->phase >= PHASE_DRAIN && s->phase <= PHASE_ENABLE)
        buf_printf(out, ", way: %s",
                   s->forward_only ? "forward"
                   : s->out_only   ? "out"
                   : s->back_only  ? "back"
                                   : "both");
    if (plan_has_instances(p) && plan_step_of_host(s))
        buf_puts(out, ", once a host");
    if (s->warns)
        buf_puts(out, ", if it fails: a warning");
    else if (s->warns_back && !s->forward_only)
        buf_puts(out, ", if it fails on the way back: a warning");
    buf_puts(out, "]\n");
}

/* What the failure of a step means there; a step whose failure is a warning says so itself. */
static const char *phase_failure(const struct plan *p, enum phase phase)
{
    switch (phase) {
    case PHASE_HOOK_BEFORE: return "a failure ends the release, nothing is touched";
    case PHASE_PREPARE: return "a node that fails serves on as before";
    case PHASE_BEFORE:
    case PHASE_AFTER: return "a failure fails the release";
    case PHASE_DRAIN: return "a failure gives the node back and stops the release";
    case PHASE_CHANGE:
    case PHASE_CHECK: return "a node that fails goes back to what it ran";
    case PHASE_ENABLE:
        return "a node that its balancer refuses is left out, one that does not come up goes back";
    case PHASE_VERIFY:
        return p->rollback_on_failure ? "a failure takes the release back" : "a failure stops the release";
    case PHASE_HOOK_AFTER: return "a failure: released, not done; a resume runs it again";
    case PHASE_FINISH:
    case PHASE_HOOK_FAILURE: return "a failure is a warning";
    case PHASE_COUNT: break;
    }
    return "";
}

static const char *phase_where(enum phase phase)
{
    switch (phase) {
    case PHASE_HOOK_BEFORE:
    case PHASE_HOOK_AFTER: return "on the controller";
    case PHASE_HOOK_FAILURE: return "on the controller, when the release fails";
    case PHASE_PREPARE: return "all nodes at once, while they serve";
    case PHASE_BEFORE: return "once, on the first node, before any leaves rotation";
    case PHASE_DRAIN:
    case PHASE_CHANGE:
    case PHASE_CHECK:
    case PHASE_ENABLE: return "node by node, inside window and floor";
    case PHASE_AFTER: return "once, after the last node";
    case PHASE_VERIFY:
    case PHASE_FINISH: return "all nodes at once";
    case PHASE_COUNT: break;
    }
    return "";
}

static void steps(struct buf *out, const struct plan *p)
{
    int phase = -1;
    buf_puts(out, "\nsteps\n");
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct plan_step *s = &p->steps[i];
        if ((int)s->phase != phase)
            buf_printf(out, "  %s: %s; %s\n", phase_name(s->phase), phase_where(s->phase),
                       phase_failure(p, s->phase));
        phase = (int)s->phase;
        step(out, p, s);
    }
}

static bool has_check(const struct plan *p, size_t role)
{
    for (size_t i = 0; i < p->n_steps; i++)
        if (plan_role_takes(&p->steps[i], role) && p->steps[i].phase == PHASE_CHECK &&
            verb_does(p->steps[i].verb) == DOES_HEALTH)
            return true;
    return false;
}

/* Those that a balancer sends requests to, unseen. */
static bool any_unchecked(const struct plan *p)
{
    for (size_t r = 0; r < plan_n_roles(p); r++)
        if (plan_role_of(p, r).capacity_step.verb != NULL && !has_check(p, r))
            return true;
    return false;
}

char *plan_text(const struct plan *plan)
{
    struct buf out = BUF_INIT(TEXT_BYTES_MAX);
    head(&out, plan);
    drain_policy(&out, plan);
    nodes(&out, plan);
    steps(&out, plan);
    if (any_unchecked(plan))
        buf_puts(&out, "\nwarning: no health check: nodes return to rotation unseen (check: {url: ...} in "
                       "the pillar)\n");
    for (size_t i = 0; i < plan->n_events; i++)
        buf_printf(&out, "%s%s", i == 0 ? "\ntold to a webhook: " : ", ", plan->events[i].name);
    buf_puts(&out, plan->n_events > 0 ? "\n" : "");
    return out.data;
}

/* How many earlier nodes of the plan ran the same; the first of each speaks for all. */
static bool first_with_before(const struct plan *plan, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(plan->nodes[k].rev_before, plan->nodes[i].rev_before) == 0)
            return false;
    return true;
}

#define BEFORE_GROUPS_SHOWN 4
#define BEFORE_NODES_SHOWN  3

const char *plan_before_text(const struct plan *plan, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(16384);
    size_t groups = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        size_t n = 0;
        if (!first_with_before(plan, i) || groups++ >= BEFORE_GROUPS_SHOWN)
            continue;
        buf_puts(&out, groups > 1 ? ", " : "");
        add_rev(&out, plan->nodes[i].rev_before, "nothing");
        for (size_t k = i; k < plan->n_nodes; k++)
            if (strcmp(plan->nodes[k].rev_before, plan->nodes[i].rev_before) == 0 &&
                ++n <= BEFORE_NODES_SHOWN)
                buf_printf(&out, "%s%s", n == 1 ? " (" : ", ", plan->nodes[k].id);
        if (n > BEFORE_NODES_SHOWN)
            buf_printf(&out, " and %zu more", n - BEFORE_NODES_SHOWN);
        buf_puts(&out, ")");
    }
    if (groups > BEFORE_GROUPS_SHOWN)
        buf_printf(&out, " and %zu revisions more", groups - BEFORE_GROUPS_SHOWN);
    return arena_strdup(arena, buf_str(&out));
}
