/* SPDX-License-Identifier: MIT */
/* The faults: their table, how they are written, and when each strikes. */
#include "sim/sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROZEN_MS  300000
#define HICCUP_MS  3000
#define LB_DOWN_MS 20000
#define GIT_MS     120000
#define QUIET_MS   120000

static const struct {
    const char *name;
    enum sim_fault_at at;
} table[] = {
#define ROW(n, t, w, h) {t, FAULT_AT_##w},
    SIM_FAULT_LIST(ROW)
#undef ROW
};

const char *sim_fault_name(enum sim_fault_kind kind)
{
    return table[kind].name;
}

enum sim_fault_at sim_fault_at(enum sim_fault_kind kind)
{
    return table[kind].at;
}

/* ---- writing */

static bool find_kind(const char *name, size_t n, enum sim_fault_kind *ret)
{
    for (int k = 0; k < FAULT_COUNT; k++)
        if (strlen(table[k].name) == n && memcmp(table[k].name, name, n) == 0) {
            *ret = (enum sim_fault_kind)k;
            return true;
        }
    return false;
}

static bool find_node(const struct sim_plan *plan, const char *name, size_t n, uint32_t *ret)
{
    char buf[32];
    if (n == 1 && *name == '*') {
        *ret = SIM_ANY;
        return true;
    }
    for (uint32_t i = 0; i < plan->core.n_nodes; i++) {
        const char *id = sim_node_name(plan, i, buf);
        if (strlen(id) == n && memcmp(id, name, n) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Of a node: a step that it takes. */
static bool takes(const struct sim_plan *plan, uint32_t node, uint16_t s)
{
    uint8_t group = plan->core.steps[s].group;
    return node == SIM_ANY || group == 0 || group == core_group_of(&plan->core, node) + 1;
}

static bool find_step(const struct sim_plan *plan, uint32_t node, const char *name, uint16_t *ret)
{
    *ret = SIM_ANY_STEP;
    if (strcmp(name, "*") == 0)
        return true;
    for (uint16_t s = 0; s < plan->core.n_steps; s++)
        if (takes(plan, node, s) &&
            (strcmp(plan->steps[s].label, name) == 0 || strcmp(does_name(plan->steps[s].does), name) == 0)) {
            *ret = s;
            return true;
        }
    int phase = phase_from_name(name);
    for (uint16_t s = 0; phase >= 0 && s < plan->core.n_steps; s++)
        if (takes(plan, node, s) && plan->core.steps[s].phase == phase) {
            *ret = s;
            return true;
        }
    return false;
}

/* "x3" or "x*" behind a blank: how often. */
static bool cut_times(char *text, uint32_t *ret)
{
    char *blank = strrchr(text, ' ');
    if (!blank || blank[1] != 'x')
        return true;
    char *end;
    unsigned long n = strtoul(blank + 2, &end, 10);
    *ret = strcmp(blank + 2, "*") == 0 ? SIM_EVER : (uint32_t)n;
    *blank = '\0';
    return *ret == SIM_EVER || (*end == '\0' && n > 0 && n < 1000000);
}

static uint32_t usual_times(enum sim_fault_kind kind)
{
    bool lasting = kind == FAULT_BUILD_FAILS || kind == FAULT_START_FAILS || kind == FAULT_STOP_DEAF ||
                   kind == FAULT_LB_REFUSES;
    return lasting ? SIM_EVER : 1;
}

static bool parse_place(const struct sim_plan *plan, char *place, struct sim_fault *ret, struct err *err)
{
    char *slash = strchr(place, '/');
    size_t n = slash ? (size_t)(slash - place) : strlen(place);
    if (sim_fault_at(ret->kind) == FAULT_AT_COMMIT) {
        char *end;
        unsigned long nth = strtoul(place, &end, 10);
        ret->nth = (uint32_t)nth;
        return (*place && *end == '\0' && nth > 0 && nth < UINT32_MAX) ||
               err_set(err, E_USAGE, "'%s' is not the number of a commit, as in %s@7", place,
                       sim_fault_name(ret->kind));
    }
    if (!find_node(plan, place, n, &ret->node))
        return err_set(err, E_USAGE, "there is no node '%.*s' in this plan", (int)n, place);
    const char *step = slash ? slash + 1 : "*";
    ret->on_way_back = str_starts(step, "back:");
    if (ret->on_way_back)
        step += 5;
    if (*step == '+')
        return duration_parse(step + 1, &ret->at_ms) ||
               err_set(err, E_USAGE, "'%s' is not a time, as in +12s", step);
    if (!find_step(plan, ret->node, step, &ret->step))
        return err_set(err, E_USAGE, "there is no step '%s' in this plan", step);
    return true;
}

bool sim_fault_parse(const struct sim_plan *plan, const char *text, struct sim_fault *ret, struct err *err)
{
    char copy[200];
    *ret = (struct sim_fault){.node = SIM_ANY, .step = SIM_ANY_STEP, .at_ms = -1, .nth = 1};
    if (strlen(text) >= sizeof(copy))
        return err_set(err, E_USAGE, "a fault of more than %zu characters", sizeof(copy) - 1);
    strcpy(copy, text);
    ret->times = 0;
    if (!cut_times(copy, &ret->times))
        return err_set(err, E_USAGE, "'%s': wanted x3 or x* behind the fault", text);
    char *at = strchr(copy, '@');
    size_t n = at ? (size_t)(at - copy) : strlen(copy);
    if (!find_kind(copy, n, &ret->kind))
        return err_set(err, E_USAGE, "'%.*s' is not a fault; 'release simulate --help' lists them", (int)n,
                       copy);
    if (ret->times == 0)
        ret->times = usual_times(ret->kind);
    if (at && !parse_place(plan, at + 1, ret, err))
        return false;
    if (sim_fault_at(ret->kind) == FAULT_AT_WORLD && ret->step == SIM_ANY_STEP && ret->at_ms < 0)
        ret->at_ms = 0;
    return true;
}

void sim_fault_text(const struct sim_plan *plan, const struct sim_fault *f, struct buf *out)
{
    char name[32];
    buf_puts(out, sim_fault_name(f->kind));
    if (sim_fault_at(f->kind) == FAULT_AT_COMMIT) {
        buf_printf(out, "@%u", f->nth);
        return;
    }
    buf_printf(out, "@%s/%s", f->node == SIM_ANY ? "*" : sim_node_name(plan, f->node, name),
               f->on_way_back ? "back:" : "");
    if (f->at_ms >= 0)
        buf_printf(out, "+%lldms", (long long)f->at_ms);
    else
        buf_puts(out, f->step == SIM_ANY_STEP ? "*" : plan->steps[f->step].label);
    if (f->times == SIM_EVER && usual_times(f->kind) != SIM_EVER)
        buf_puts(out, " x*");
    else if (f->times != usual_times(f->kind))
        buf_printf(out, " x%u", f->times);
}

/* ---- striking */

static bool fits_op(const struct sim *s, enum sim_fault_kind kind, const struct op_req *req)
{
    enum does does = sim_op_does(s, req);
    bool lb = does == DOES_DRAIN || does == DOES_IDLE || does == DOES_ENABLE || does == DOES_WAIT_UP ||
              req->step == CORE_NO_STEP;
    bool changes = req->step != CORE_NO_STEP && s->plan->core.steps[req->step].effect != EFFECT_READ &&
                   (req->role == ROLE_RUN || req->role == ROLE_UNDO || req->role == ROLE_GUARD);
    switch ((int)kind) { /* a few of many */
    case FAULT_SSH_REFUSED:
    case FAULT_SSH_DROP:
    case FAULT_LATE_COMMAND: return !lb;
    case FAULT_SSH_DROP_AFTER:
    case FAULT_CMD_FAILS:
    case FAULT_CMD_HALF:
    case FAULT_CMD_HANGS:
    case FAULT_CMD_KILLED:
    case FAULT_CMD_LIES:
    case FAULT_SLOW: return !lb && changes;
    case FAULT_BUILD_FAILS: return changes && does == DOES_BUILD && !req->back;
    case FAULT_START_FAILS:
        return changes && (does == DOES_START || does == DOES_RESTART || does == DOES_RELOAD) && !req->back;
    case FAULT_STOP_DEAF: return changes && (does == DOES_STOP || does == DOES_RESTART);
    case FAULT_LB_REFUSES:
    case FAULT_LB_LIES: return lb && changes;
    case FAULT_LB_GARBAGE: return lb;
    case FAULT_ANSWER_LOST: return true;
    case FAULT_KILL_AFTER_EFFECT: return changes;
    default: return false;
    }
}

static bool fits_place(const struct sim_fault *f, const struct op_req *req)
{
    return (f->node == SIM_ANY || f->node == req->node) &&
           (f->step == SIM_ANY_STEP || f->step == req->step) && (!f->on_way_back || req->back);
}

bool fault_for_op(struct sim *s, const struct op_req *req, enum sim_fault_kind *ret)
{
    bool struck = false;
    for (size_t k = 0; k < s->n_faults; k++) {
        struct sim_fault *f = &s->faults[k];
        enum sim_fault_at at = sim_fault_at(f->kind);
        if (at == FAULT_AT_COMMIT || s->struck[k] >= f->times || f->at_ms >= 0 || !fits_place(f, req))
            continue;
        if (at == FAULT_AT_WORLD && req->node < s->plan->core.n_nodes) {
            s->struck[k]++;
            event_push(s, s->now + 3, E_WORLD, (uint32_t)k, req->node, 0);
        } else if (at == FAULT_AT_OP && !struck && fits_op(s, f->kind, req)) {
            s->struck[k]++;
            struck = true;
            *ret = f->kind;
            sim_say(s, "    fault: %s", sim_fault_name(f->kind));
        }
    }
    return struck;
}

static void freeze(struct sim *s, uint32_t i, int64_t ms)
{
    struct sim_node *n = &s->nodes[i];
    n->frozen = (struct span){s->now, s->now + ms};
    for (uint32_t k = 0; k < s->n_ops; k++)
        if (s->ops[k].live && !s->ops[k].answered && s->ops[k].req.node == i)
            event_push(s, s->ops[k].req.deadline_ms + s->session_start, E_DEADLINE, k, s->ops[k].uid, 0);
}

static void die(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    n->dead = (struct span){s->now, NEVER};
    freeze(s, i, 0);
    if (n->job_now == UINT32_MAX)
        return;
    const struct sim_job *job = node_job_of(s, n->job_of, (uint16_t)(n->job_now / 2), n->job_now % 2);
    if (job->state == SIM_JOB_RUNNING)
        event_push(s, s->now, E_JOB, n->job_of, n->job_now, job->gen);
}

void app_dies(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    n->hurt = true;
    if (proc_alive(n, s->now))
        n->proc.dies_at = s->now;
    lb_touch(s, i);
}

static void others_die(struct sim *s, uint32_t but, uint32_t how_many)
{
    for (uint32_t i = s->plan->core.n_nodes; i-- > 0 && how_many > 0;)
        if (i != but && lb_in_rotation(s, i)) {
            app_dies(s, i);
            how_many--;
        }
}

static void by_hand(struct sim *s, uint32_t i, enum lb_admin admin)
{
    for (uint32_t b = 0; b < lbs_of(s, i); b++) {
        struct lb_node *l = &s->nodes[i].lb[b];
        if (l->admin == admin)
            continue;
        lb_set(s, b, i, admin);
        /* A node that served before and is put back looks like a drain that was forgotten. */
        l->by_hand = admin == LB_MAINT || l->before != LB_READY;
        l->hand_in = admin == LB_READY;
        if (admin == LB_READY)
            l->forgot_at = s->now;
    }
}

static void sees_down(struct sim *s, uint32_t b, uint32_t i)
{
    if (lbs_of(s, i) == 0)
        return;
    s->nodes[i].lb[b].blind_at = s->now;
    lb_touch(s, i);
}

static void lbs_down(struct sim *s, uint32_t first, int64_t ms)
{
    for (uint32_t b = first; b < s->plan->n_lbs; b++)
        s->lb_down_until[b] = ms == NEVER ? NEVER : s->now + ms;
}

/* What is of the machine strikes all instances that run there. */
static bool of_machine(enum sim_fault_kind kind)
{
    return kind == FAULT_NODE_DEAD || kind == FAULT_NODE_FROZEN || kind == FAULT_NODE_HICCUP ||
           kind == FAULT_DISK_FULL;
}

static void strike_node(struct sim *s, enum sim_fault_kind kind, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    bool gone = lb_sessions(s, i) == 0; /* sessions that have ended do not come back */
    switch ((int)kind) {                /* a few of many */
    case FAULT_NODE_DEAD: die(s, i); break;
    case FAULT_NODE_FROZEN: freeze(s, i, FROZEN_MS); break;
    case FAULT_NODE_HICCUP: freeze(s, i, HICCUP_MS); break;
    case FAULT_DISK_FULL: n->disk_full = true; break;
    case FAULT_CRASH_AFTER_START: n->crashes = true; break;
    case FAULT_UNHEALTHY: n->unhealthy = true; break;
    case FAULT_UNHEALTHY_LATER: n->unhealthy_later = true; break;
    case FAULT_WRONG_REVISION: n->wrong_rev = true; break;
    case FAULT_SLOW_START: n->slow_start = true; break;
    case FAULT_ERRORS: n->errors = true; break;
    case FAULT_SESSIONS_STAY: n->sessions_stay = !gone; break;
    case FAULT_STICKY: n->sticky = !gone; break;
    case FAULT_APP_DIES: app_dies(s, i); break;
    default: return;
    }
    n->hurt |= kind == FAULT_NODE_DEAD || kind == FAULT_NODE_FROZEN || kind == FAULT_NODE_HICCUP ||
               kind == FAULT_CRASH_AFTER_START || kind == FAULT_UNHEALTHY_LATER;
    s->fig.excused_dead |= kind == FAULT_NODE_DEAD;
    lb_touch(s, i);
}

static void strike_fleet(struct sim *s, enum sim_fault_kind kind, uint32_t i)
{
    switch ((int)kind) { /* a few of many */
    case FAULT_OTHER_NODE_DIES: others_die(s, i, 1); break;
    case FAULT_OTHER_NODES_DIE: others_die(s, i, s->plan->core.n_nodes / 2); break;
    case FAULT_LB_DOWN: lbs_down(s, 0, LB_DOWN_MS); break;
    case FAULT_LB_GONE: lbs_down(s, 0, NEVER); break;
    case FAULT_LB_ONE_DOWN: lbs_down(s, s->plan->n_lbs ? s->plan->n_lbs - 1 : 0, LB_DOWN_MS); break;
    case FAULT_NO_REQUESTS: s->quiet_until = s->now + QUIET_MS; break;
    case FAULT_JUDGE_FLIPS: s->flips = true; break;
    case FAULT_LB_FORGETS:
        if (s->plan->n_lbs > 0)
            lb_forget(s, 0);
        break;
    case FAULT_LB_FORGETS_ALL:
        for (uint32_t b = 0; b < s->plan->n_lbs; b++)
            lb_forget(s, b);
        break;
    case FAULT_LB_FIRST_SEES_DOWN: sees_down(s, 0, i); break;
    case FAULT_LB_LAST_SEES_DOWN: sees_down(s, s->plan->n_lbs - 1, i); break;
    case FAULT_OPERATOR_MAINT: by_hand(s, i, LB_MAINT); break;
    case FAULT_OPERATOR_READY: by_hand(s, i, LB_READY); break;
    case FAULT_GIT_DOWN: s->git_down_until = s->now + GIT_MS; break;
    case FAULT_GIT_GONE: s->git_down_until = NEVER; break;
    default: break;
    }
}

void fault_world(struct sim *s, size_t index, uint32_t node)
{
    const struct sim_fault *f = &s->faults[index];
    char name[32];
    if (index >= s->n_faults)
        return; /* healed meanwhile */
    if (node >= s->plan->core.n_nodes)
        node = f->node != SIM_ANY ? f->node : (uint32_t)sim_draw(s, s->plan->core.n_nodes);
    sim_say(s, "    fault: %s at %s", sim_fault_name(f->kind), sim_node_name(s->plan, node, name));
    uint32_t end = of_machine(f->kind) ? host_behind(s, node) : node + 1;
    for (uint32_t i = of_machine(f->kind) ? host_begin(s, node) : node; i < end; i++)
        strike_node(s, f->kind, i);
    strike_fleet(s, f->kind, node);
}

bool fault_at_commit(struct sim *s, enum sim_fault_kind kind)
{
    for (size_t k = 0; k < s->n_faults; k++) {
        const struct sim_fault *f = &s->faults[k];
        bool now = f->nth == s->n_commits + 1;
        if (f->kind == kind && (now || (kind == FAULT_JOURNAL_FULL && f->nth <= s->n_commits + 1))) {
            if (now)
                sim_say(s, "    fault: %s", sim_fault_name(kind));
            return true;
        }
    }
    return false;
}
