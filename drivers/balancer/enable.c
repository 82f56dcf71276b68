/* haproxy: giving a server back what it had before the release, all at once or by a weight ramp. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <stdlib.h>
#include <string.h>

#define RAMP_MAX 20

/* What balancer i should show once the node is back. */
static struct hap_before wanted(const struct hap *h, size_t i)
{
    struct hap_before b = {.admin = HAP_READY, .weight = -1};
    hap_recall_before(h, i, &b);
    if (b.weight < 0)
        b.weight = h->now[i].weight;
    return b;
}

/* We drain; only `maint` and `kill` put a server into maintenance, and say so. Any other maintenance that was
 * not there before is somebody's hand: it stays (row 27). */
static bool kept_by_hand(const struct hap *h, size_t i)
{
    const char *ours = op_recall(h->op, "lb.maint");
    return hap_admin_of(&h->now[i]) == HAP_MAINT && !ours;
}

static size_t ramp_of(struct op *op, int *ret_percent)
{
    size_t n, used = 0;
    const char *const *texts = op_arg_list(op, "weight_ramp", &n);
    for (size_t i = 0; i < n && used < RAMP_MAX; i++) {
        char *end;
        long v = strtol(texts[i], &end, 10);
        if (end == texts[i] || strcmp(end, "%") != 0 || v < 1 || v > 100) {
            op_refused(op, E_CONFIG, "weight_ramp: \"%s\" is not a percentage between 1%% and 100%%",
                       texts[i]);
            return 0;
        }
        if (v < 100)
            ret_percent[used++] = (int)v;
    }
    if (used && (int64_t)used * op_arg_ms(op, "ramp_step") >= op_left_ms(op)) {
        op_refused(op, E_CONFIG,
                   "weight_ramp: %zu steps do not fit the step's deadline; give enable a longer `timeout`",
                   used);
        return 0;
    }
    return used;
}

static int share(int weight, int percent)
{
    int w = weight * percent / 100;
    return w > 0 || weight == 0 ? w : 1;
}

/* Weight first, so that a server never comes back with more than it should get. */
static bool give_back(struct hap *h, size_t i, int percent, bool *io_changed)
{
    struct hap_before want = wanted(h, i);
    const char *refusal;
    if (kept_by_hand(h, i) || want.admin != HAP_READY) {
        op_fact(h->op, "kept", "%s", hap_admin_name(want.admin == HAP_READY ? HAP_MAINT : want.admin));
        op_say(h->op, "%s: stays in %s on %s, %s", h->server,
               hap_admin_name(want.admin == HAP_READY ? HAP_MAINT : want.admin), h->socks[i].text,
               want.admin == HAP_READY ? "set by hand meanwhile" : "as before this release");
    }
    if (kept_by_hand(h, i))
        return true;
    int weight = want.admin == HAP_READY ? share(want.weight, percent) : want.weight;
    bool differs = h->now[i].weight != weight || hap_admin_of(&h->now[i]) != want.admin;
    if (!hap_put_weight(h, i, weight, &refusal))
        return false;
    if (!refusal && hap_admin_of(&h->now[i]) != want.admin && !hap_put(h, i, want.admin, &refusal))
        return false;
    if (refusal)
        hap_refused(h, i, hap_admin_name(want.admin), refusal);
    *io_changed = *io_changed || differs;
    return !refusal;
}

static bool give_back_all(struct hap *h, int percent, bool *io_changed)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!give_back(h, i, percent, io_changed))
            return false;
    }
    return true;
}

/* Last, for from then on state and weight are the agent's. Also where somebody's maintenance stays: what we
 * held off was not theirs. */
static bool agents_back(struct hap *h, bool *io_changed)
{
    for (size_t i = 0; i < h->n; i++) {
        const char *refusal;
        if (!wanted(h, i).agent || h->now[i].agent)
            continue;
        if (!hap_put_agent(h, i, true, &refusal))
            return false;
        if (refusal) {
            hap_refused(h, i, "its agent check again", refusal);
            return false;
        }
        *io_changed = true;
    }
    return true;
}

/* The one wait of a CHANGE verb here: a ramp is one change that takes its time, under the step's deadline and
 * cancel. Cut short, `enabled` sees the weight and the core runs `enable` again. */
static bool pause_ramp(struct op *op)
{
    bool late = false;
    return op_wait_ms(op, -1, 0, (int)op_arg_ms(op, "ramp_step"), &late) || late;
}

enum outcome haproxy_run_enable(struct op *op)
{
    struct hap h;
    int percent[RAMP_MAX + 1];
    bool changed = false;
    size_t n = ramp_of(op, percent);
    if (op_failed(op) || !hap_open(op, &h))
        return op_end(op);
    /* A balancer that cannot be asked says nothing about the node: UNKNOWN, so that the core keeps asking
     * instead of turning a healthy node round (row 22). */
    op_sending(op);
    if (!hap_look_all(&h, false))
        return op_end(op);
    /* Already in rotation (an earlier attempt): no reason to starve it again. */
    if (hap_serving_everywhere(&h))
        n = 0;
    percent[n] = 100;
    for (size_t i = 0; i <= n; i++) {
        if (i > 0 && !pause_ramp(op))
            return op_end(op);
        if (!give_back_all(&h, percent[i], &changed))
            return op_end(op);
        if (n > 0)
            op_say(op, "%s: at %d %% of its weight", h.server, percent[i]);
    }
    if (!agents_back(&h, &changed))
        return op_end(op);
    op_fact(op, "lb.state", "%s", hap_text(&h));
    op_changed(op, changed);
    return OUT_OK;
}

enum outcome haproxy_run_enabled(struct op *op)
{
    struct hap h;
    bool all = true;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, false))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        struct hap_before want = wanted(&h, i);
        bool weighs = h.now[i].weight == want.weight || h.now[i].agent; /* the agent may say another one */
        if (!kept_by_hand(&h, i) && (hap_admin_of(&h.now[i]) != want.admin || !weighs))
            all = false;
        if (want.agent && !h.now[i].agent)
            all = false;
    }
    op_fact(op, "lb.state", "%s", hap_text(&h));
    op_ready(op, all);
    return OUT_OK;
}

enum outcome haproxy_run_wait_up(struct op *op)
{
    struct hap h;
    int64_t up = 0;
    if (!hap_open_read(op, &h) || !hap_look_all(&h, true))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        struct hap_before want = wanted(&h, i);
        bool fine = want.admin != HAP_READY || kept_by_hand(&h, i) || hap_is_up(&h.now[i]);
        up += fine;
        if (!fine)
            op_say(op, "%s: status %s, state %s on %s (last check %s); wanted UP and ready", h.server,
                   h.now[i].status, hap_admin_name(hap_admin_of(&h.now[i])), h.socks[i].text,
                   *h.now[i].check_status ? h.now[i].check_status : "none");
    }
    op_gauge(op, up);
    op_ready(op, up == (int64_t)h.n);
    return OUT_OK;
}
