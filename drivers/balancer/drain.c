/* haproxy: taking a server out of rotation, waiting until nothing runs on it, and looking whether it stays
 * out.
 *
 * A server counts as out only by its admin bits: one that is merely DOWN would come back by itself the moment
 * its application answers. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <inttypes.h>
#include <string.h>

/* ---- observe, drain -------------------------------------------------------- */

static bool balancers_agree(const struct hap *h)
{
    for (size_t i = 1; i < h->n; i++) {
        if (hap_admin_of(&h->now[i]) != hap_admin_of(&h->now[0]))
            return false;
    }
    return true;
}

static bool out_everywhere(const struct hap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!hap_is_out(&h->now[i]))
            return false;
    }
    return true;
}

/* An agent check that runs can undo a drain at any moment. */
static bool agents_quiet(const struct hap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->now[i].agent)
            return false;
    }
    return true;
}

bool hap_serving_everywhere(const struct hap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!hap_is_serving(&h->now[i]))
            return false;
    }
    return true;
}

enum outcome haproxy_run_observe(struct op *op)
{
    struct hap h;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, false))
        return op_end(op);
    op_fact(op, "lb.state", "%s", hap_text(&h));
    op_fact(op, "in_rotation", "%s", hap_serving_everywhere(&h) ? "yes" : "no");
    if (!hap_before_recorded(&h) && !balancers_agree(&h))
        return op_refused(op, E_STATE,
                          "balancers disagree: %s of backend %s; make them agree by hand, then try again",
                          hap_text(&h), h.backend);
    if (!hap_report_before(&h))
        return op_end(op);
    hap_report_address(&h);
    op_ready(op, out_everywhere(&h) && agents_quiet(&h));
    return OUT_OK;
}

/* What this op did on one balancer. */
struct touched {
    bool drained, held_off;
};

/* Row 23: one balancer refused after others were drained by this op. They get back what they had: ready and
 * an agent check that runs, else this op would not have touched them. */
static bool put_back(struct hap *h, const struct touched *mine)
{
    bool all = true;
    for (size_t i = 0; i < h->n; i++) {
        const char *refusal = NULL;
        if (mine[i].drained && (!hap_put(h, i, HAP_READY, &refusal) || refusal))
            all = false;
        if (mine[i].held_off && (!hap_put_agent(h, i, true, &refusal) || refusal))
            all = false;
    }
    return all;
}

static enum outcome drain_refused(struct hap *h, size_t i, const struct touched *mine, const char *words)
{
    if (put_back(h, mine))
        return op_refused(h->op, E_REFUSED, "%s: %s/%s: wanted drain, the balancer said: %s%s",
                          h->socks[i].text, h->backend, h->server, words,
                          h->n > 1 ? "; the other balancers are as before" : "");
    return op_unknown(
        h->op, E_REFUSED,
        "%s: %s/%s: wanted drain, the balancer said: %s; another balancer could not be put back",
        h->socks[i].text, h->backend, h->server, words);
}

/* The agent check first: it may say "ready" at any moment. false: op failed, or *ret_refusal says why not. */
static bool drain_one(struct hap *h, size_t i, struct touched *mine, const char **ret_refusal)
{
    *ret_refusal = NULL;
    op_sending(h->op);
    if (h->now[i].agent) {
        if (!hap_put_agent(h, i, false, ret_refusal) || *ret_refusal)
            return false;
        mine->held_off = true;
    }
    if (hap_is_out(&h->now[i]))
        return true;
    if (!hap_put(h, i, HAP_DRAIN, ret_refusal) || *ret_refusal)
        return false;
    mine->drained = true;
    return true;
}

enum outcome haproxy_run_drain(struct op *op)
{
    struct hap h;
    struct touched mine[HAP_BALANCERS_MAX] = {{.drained = false}};
    bool changed = false;
    if (!hap_open(op, &h) || !hap_look_all(&h, false))
        return op_end(op);
    op_fact(op, "lb.debt", "haproxy %s/%s drained%s, before: %s", h.backend, h.server,
            agents_quiet(&h) ? "" : " and its agent check held off", hap_text(&h));
    for (size_t i = 0; i < h.n; i++) {
        const char *refusal;
        if (hap_is_out(&h.now[i]) && !h.now[i].agent)
            continue;
        if (!drain_one(&h, i, &mine[i], &refusal)) {
            if (refusal)
                return drain_refused(&h, i, mine, refusal);
            put_back(&h, mine);
            return op_end(op);
        }
        changed = true;
    }
    op_fact(op, "lb.state", "%s", hap_text(&h));
    op_changed(op, changed);
    return OUT_OK;
}

/* ---- wait_idle, guard ------------------------------------------------------ */

/* A balancer that shows the server ready again has forgotten the drain: reload, restart, or somebody's hand.
 * So has one whose agent check runs again, only later. The core drains again. */
static bool drain_lost(struct hap *h)
{
    bool out = out_everywhere(h);
    if (out && agents_quiet(h))
        return false;
    op_lost(h->op);
    op_ready(h->op, false);
    op_say(h->op, "%s: %s", out ? "the agent check runs again" : "the drain is gone", hap_text(h));
    return true;
}

enum outcome haproxy_run_wait_idle(struct op *op)
{
    struct hap h;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, true))
        return op_end(op);
    int64_t left = hap_count_sessions(&h);
    if (!drain_lost(&h))
        op_ready(op, left == 0);
    return OUT_OK;
}

enum outcome haproxy_run_guard(struct op *op)
{
    struct hap h;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, false))
        return op_end(op);
    if (!drain_lost(&h))
        op_ready(op, true);
    return OUT_OK;
}

/* ---- maint, kill ----------------------------------------------------------- */

/* "lb.maint=ours" tells `enable` that the maintenance it finds is not an operator's. */
static bool maint_everywhere(struct hap *h, bool *ret_changed)
{
    for (size_t i = 0; i < h->n; i++) {
        const char *refusal;
        if (hap_admin_of(&h->now[i]) == HAP_MAINT)
            continue;
        op_sending(h->op);
        if (!hap_put(h, i, HAP_MAINT, &refusal))
            return false;
        if (refusal) {
            hap_refused(h, i, "maint", refusal);
            return false;
        }
        *ret_changed = true;
    }
    op_fact(h->op, "lb.maint", "ours");
    return true;
}

enum outcome haproxy_run_maint(struct op *op)
{
    struct hap h;
    bool changed = false;
    if (!hap_open(op, &h) || !hap_look_all(&h, false) || !maint_everywhere(&h, &changed))
        return op_end(op);
    op_changed(op, changed);
    return OUT_OK;
}

static bool in_maint(const struct hap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (hap_admin_of(&h->now[i]) != HAP_MAINT)
            return false;
    }
    return true;
}

enum outcome haproxy_run_in_maint(struct op *op)
{
    struct hap h;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, false))
        return op_end(op);
    if (in_maint(&h))
        op_fact(op, "lb.maint", "ours");
    op_ready(op, in_maint(&h));
    return OUT_OK;
}

static bool shut_sessions(struct hap *h, size_t i)
{
    const char *refusal;
    op_sending(h->op);
    if (!hap_tell(h, i, &refusal, "shutdown sessions server %s/%s", h->backend, h->server))
        return false;
    if (refusal)
        hap_refused(h, i, "its sessions ended", refusal);
    return !refusal;
}

/* Clients see these sessions break: the last resort, by on_timeout kill, and always reported. */
enum outcome haproxy_run_kill(struct op *op)
{
    struct hap h;
    bool changed = false;
    if (!hap_open(op, &h) || !hap_look_all(&h, true))
        return op_end(op);
    int64_t killed = hap_count_sessions(&h);
    if (!maint_everywhere(&h, &changed))
        return op_end(op);
    for (size_t i = 0; killed > 0 && i < h.n; i++) {
        if (!shut_sessions(&h, i))
            return op_end(op);
    }
    op_fact(op, "killed", "%" PRId64, killed);
    if (killed > 0)
        op_say(op, "%s: ended %" PRId64 " sessions that did not finish; their clients saw an error", h.server,
               killed);
    op_changed(op, changed || killed > 0);
    if (!hap_look_all(&h, true))
        return op_end(op);
    op_ready(op, hap_count_sessions(&h) == 0);
    return OUT_OK;
}

enum outcome haproxy_run_killed(struct op *op)
{
    struct hap h;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, true))
        return op_end(op);
    op_ready(op, hap_count_sessions(&h) == 0 && in_maint(&h));
    return OUT_OK;
}
