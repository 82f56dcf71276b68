/* SPDX-License-Identifier: MIT */
/* The verbs that take a server out of rotation, wait until nothing runs on it, and look whether it stays out.
 *
 * A server counts as out only by an administrator's word: one that is merely down would come back by itself
 * the moment its application answers. */
#include "drivers/balancer/balancer.h"

#include <inttypes.h>
#include <string.h>

/* ---- observe, drain -------------------------------------------------------- */

/* In or out, and where out, how. Each pool for itself: a server may be in one and out of another. */
static bool balancers_agree(const struct lb *lb)
{
    for (size_t i = 1; i < lb->n; i++) {
        size_t k = 0;
        while (strcmp(lb->at[k].pool, lb->at[i].pool) != 0)
            k++;
        enum lb_state here = lb_place_state(&lb->at[i]), first = lb_place_state(&lb->at[k]);
        if (here != first && (lb_state_is_out(here) || lb_state_is_out(first)))
            return false;
    }
    return true;
}

static bool rows_agree(const struct lb *lb, const struct lb_server *a, const struct lb_server *b)
{
    bool weighs = (lb->can & LB_CAN_WEIGHT) && a->weight >= 0 && b->weight >= 0 && !a->agent && !b->agent;
    return (a->state == b->state || (!lb_state_is_out(a->state) && !lb_state_is_out(b->state))) &&
           (!weighs || a->weight == b->weight);
}

/* A place is recorded and given back as one: of rows that differ, all but one would come back as something else. Those of different
 * pools (VCLs that are loaded beside each other) are older and newer forms of one thing. NULL: none does. */
static const struct lb_server *odd_row(const struct lb *lb, const struct lb_place *p)
{
    for (size_t k = 1; k < p->n; k++) {
        if (!p->rows[k].leaving && !strcmp(p->rows[k].pool, p->rows[0].pool) &&
            !rows_agree(lb, &p->rows[0], &p->rows[k]))
            return &p->rows[k];
    }
    return NULL;
}

static const char *row_text(const struct lb *lb, const struct lb_server *s)
{
    struct arena *a = op_arena(lb->op);
    const char *text =
        arena_printf(a, "%s %s", lb_first_line(lb->op, s->label ? s->label : s->name), lb_word(lb, s->state));
    return s->weight >= 0 ? arena_printf(a, "%s with weight %d", text, s->weight) : text;
}

/* false: op failed. */
static bool rows_fit(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        const struct lb_place *p = &lb->at[i];
        const struct lb_server *odd = odd_row(lb, p);
        if (!odd)
            continue;
        op_refused(lb->op, E_STATE,
                   "%s: %s stands for several that disagree: %s, %s; make them agree by hand, then try again",
                   lb->peers[p->peer].text, lb_place_text(lb, p), row_text(lb, &p->rows[0]),
                   row_text(lb, odd));
        return false;
    }
    return true;
}

/* NULL: each of them is known. Nothing could be given back of what was never known. */
static const struct lb_place *unknown_place(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (lb_place_state(&lb->at[i]) == LB_UNKNOWN)
            return &lb->at[i];
    }
    return NULL;
}

/* An agent check that runs can undo a drain at any moment. */
static bool agents_quiet(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (lb_place_agent(&lb->at[i]))
            return false;
    }
    return true;
}

/* Preflight asks what this balancer is able to do, where only it can say. */
static void report_can(struct lb *lb)
{
    static const struct {
        enum lb_can can;
        const char *word;
    } rows[] = {
#define ROW(c, w) {LB_CAN_##c, w},
        LB_CAN_WORDS(ROW)
#undef ROW
    };
    auto_buf struct buf b = BUF_INIT(200);
    if (lb->can == lb->kind->can)
        return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (lb->can & rows[i].can)
            buf_printf(&b, "%s%s", b.len ? "," : "", rows[i].word);
    }
    op_fact(lb->op, LB_FACT_CAN, "%s", buf_str(&b));
}

enum outcome lb_run_observe(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    op_fact(op, LB_FACT_STATE, "%s", lb_text(&lb));
    op_fact(op, "in_rotation", "%s", lb_all_serving(&lb) ? "yes" : "no");
    report_can(&lb);
    for (size_t i = 0; lb.kind->fits && !lb_recorded(&lb) && i < lb.n_peers; i++) {
        if (!lb.kind->fits(&lb, i))
            return op_end(op);
    }
    const struct lb_place *unknown = lb_recorded(&lb) ? NULL : unknown_place(&lb);
    if (unknown)
        return op_refused(op, E_STATE, "%s: %s: nobody knows whether it gets requests: %s",
                          lb.peers[unknown->peer].text, lb_place_text(&lb, unknown),
                          unknown->rows[0].status ? lb_first_line(op, unknown->rows[0].status)
                                                  : "it does not say");
    if (!lb_recorded(&lb) && !balancers_agree(&lb))
        return op_refused(op, E_STATE, "%s disagree: %s; make them agree by hand, then try again",
                          lb.kind->many, lb_text(&lb));
    if (!lb_recorded(&lb) && !rows_fit(&lb))
        return op_end(op);
    if (!lb_report_before(&lb))
        return op_end(op);
    lb_report_address(&lb);
    op_ready(op, lb_all_out(&lb) && agents_quiet(&lb));
    return OUT_OK;
}

/* What this op did in one place. */
struct touched {
    bool drained, held_off;
    enum lb_state was;
};

/* Row 23: one refused after others were drained by this op. They get back what they had; who refused comes last, and may take
 * what is left of the time. Nothing is given back of what was never known. NULL: all are as before; else who is not. */
static const char *put_back(struct lb *lb, const struct touched *mine)
{
    const char *left = NULL;
    for (size_t i = 0; i < lb->n; i++) {
        const struct op_failure failure = op_set_aside(lb->op); /* each has a chance of its own */
        const char *refusal = NULL, *who = lb->peers[lb->at[i].peer].text;
        if (mine[i].drained && mine[i].was == LB_UNKNOWN)
            left = arena_printf(op_arena(lb->op), "%s stays %s: what it did before was not known", who,
                                lb_word(lb, LB_DRAIN));
        else if (mine[i].drained && (!lb_put(lb, &lb->at[i], mine[i].was, &refusal) || refusal))
            left = arena_printf(op_arena(lb->op), "%s could not be put back", who);
        if (mine[i].held_off && (!lb_put_agent(lb, &lb->at[i], true, &refusal) || refusal))
            left = arena_printf(op_arena(lb->op), "%s could not be put back", who);
        op_take_up(lb->op, &failure);
    }
    return left;
}

static enum outcome drain_refused(struct lb *lb, size_t i, const struct touched *mine, const char *words)
{
    const char *who = lb->peers[lb->at[i].peer].text, *server = lb_place_text(lb, &lb->at[i]);
    const char *wanted = lb_word(lb, LB_DRAIN), *left = put_back(lb, mine);
    if (!left)
        return op_refused(lb->op, E_REFUSED, "%s: %s: wanted %s, the balancer said: %s%s", who, server,
                          wanted, words, lb->n > 1 ? "; the other balancers are as before" : "");
    return op_unknown(lb->op, E_REFUSED, "%s: %s: wanted %s, the balancer said: %s; %s", who, server, wanted,
                      words, left);
}

/* The agent check first: it may say "ready" at any moment. false: op failed, or *ret_refusal says why not.
 * What may have been done is noted before it is told. */
static bool drain_one(struct lb *lb, struct lb_place *p, struct touched *mine, const char **ret_refusal)
{
    *ret_refusal = NULL;
    if (lb_place_agent(p)) {
        mine->held_off = true;
        if (!lb_put_agent(lb, p, false, ret_refusal))
            return false;
        mine->held_off = !*ret_refusal;
        if (*ret_refusal)
            return false;
    }
    if (lb_state_is_out(lb_place_state(p)))
        return true;
    mine->was = lb_place_state(p);
    mine->drained = true;
    lb_report_told(lb, p);
    if (!lb_put(lb, p, LB_DRAIN, ret_refusal))
        return false;
    if (*ret_refusal) /* a part of it may have taken it */
        mine->drained = !lb_see_peer(lb, p->peer, LB_ASK_STATE) ||
                        (mine->was != LB_UNKNOWN && !lb_place_is(p, mine->was));
    return !*ret_refusal;
}

enum outcome lb_run_drain(struct op *op)
{
    auto_lb struct lb lb;
    bool changed = false;
    if (!lb_open(op, &lb))
        return op_end(op);
    op_sending(op); /* as enable: a balancer that cannot be asked is asked again, until the step's deadline */
    if (!lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    struct touched *mine = arena_array(op_arena(op), lb.n, sizeof *mine);
    op_fact(op, LB_FACT_DEBT, "%s %s %s%s, before: %s", lb.kind->name, lb_place_text(&lb, &lb.at[0]),
            lb.kind->deed, agents_quiet(&lb) ? "" : " and its agent check held off", lb_text(&lb));
    for (size_t i = 0; i < lb.n; i++) {
        struct lb_place *p = &lb.at[i];
        const char *refusal;
        if (lb_state_is_out(lb_place_state(p)) && !lb_place_agent(p))
            continue;
        if (!drain_one(&lb, p, &mine[i], &refusal)) {
            if (refusal)
                return drain_refused(&lb, i, mine, refusal);
            const char *left = put_back(&lb, mine);
            if (left)
                op_say(op, "%s", left);
            return op_end(op);
        }
        changed = true;
    }
    op_fact(op, LB_FACT_STATE, "%s", lb_text(&lb));
    op_changed(op, changed);
    op_ready(op, !lb.lags);
    return OUT_OK;
}

/* ---- wait_idle, guard ------------------------------------------------------ */

/* A balancer that shows the server in again has forgotten the drain: reload, restart, or somebody's hand.
 * So has one whose agent check runs again, only later. The core drains again. */
static bool drain_lost(struct lb *lb)
{
    bool out = lb_all_out(lb);
    if (out && agents_quiet(lb))
        return false;
    op_lost(lb->op);
    op_ready(lb->op, false);
    op_say(lb->op, "%s%s: %s", out ? "the agent check runs again" : "the drain is gone",
           !out && (lb->can & LB_CAN_FORGET) ? lb->kind->forgets : "", lb_text(lb));
    return true;
}

static bool see_what_runs(struct lb *lb)
{
    lb->summing = true;
    return lb_see(lb, LB_ASK_COUNTS);
}

enum outcome lb_run_wait_idle(struct op *op)
{
    auto_lb struct lb lb;
    int64_t left;
    if (!lb_open_read(op, &lb) || !see_what_runs(&lb))
        return op_end(op);
    bool lost = drain_lost(&lb);
    if (lost && lb.kind->count) /* not worth another question */
        return OUT_OK;
    if (!lb_idle_count(&lb, &left))
        return op_end(op);
    op_ready(op, !lost && left == 0 && !lb_any_leaving(&lb));
    return OUT_OK;
}

enum outcome lb_run_guard(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    if (!drain_lost(&lb))
        op_ready(op, true);
    return OUT_OK;
}

/* ---- maint, kill ----------------------------------------------------------- */

static bool farthest_everywhere(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (!lb_place_is(&lb->at[i], lb_farthest(lb)))
            return false;
    }
    return true;
}

/* LB_OURS tells `enable` that the maintenance it finds is not an operator's. */
static bool put_farthest(struct lb *lb, bool *ret_changed)
{
    enum lb_state want = lb_farthest(lb);
    for (size_t i = 0; i < lb->n; i++) {
        const char *refusal;
        if (lb_place_is(&lb->at[i], want))
            continue;
        if (!lb_put(lb, &lb->at[i], want, &refusal))
            return false;
        if (refusal) {
            lb_refused(lb, &lb->at[i], lb_word(lb, want), refusal);
            return false;
        }
        *ret_changed = true;
    }
    op_fact(lb->op, LB_FACT_MAINT, LB_OURS);
    return true;
}

enum outcome lb_run_maint(struct op *op)
{
    auto_lb struct lb lb;
    bool changed = false;
    if (!lb_open(op, &lb))
        return op_end(op);
    op_sending(op); /* as drain */
    if (!lb_see(&lb, LB_ASK_STATE) || !put_farthest(&lb, &changed))
        return op_end(op);
    if (!(lb.can & LB_CAN_MAINT))
        op_say(op, "%s: this balancer knows no maintenance: drained is as far out as it takes a server",
               lb.server);
    op_changed(op, changed);
    return OUT_OK;
}

enum outcome lb_run_in_maint(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    bool there = farthest_everywhere(&lb);
    if (there)
        op_fact(op, LB_FACT_MAINT, LB_OURS);
    op_ready(op, there);
    return OUT_OK;
}

static bool end_sessions(struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        const char *refusal = NULL;
        if (!lb->kind->kill(lb, &lb->at[i], &refusal))
            return false;
        if (refusal) {
            lb_refused(lb, &lb->at[i], "its sessions ended", refusal);
            return false;
        }
    }
    return true;
}

/* Clients see these sessions break: the last resort, by on_timeout kill, and always reported. */
enum outcome lb_run_kill(struct op *op)
{
    auto_lb struct lb lb;
    bool changed = false;
    int64_t killed, left;
    bool ends;
    if (!lb_open(op, &lb))
        return op_end(op);
    op_sending(op); /* as drain */
    if (!see_what_runs(&lb))
        return op_end(op);
    if (!(lb.can & LB_CAN_KILL))
        return op_refused(op, E_CONFIG,
                          "%s: this balancer cannot end sessions (on_timeout: restore or proceed)",
                          lb_place_text(&lb, &lb.at[0]));
    if (!lb_idle_count(&lb, &killed) || !put_farthest(&lb, &changed))
        return op_end(op);
    ends = killed > 0 || lb_any_leaving(&lb); /* nothing counted may still be something that keeps it */
    if (ends && !end_sessions(&lb))
        return op_end(op);
    op_fact(op, "killed", "%" PRId64, killed);
    if (killed > 0)
        op_say(op, "%s: ended %" PRId64 " sessions that did not finish; their clients saw an error",
               lb.server, killed);
    op_changed(op, changed || ends);
    if (!see_what_runs(&lb) || !lb_idle_count(&lb, &left))
        return op_end(op);
    op_ready(op, left == 0 && !lb_any_leaving(&lb));
    return OUT_OK;
}

enum outcome lb_run_killed(struct op *op)
{
    auto_lb struct lb lb;
    int64_t left;
    if (!lb_open_read(op, &lb) || !see_what_runs(&lb) || !lb_idle_count(&lb, &left))
        return op_end(op);
    op_ready(op, left == 0 && farthest_everywhere(&lb) && !lb_any_leaving(&lb));
    return OUT_OK;
}
