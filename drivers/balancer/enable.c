/* SPDX-License-Identifier: MIT */
/* The verbs that give a server back what it had before the release, all at once or by a weight ramp. */
#include "drivers/balancer/balancer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define RAMP_MAX 20

/* What was an operator's maintenance that we cannot set (the NetScaler's server object) stays as the operator set it since; only a
 * drain of our own on top of it is taken back. */
static enum lb_state as_it_stands(const struct lb *lb, const struct lb_place *p)
{
    enum lb_state now = lb_place_state(p);
    return now == LB_DRAIN && lb_was_told(lb, p) ? LB_READY : now;
}

/* What a place should show once the node is back. */
static struct lb_before wanted(const struct lb *lb, const struct lb_place *p)
{
    struct lb_before b = {.state = LB_READY, .weight = -1};
    if (!lb_recall(lb, p, &b))
        b = (struct lb_before){.state = LB_READY, .weight = -1};
    if (!lb_puts(lb, b.state))
        b.state = as_it_stands(lb, p);
    if (b.weight < 0 && (lb->can & LB_CAN_WEIGHT))
        b.weight = lb_place_weight(p);
    b.agent = b.agent &&
              lb->kind->agent; /* an older version may have written down what this kind holds off nowhere */
    return b;
}

/* We drain; only `maint` and `kill` put a server into maintenance, and say so. Any other maintenance that was
 * not there before is somebody's hand: it stays (row 27). */
static bool kept_by_hand(const struct lb *lb, const struct lb_place *p)
{
    return lb_place_state(p) == LB_MAINT && !op_recall(lb->op, LB_FACT_MAINT);
}

/* The shares below 100 %, in order, and how long each is kept. */
struct ramp {
    int64_t step_ms;
    int percent[RAMP_MAX];
    size_t n;
};

/* io->step_ms is the caller's. */
static bool ramp_read(const char *const *texts, size_t n, int64_t left_ms, struct ramp *io, struct err *err)
{
    io->n = 0;
    for (size_t i = 0; i < n; i++) {
        char *end;
        long v = strtol(texts[i], &end, 10);
        if (end == texts[i] || strcmp(end, "%") != 0 || v < 1 || v > 100)
            return err_set(err, E_CONFIG, "weight_ramp: \"%s\" is not a percentage between 1%% and 100%%",
                           texts[i]);
        if (io->n == RAMP_MAX)
            return err_set(err, E_CONFIG, "weight_ramp: more than %d shares", RAMP_MAX);
        if (v < 100)
            io->percent[io->n++] = (int)v;
    }
    return io->n == 0 || (int64_t)io->n * io->step_ms < left_ms ||
           err_set(err, E_CONFIG,
                   "weight_ramp: %zu steps do not fit the step's deadline; give enable a longer `timeout`",
                   io->n);
}

bool lb_check_ramp(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    const char *texts[RAMP_MAX + 2] = {NULL};
    struct ramp ramp;
    size_t n_texts = 0;
    json_t *list = NULL, *one;
    must(duration_parse(LB_RAMP_STEP, &ramp.step_ms));
    for (size_t i = 0; i < n; i++)
        if (strcmp(args[i].name, "weight_ramp") == 0)
            list = json_loads(args[i].value, 0, NULL);
        else if (strcmp(args[i].name, "ramp_step") == 0)
            must(duration_parse(args[i].value, &ramp.step_ms)); /* it was read as one */
    size_t k;
    json_array_foreach(list, k, one) if (n_texts <= RAMP_MAX) /* one more than is taken: it is said */
        texts[n_texts++] = json_string_value(one) ? json_string_value(one) : "";
    bool ok = ramp_read(texts, n_texts, timeout_ms, &ramp, err);
    json_decref(list);
    return ok;
}

static size_t ramp_of(struct op *op, int ret_percent[RAMP_MAX])
{
    size_t n;
    struct err err;
    struct ramp ramp = {.step_ms = op_arg_ms(op, "ramp_step")};
    const char *const *texts = op_arg_list(op, "weight_ramp", &n);
    if (ramp_read(texts, n, op_left_ms(op), &ramp, &err)) {
        memcpy(ret_percent, ramp.percent, ramp.n * sizeof(ramp.percent[0]));
        return ramp.n;
    }
    op_refused(op, E_CONFIG, "%s", err.text);
    return 0;
}

static int share(int weight, int percent)
{
    int w = (int)((int64_t)weight * percent / 100);
    return w > 0 || weight <= 0 ? w : 1;
}

static void say_kept(struct lb *lb, const struct lb_place *p, const struct lb_before *want)
{
    bool by_hand = lb_state_is_in(want->state);
    const char *word = lb_word(lb, by_hand ? LB_MAINT : want->state);
    op_fact(lb->op, "kept", "%s", word);
    op_say(lb->op, "%s: stays in %s on %s, %s", lb->server, word, lb->peers[p->peer].text,
           by_hand ? "set by hand meanwhile" : "as before this release");
}

/* What shows a write late may yet come to show our drain: it is told all the same. Where nothing was to do, that is what it says
 * against it. */
static bool give_back_state(struct lb *lb, struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    bool shown = lb_place_is(p, want);
    bool may_lag = (lb->can & LB_CAN_LAG) && lb_state_is_in(want) && lb_was_told(lb, p);
    if (shown && !may_lag)
        return true;
    if (!lb_put(lb, p, want, ret_refusal))
        return false;
    if (shown)
        *ret_refusal = NULL;
    return true;
}

/* Weight first, so that a server never comes back with more than it should get; one that is not listed has
 * none before it is. */
static bool give_back(struct lb *lb, struct lb_place *p, int percent, bool *io_changed)
{
    struct lb_before want = wanted(lb, p);
    const char *refusal = NULL;
    if (kept_by_hand(lb, p) || lb_state_is_out(want.state))
        say_kept(lb, p, &want);
    if (kept_by_hand(lb, p))
        return true;
    int weight = lb_state_is_in(want.state) && want.weight >= 0 ? share(want.weight, percent) : want.weight;
    bool weighs = lb->can & LB_CAN_WEIGHT, late = p->rows[0].absent;
    bool differs = !lb_place_is(p, want.state) || (weighs && weight >= 0 && lb_place_weight(p) != weight);
    if (weighs && !late && !lb_put_weight(lb, p, weight, &refusal))
        return false;
    if (!refusal && !give_back_state(lb, p, want.state, &refusal))
        return false;
    if (!refusal && weighs && late && !lb_put_weight(lb, p, weight, &refusal))
        return false;
    if (refusal)
        lb_refused(lb, p, lb_word(lb, want.state), refusal);
    else if (kept_by_hand(lb, p)) /* it was hidden by what we told */
        say_kept(lb, p, &want);
    *io_changed = *io_changed || differs;
    return !refusal;
}

static bool give_back_all(struct lb *lb, int percent, bool *io_changed)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (!give_back(lb, &lb->at[i], percent, io_changed))
            return false;
    }
    return true;
}

/* Last, for from then on state and weight are the agent's. Also where somebody's maintenance stays: what we
 * held off was not theirs. */
static bool agents_back(struct lb *lb, bool *io_changed)
{
    for (size_t i = 0; i < lb->n; i++) {
        const char *refusal;
        if (!wanted(lb, &lb->at[i]).agent || lb_place_agent(&lb->at[i]))
            continue;
        if (!lb_put_agent(lb, &lb->at[i], true, &refusal))
            return false;
        if (refusal) {
            lb_refused(lb, &lb->at[i], "its agent check again", refusal);
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

enum outcome lb_run_enable(struct op *op)
{
    auto_lb struct lb lb = {.op = op};
    int percent[RAMP_MAX + 1];
    bool changed = false;
    size_t n = ramp_of(op, percent);
    if (op_failed(op) || !lb_open(op, &lb))
        return op_end(op);
    /* A balancer that cannot be asked says nothing about the node: UNKNOWN, so that the core keeps asking
     * instead of turning a healthy node round (row 22). */
    op_sending(op);
    if (!lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    /* Already in rotation (an earlier attempt): no reason to starve it again. */
    if (n > 0 && !(lb.can & LB_CAN_WEIGHT))
        op_say(op, "%s: this balancer knows no weights: no ramp, it comes back at once", lb.server);
    if (lb_all_serving(&lb) || !(lb.can & LB_CAN_WEIGHT))
        n = 0;
    percent[n] = 100;
    for (size_t i = 0; i <= n; i++) {
        if (i > 0 && !pause_ramp(op))
            return op_end(op);
        if (!give_back_all(&lb, percent[i], &changed))
            return op_end(op);
        if (n > 0)
            op_say(op, "%s: at %d %% of its weight", lb.server, percent[i]);
    }
    if (!agents_back(&lb, &changed))
        return op_end(op);
    op_fact(op, LB_FACT_STATE, "%s", lb_text(&lb));
    lb_forget_told(&lb);
    op_changed(op, changed);
    op_ready(op, !lb.lags);
    return OUT_OK;
}

/* The agent may say another weight. */
static bool is_back(const struct lb *lb, const struct lb_place *p)
{
    struct lb_before want = wanted(lb, p);
    bool weighs = want.weight < 0 || !(lb->can & LB_CAN_WEIGHT) || lb_place_weight(p) == want.weight ||
                  lb_place_agent(p);
    return (kept_by_hand(lb, p) || (lb_place_is(p, want.state) && weighs)) &&
           (!want.agent || lb_place_agent(p));
}

enum outcome lb_run_enabled(struct op *op)
{
    auto_lb struct lb lb;
    bool all = true;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    for (size_t i = 0; i < lb.n; i++)
        all = all && is_back(&lb, &lb.at[i]);
    op_fact(op, LB_FACT_STATE, "%s", lb_text(&lb));
    op_ready(op, all);
    return OUT_OK;
}

/* It has its own state back, and what it follows is out: as before this release, or in somebody's maintenance. */
static bool stays_behind(const struct lb *lb, const struct lb_place *p)
{
    struct lb_before was;
    enum lb_state other = lb_place_inherited(p);
    if (other == LB_UNKNOWN || !lb_place_is(p, wanted(lb, p).state))
        return false;
    return (other == LB_MAINT && !op_recall(lb->op, LB_FACT_MAINT)) || (lb_recall(lb, p, &was) && was.behind);
}

static void say_not_up(struct lb *lb, const struct lb_place *p)
{
    for (size_t k = 0; k < p->n; k++) {
        const struct lb_server *s = &p->rows[k];
        const char *who = lb->peers[p->peer].text;
        if (!s->up && s->inherited != LB_UNKNOWN)
            op_say(lb->op, "%s: waits on %s for %s, which it follows and which is in %s: give that back",
                   lb_place_text(lb, p), who,
                   s->follows ? lb_first_line(lb->op, s->follows) : "another server",
                   lb_word(lb, s->inherited));
        else if (!s->up)
            op_say(lb->op, "%s: status %s, state %s on %s (last check %s); wanted %s", lb->server,
                   s->status && *s->status ? s->status : "not told", lb_word(lb, s->state), who,
                   s->check && *s->check ? s->check : "none", lb->kind->up_words);
    }
}

/* Nothing of ours is left to come: what an operator took out stays out. */
static bool is_fine(const struct lb *lb, const struct lb_place *p)
{
    return lb_state_is_out(wanted(lb, p).state) || kept_by_hand(lb, p) || lb_place_up(p) ||
           stays_behind(lb, p);
}

enum outcome lb_run_wait_up(struct op *op)
{
    auto_lb struct lb lb;
    int64_t up = 0;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_COUNTS))
        return op_end(op);
    for (size_t i = 0; i < lb.n; i++) {
        const struct lb_place *p = &lb.at[i];
        bool fine = is_fine(&lb, p);
        up += fine;
        if (!fine)
            say_not_up(&lb, p);
    }
    op_gauge(op, up);
    op_ready(op, up == (int64_t)lb.n);
    return OUT_OK;
}
