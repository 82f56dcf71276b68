/* SPDX-License-Identifier: MIT */
/* Exhaustive exploration of the rules for 2 to 4 nodes, of the loop (engine/loop) as of the core: every order in which ops may end, every outcome (ok,
 * failed, unknown with and without its effect), ops that hang while timers fire, a balancer that forgets a
 * drain, ctrl-C once and twice, and a crash of the controller between any two moves, followed by a resume or
 * a rollback; each fault costs one of a budget. Held against it after every move: core_check, that the
 * replayed core equals the live one, and what the small world below knows: floor, no stop in rotation,
 * nothing into rotation that was not checked, run-once at most once, exit statuses that are true, and that
 * from every end one resume and one rollback bring it to 0 or 1 when nothing fails any more.
 *
 * Budgets are explored in rising order, so the first bad trace has the fewest faults.
 *
 *   explore [--budget N] [--seconds N] [--nodes N] */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/core_priv.h"
#include "loop/loop.h"

#define NODES_MAX 4
#define OPS_MAX   16
#define DEPTH_MAX 1500
#define ROWS_MAX  60000
#define CORE_MAX  8192

enum {
    S_FETCH,
    S_DRAIN,
    S_IDLE,
    S_STOP,
    S_SWITCH,
    S_ONCE,
    S_START,
    S_CHECK,
    S_ENABLE,
    S_UP,
    S_VERIFY,
    N_STEPS
};
static const char *const step_names[] = {"fetch", "drain", "idle",   "stop", "switch", "once",
                                         "start", "check", "enable", "up",   "verify", "-"};
enum { OLD, NEW, NOTHING };
enum { ONCE_NOT, ONCE_IS_DONE, ONCE_MAY_BE };

/* The truth about one node. job: what its runner remembers of each step and direction: walk + 1 of the last
 * success. */
struct wnode {
    uint8_t out, forgot, runs, disk, fetched, checked;
    uint8_t job[2][N_STEPS];
};

struct state {
    int64_t now;
    struct wnode w[NODES_MAX];
    uint8_t once, budget, orders;
    uint32_t n_ops, n_rows, n_durable;
    struct op_req ops[OPS_MAX];
    struct loop loop; /* its ctx and core are this state's own: own_loop() */
    struct event outcome;
    enum loop_news news; /* what the next turn takes */
    _Alignas(16) uint8_t core[CORE_MAX];
    _Alignas(16) uint8_t twin[CORE_MAX];
};

struct config {
    const char *name;
    uint32_t n_nodes, window, min_up, max_failed, soak_ms;
    bool once, stop_on_failure, judges;
    uint32_t
        n_workers; /* so many of them are a role of their own, before the others and without a balancer */
    uint32_t instances; /* the first so many are one host; 0: each node is one */
};

static struct core_plan plan;
static uint8_t flags[NODES_MAX];
static uint32_t host_of[NODES_MAX];
static struct record rows[ROWS_MAX];
static struct state *stack;
static char trace[DEPTH_MAX][80];
static uint64_t *seen;
static size_t seen_cap, seen_n;
static uint64_t n_moves, n_ends;
static int64_t stop_at;
static bool out_of_time, bad;
static uint32_t deepest;
static struct loop_room room; /* of whichever state has its turn */

static struct core *core_of(struct state *s)
{
    return (struct core *)(void *)s->core;
}

static struct core *twin_of(struct state *s)
{
    return (struct core *)(void *)s->twin;
}

/* ---- plan */

static void make_plan(const struct config *c)
{
    const struct core_step_def change = {
        .effect = EFFECT_CHANGE, .has_observe = true, .timeout_ms = 4000, .interval_ms = 1000};
    const struct core_step_def wait = {
        .effect = EFFECT_READ, .waits = true, .timeout_ms = 3000, .interval_ms = 1000, .has_observe = true};
    static const uint8_t phases[N_STEPS] = {PHASE_PREPARE, PHASE_DRAIN,  PHASE_DRAIN,  PHASE_CHANGE,
                                            PHASE_CHANGE,  PHASE_CHANGE, PHASE_CHANGE, PHASE_CHECK,
                                            PHASE_ENABLE,  PHASE_ENABLE, PHASE_VERIFY};
    plan = (struct core_plan){.n_nodes = c->n_nodes,
                              .n_steps = N_STEPS,
                              .n_stages = 1,
                              .stage_end = {c->n_nodes},
                              .rollback_on_failure = !c->stop_on_failure,
                              .guard_ms = 2000,
                              .floor_wait_ms = 3000,
                              .unknown_grace_ms = 2000,
                              .node_flags = flags};
    if (c->n_workers > 0)
        plan.groups[plan.n_groups++] = (struct core_group){
            .end = c->n_workers, .window = c->window, .max_failed = c->max_failed, .soak_ms = c->soak_ms};
    plan.groups[plan.n_groups++] = (struct core_group){.end = c->n_nodes,
                                                       .window = c->window,
                                                       .min_up = c->min_up,
                                                       .max_failed = c->max_failed,
                                                       .has_capacity = true,
                                                       .has_guard = true,
                                                       .soak_ms = c->soak_ms,
                                                       .judges = c->judges,
                                                       .judge_wait_ms = 1000};
    if (c->n_workers > 0) {
        plan.n_stages = 2;
        plan.stage_end[0] = c->n_workers;
        plan.stage_end[1] = c->n_nodes;
    }
    for (int i = 0; i < N_STEPS; i++) {
        bool waits = i == S_IDLE || i == S_CHECK || i == S_UP || i == S_VERIFY;
        plan.steps[i] = waits ? wait : change;
        plan.steps[i].phase = phases[i];
    }
    plan.steps[S_FETCH].forward_only = true;
    plan.steps[S_FETCH].of_host = plan.steps[S_SWITCH].of_host = true;
    for (uint32_t i = 0; i < c->n_nodes; i++)
        host_of[i] = i < c->instances ? 0 : i;
    plan.host_first = c->instances > 0 ? host_of : NULL;
    plan.steps[S_DRAIN].record_before = true;
    for (int i = 0; i < N_STEPS && c->n_workers > 0; i++)
        if (plan.steps[i].phase == PHASE_DRAIN || plan.steps[i].phase == PHASE_ENABLE)
            plan.steps[i].group = 2;
    if (c->once)
        plan.steps[S_ONCE].once = ONCE_FIRST;
    else
        plan.steps[S_ONCE].forward_only = true; /* an ordinary step of the way forward */
    memset(flags, CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE, sizeof(flags));
}

/* ---- bad ends */

static void wrong(uint32_t depth, const char *fmt, ...)
{
    va_list ap;
    if (bad)
        return;
    bad = true;
    printf("BAD after %u moves: ", depth);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    for (uint32_t i = 0; i < depth && i < DEPTH_MAX; i++)
        printf("  %s\n", trace[i]);
}

/* ---- distinct states */

static void mix(uint64_t *h, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        *h = (*h ^ word) * UINT64_C(0x9fb21c651e98df25);
        *h ^= *h >> 29;
    }
    for (size_t i = n & ~(size_t)7; i < n; i++)
        *h = (*h ^ p[i]) * UINT64_C(0x100000001b3);
}

static int64_t ahead(int64_t at, int64_t now)
{
    return at == CORE_NEVER ? CORE_NEVER : at <= now ? 0 : at - now;
}

/* Times as distances, op numbers as order: what cannot make a difference later does not tell two states
 * apart. */
static uint64_t hash_of(const struct state *s)
{
    static _Alignas(16) uint8_t copy[CORE_MAX];
    size_t size = core_size(&plan);
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    memcpy(copy, s->core, size);
    struct core *c = (struct core *)(void *)copy;
    for (uint32_t i = 0; i <= plan.n_nodes; i++) {
        struct node *n = &c->nodes[i];
        n->op = n->op != 0;
        n->side_op = n->side_op != 0;
        n->op_at = n->op ? n->op_at - c->now : 0;
        n->started = n->started < 0 ? -1 : c->now - n->started;
        n->due = ahead(n->due, c->now);
        n->guard_due = ahead(n->guard_due, c->now);
        n->kill_until = ahead(n->kill_until, c->now);
    }
    c->soak_until = c->kept.soaking ? ahead(c->soak_until, c->now) : 0;
    c->judge_due = c->kept.soaking ? ahead(c->judge_due, c->now) : 0;
    for (uint32_t g = 0; g < plan.n_groups; g++) {
        struct reading *r = &c->readings[g];
        r->due = ahead(r->due, c->now);
        r->short_since = r->short_since < 0 ? -1 : c->now - r->short_since;
    }
    c->min_due = ahead(c->min_due, c->now);
    c->last_op = 0;
    c->now = 0;
    mix(&h, copy, size);
    mix(&h, s->w, sizeof(s->w));
    mix(&h, &s->once, 3);
    mix(&h, &s->loop.signals, 1);
    for (uint32_t i = 0; i < s->n_ops; i++) {
        uint32_t key[4] = {s->ops[i].node, s->ops[i].step, (uint32_t)s->ops[i].role,
                           s->ops[i].walk * 2u + s->ops[i].back};
        mix(&h, key, sizeof(key));
    }
    return h ? h : 1;
}

static bool first_visit(uint64_t h)
{
    size_t i = h & (seen_cap - 1);
    for (; seen[i]; i = (i + 1) & (seen_cap - 1))
        if (seen[i] == h)
            return false;
    seen[i] = h;
    if (++seen_n * 4 > seen_cap * 3)
        out_of_time = true; /* the table is full: as good as out of time */
    return true;
}

/* ---- the world */

/* The nodes behind the balancer are the last group. */
static uint32_t first_balanced(void)
{
    return plan.n_groups > 1 ? plan.groups[0].end : 0;
}

static int serving(const struct state *s)
{
    int n = 0;
    for (uint32_t i = first_balanced(); i < plan.n_nodes; i++)
        n += !s->w[i].out && s->w[i].runs != NOTHING;
    return n;
}

static void drain(struct state *s, uint32_t depth, uint32_t i)
{
    struct wnode *w = &s->w[i];
    bool was_in = !w->out && w->runs != NOTHING;
    bool again = w->forgot;
    w->out = 1;
    w->forgot = 0;
    if (was_in && !again && serving(s) < (int)plan.groups[plan.n_groups - 1].min_up) {
        for (uint32_t k = 0; k < plan.n_nodes; k++)
            if (s->w[k].forgot)
                return; /* a reading may have counted it */
        wrong(depth, "node %u is drained and only %d serve", i + 1, serving(s));
    }
}

static bool left(struct state *s, uint32_t i)
{
    return core_of(s)->nodes[i].kept.state == NODE_LEFT;
}

/* What a change does when it works. */
static void effect(struct state *s, uint32_t depth, const struct op_req *op)
{
    struct wnode *w = &s->w[op->node], *host = &s->w[host_of[op->node]];
    uint8_t rev = op->back ? OLD : NEW;
    if (op->role == ROLE_GUARD || op->step == S_DRAIN) {
        drain(s, depth, op->node);
        return;
    }
    uint8_t *job = &w->job[op->back][op->step];
    bool by_runner = op->step != S_ENABLE;
    if (by_runner && *job == op->walk + 1)
        return; /* its runner knows that it is done */
    *job = by_runner ? (uint8_t)(op->walk + 1) : 0;
    switch (op->step) {
    case S_FETCH: host->fetched = 1; break;
    case S_STOP:
        if (!w->out && !w->forgot && w->runs != NOTHING && op->node >= first_balanced())
            wrong(depth, "node %u is stopped in rotation", op->node + 1);
        for (uint32_t k = 0; k < plan.n_nodes; k++)
            if (k != op->node && host_of[k] == host_of[op->node] && s->w[k].runs == NOTHING && !left(s, k))
                wrong(depth, "node %u is stopped while node %u of its host is", op->node + 1, k + 1);
        w->runs = NOTHING;
        w->checked = 0;
        break;
    case S_SWITCH:
        if (rev == NEW && !host->fetched)
            wrong(depth, "node %u is switched to what was not fetched", op->node + 1);
        host->disk = rev;
        break;
    case S_ONCE:
        if (plan.steps[S_ONCE].once != ONCE_NO && s->once != ONCE_NOT)
            wrong(depth, "the run-once step runs twice");
        s->once = ONCE_IS_DONE;
        break;
    case S_START:
        if (w->runs == NOTHING && host->disk != rev)
            wrong(depth, "node %u is started and its directory holds the other revision", op->node + 1);
        if (w->runs == NOTHING)
            w->runs = host->disk;
        w->checked = 0;
        break;
    case S_ENABLE:
        if (w->out && !w->checked && w->job[0][S_STOP])
            wrong(depth, "node %u is put into rotation unchecked", op->node + 1);
        w->out = w->forgot = 0;
        break;
    default: break;
    }
}

/* Is it so? What an observing or waiting verb answers when it can be asked. */
static bool is_so(struct state *s, const struct op_req *op)
{
    struct wnode *w = &s->w[op->node], *host = &s->w[host_of[op->node]];
    uint8_t rev = op->back ? OLD : NEW;
    switch (op->step) {
    case S_FETCH: return host->fetched;
    case S_DRAIN:
    case S_IDLE: return w->out;
    case S_STOP: return w->runs == NOTHING;
    case S_SWITCH: return host->disk == rev;
    case S_ONCE: return w->job[op->back][S_ONCE] == op->walk + 1;
    case S_START: return w->runs != NOTHING;
    case S_CHECK:
    case S_VERIFY: return w->runs == rev;
    case S_ENABLE: return !w->out;
    case S_UP: return !w->out && w->runs != NOTHING;
    default: return true;
    }
}

static bool looks(const struct op_req *op)
{
    return op->step == CORE_NO_STEP || op->role == ROLE_OBSERVE || op->role == ROLE_BEFORE ||
           op->role == ROLE_SOAK || (op->role == ROLE_RUN && plan.steps[op->step].effect == EFFECT_READ);
}

/* ---- one move */

static bool judge(struct state *s, uint32_t depth)
{
    int status;
    enum why why;
    enum invariant broken = core_check(core_of(s));
    if (broken != INVARIANT_NONE)
        wrong(depth, "core_check: invariant %d", (int)broken);
    if (!core_same(core_of(s), twin_of(s)))
        wrong(depth, "the replayed core differs");
    if (!core_ended(core_of(s), &status, &why))
        return !bad;
    n_ends++;
    for (uint32_t i = 0; i < plan.n_nodes && status != 5; i++) {
        const struct wnode *w = &s->w[i];
        if (w->out)
            wrong(depth, "exit %d and node %u is out of rotation", status, i + 1);
        if (status == 0 && w->runs != NEW)
            wrong(depth, "exit 0 and node %u does not run the new revision", i + 1);
        if (status == 1 && w->runs != OLD)
            wrong(depth, "exit 1 and node %u does not run the earlier revision", i + 1);
        if (status == 4 && w->runs == NOTHING)
            wrong(depth, "exit 4 and node %u runs nothing", i + 1);
    }
    return !bad;
}

/* ---- the ports of the loop */

static int64_t port_now(void *ctx)
{
    return ((struct state *)ctx)->now;
}

static bool port_wait(void *ctx, int64_t until)
{
    struct state *s = ctx;
    if (s->news != NEWS_NONE)
        return true;
    if (until > s->now)
        s->now = until;
    return false;
}

static bool port_ours(void *ctx)
{
    (void)ctx;
    return true;
}

static enum loop_news port_take(void *ctx, struct event *ret)
{
    struct state *s = ctx;
    enum loop_news news = s->news;
    *ret = s->outcome;
    s->news = NEWS_NONE;
    return news;
}

static void port_decided(void *ctx, const struct event *ev, const struct update *up)
{
    struct state *s = ctx;
    (void)ev;
    for (uint32_t i = 0; i < up->n_records; i++) {
        must(s->n_rows < ROWS_MAX);
        rows[s->n_rows++] = up->records[i];
    }
}

/* A crash before or after it is a move of its own: try_crash(). */
static bool port_commit(void *ctx)
{
    struct state *s = ctx;
    for (; s->n_durable < s->n_rows; s->n_durable++)
        core_replay(twin_of(s), &rows[s->n_durable]);
    return true;
}

static void port_dispatch(void *ctx, const struct op_req *op)
{
    struct state *s = ctx;
    must(s->n_ops < OPS_MAX);
    s->ops[s->n_ops++] = *op;
}

static const struct loop_ports ports = {
    .now = port_now,
    .wait = port_wait,
    .ours = port_ours,
    .take = port_take,
    .decided = port_decided,
    .commit = port_commit,
    .dispatch = port_dispatch,
};

/* A copy of a state has a copy of the loop, which is to work on the copy. */
static void own_loop(struct state *s)
{
    s->loop.ctx = s;
    s->loop.core = core_of(s);
}

static bool first_turn(struct state *s, uint32_t depth, enum order order)
{
    n_moves++;
    loop_init(&s->loop, &ports, s, core_of(s), &room);
    loop_begin(&s->loop, order);
    return judge(s, depth);
}

/* One turn in which that comes; NEWS_NONE: nothing does, until a timer is due. */
static bool turn(struct state *s, uint32_t depth, enum loop_news news)
{
    n_moves++;
    s->news = news;
    loop_turn(&s->loop);
    return judge(s, depth);
}

enum how { HOW_OK, HOW_FAILED, HOW_UNKNOWN_DONE, HOW_UNKNOWN_NOT, HOW_COUNT };

static void op_take(struct state *s, uint32_t k, struct op_req *ret)
{
    *ret = s->ops[k];
    memmove(&s->ops[k], &s->ops[k + 1], (s->n_ops - k - 1) * sizeof(s->ops[0]));
    s->n_ops--;
}

/* Op k ends. */
static bool op_ends(struct state *s, uint32_t depth, uint32_t k, enum how how)
{
    struct op_req op;
    op_take(s, k, &op);
    struct event ev = {.kind = EV_OUTCOME, .op = op.op, .node = op.node, .changed = true};
    ev.outcome = how == HOW_OK ? OUT_OK : how == HOW_FAILED ? OUT_FAILED : OUT_UNKNOWN;
    if (!looks(&op) && (how == HOW_OK || how == HOW_UNKNOWN_DONE))
        effect(s, depth, &op);
    if (how == HOW_OK && op.role == ROLE_CAPACITY)
        ev.gauge = serving(s);
    ev.ready = true;
    if (op.role == ROLE_JUDGE && how != HOW_UNKNOWN_NOT) { /* a look has no other ways to fail */
        ev.outcome = OUT_OK;
        ev.gauge = how == HOW_OK ? JUDGED_WELL : how == HOW_FAILED ? JUDGED_BADLY : JUDGED_NOT;
    }
    if (how == HOW_OK && looks(&op) && op.role != ROLE_CAPACITY && op.role != ROLE_JUDGE) {
        bool guard = op.role == ROLE_GUARD;
        ev.ready = guard ? s->w[op.node].out : is_so(s, &op);
        ev.lost = (guard || op.step == S_IDLE) && !s->w[op.node].out;
    }
    if (how == HOW_OK && op.step == S_CHECK && ev.ready)
        s->w[op.node].checked = 1;
    s->outcome = ev;
    return !bad && turn(s, depth, NEWS_OUTCOME);
}

static bool timer(struct state *s, uint32_t depth)
{
    return turn(s, depth, NEWS_NONE);
}

/* The controller dies and another takes over: ops in flight have had their effect (bit set) or never will. */
static bool crash(struct state *s, uint32_t depth, uint32_t done, enum order order)
{
    for (uint32_t k = 0; k < s->n_ops; k++)
        if ((done >> k & 1) && !looks(&s->ops[k]))
            effect(s, depth, &s->ops[k]);
    s->n_ops = 0;
    s->now = 0;
    core_init(core_of(s), &plan);
    for (uint32_t i = 0; i < s->n_rows; i++)
        core_replay(core_of(s), &rows[i]);
    return !bad && first_turn(s, depth, order);
}

/* ---- liveness: from here on nothing fails, and one order ends it */

static bool must_end_well(const struct state *from, uint32_t depth, enum order order)
{
    static struct state s;
    int status = -1;
    enum why why;
    memcpy(&s, from, sizeof(s));
    own_loop(&s);
    uint64_t ends = n_ends;
    crash(&s, depth, 0, order);
    for (int k = 0; !bad && !core_ended(core_of(&s), &status, &why); k++) {
        if (k > 5000 || (s.n_ops == 0 && core_due(core_of(&s)) == CORE_NEVER)) {
            wrong(depth, "%s does not end", order == ORDER_RESUME ? "a resume" : "a rollback");
            return false;
        }
        if (s.n_ops > 0)
            op_ends(&s, depth, 0, HOW_OK);
        else
            timer(&s, depth);
    }
    n_ends = ends;
    /* A stop or a tolerated failure may be told once more: what an earlier fault left is found only now. */
    bool lenient = status == 4 && (!plan.rollback_on_failure || plan.groups[0].max_failed > 0);
    if (!bad && status != 0 && status != 1 && !lenient)
        wrong(depth, "%s ends with %d though nothing fails any more",
              order == ORDER_RESUME ? "a resume" : "a rollback", status);
    return !bad;
}

/* ---- search */

static void explore(uint32_t depth);

static struct state *child_of(uint32_t depth)
{
    memcpy(&stack[depth + 1], &stack[depth], sizeof(struct state));
    own_loop(&stack[depth + 1]);
    return &stack[depth + 1];
}

static void go(uint32_t depth, bool good)
{
    if (good && !bad && !out_of_time)
        explore(depth + 1);
}

static void try_op(uint32_t depth, uint32_t k)
{
    static const char *const hows[] = {"ok", "failed", "unknown, done", "unknown, not done"};
    const struct op_req *op = &stack[depth].ops[k];
    for (int how = 0; how < HOW_COUNT && !bad && !out_of_time; how++) {
        if (how > 0 && stack[depth].budget == 0)
            return;
        bool look = looks(op);
        if (look && op->role != ROLE_JUDGE && (how == HOW_FAILED || how == HOW_UNKNOWN_DONE))
            continue; /* a look that cannot find out is unknown */
        struct state *s = child_of(depth);
        s->budget -= how > 0;
        snprintf(trace[depth], sizeof(trace[0]), "node %u %s%s %s: %s", op->node + 1,
                 step_names[op->step < N_STEPS ? op->step : N_STEPS], op->back ? " back" : "",
                 op->role == ROLE_RUN       ? ""
                 : op->role == ROLE_OBSERVE ? "(look)"
                                            : "(other)",
                 hows[how]);
        go(depth, op_ends(s, depth + 1, k, (enum how)how));
    }
}

static void try_crash(uint32_t depth)
{
    uint32_t n = stack[depth].n_ops, combos = n > 2 ? 2 : 1u << n;
    for (uint32_t c = 0; c < combos; c++)
        for (int order = ORDER_RESUME; order <= ORDER_ROLLBACK && !bad && !out_of_time; order++) {
            struct state *s = child_of(depth);
            s->budget--;
            snprintf(trace[depth], sizeof(trace[0]), "crash, effects %x; %s", c,
                     order == ORDER_RESUME ? "resume" : "rollback");
            go(depth, crash(s, depth + 1, n > 2 && c ? UINT32_MAX : c, (enum order)order));
        }
}

static void try_faults(uint32_t depth)
{
    const struct state *now = &stack[depth];
    try_crash(depth);
    for (uint32_t i = 0; i < plan.n_nodes && !bad && !out_of_time; i++) {
        if (!now->w[i].out || now->w[i].forgot)
            continue;
        struct state *s = child_of(depth);
        s->budget--;
        s->w[i].out = 0;
        s->w[i].forgot = 1;
        snprintf(trace[depth], sizeof(trace[0]), "the balancer forgets node %u", i + 1);
        go(depth, true);
    }
    if (now->orders < 2) {
        struct state *s = child_of(depth);
        s->budget--;
        s->orders++;
        snprintf(trace[depth], sizeof(trace[0]), "ctrl-C");
        go(depth, turn(s, depth + 1, NEWS_INTERRUPT));
    }
}

static void explore(uint32_t depth)
{
    struct state *s = &stack[depth];
    int status;
    enum why why;
    if (depth > deepest)
        deepest = depth;
    if (bad || out_of_time || !first_visit(hash_of(s)))
        return;
    if (depth + 2 >= DEPTH_MAX) {
        wrong(depth, "no end after %u moves", depth);
        return;
    }
    if ((seen_n & 1023) == 0 && clock_mono_ms() > stop_at)
        out_of_time = true;
    if (core_ended(core_of(s), &status, &why)) {
        if (status == 4 || status == 5)
            (void)(must_end_well(s, depth, ORDER_RESUME) && must_end_well(s, depth, ORDER_ROLLBACK));
        return;
    }
    if (s->n_ops == 0 && core_due(core_of(s)) == CORE_NEVER) {
        wrong(depth, "nothing moves and it has not ended");
        return;
    }
    for (uint32_t k = 0; k < stack[depth].n_ops && !bad && !out_of_time; k++)
        try_op(depth, k);
    bool has_timer = core_due(core_of(&stack[depth])) != CORE_NEVER;
    if (has_timer && (stack[depth].n_ops == 0 || stack[depth].budget > 0)) {
        struct state *next = child_of(depth);
        next->budget -= next->n_ops > 0; /* an op hangs while time goes on */
        snprintf(trace[depth], sizeof(trace[0]), "time");
        go(depth, timer(next, depth + 1));
    }
    if (stack[depth].budget > 0)
        try_faults(depth);
}

static bool explore_budget(const struct config *c, uint32_t budget)
{
    struct state *s = &stack[0];
    memset(s, 0, sizeof(*s));
    memset(seen, 0, seen_cap * sizeof(*seen));
    seen_n = 0;
    n_moves = n_ends = deepest = 0;
    make_plan(c);
    must(core_size(&plan) <= CORE_MAX);
    core_init(core_of(s), &plan);
    core_init(twin_of(s), &plan);
    s->budget = (uint8_t)budget;
    int64_t begin = clock_mono_ms();
    if (first_turn(s, 0, ORDER_START))
        explore(0);
    printf("%-28s faults %u: %9zu states, %10" PRIu64 " moves, %8" PRIu64 " ends, depth %u, %.1f s%s\n",
           c->name, budget, seen_n, n_moves, n_ends, deepest, (double)(clock_mono_ms() - begin) / 1000.0,
           bad           ? ": BAD"
           : out_of_time ? ": cut short"
                         : "");
    return !bad;
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t deflt)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return deflt;
}

int main(int argc, char **argv)
{
    static const struct config configs[] = {
        {.name = "2 nodes, one by one", .n_nodes = 2, .window = 1, .min_up = 1},
        {.name = "2 nodes, once", .n_nodes = 2, .window = 1, .min_up = 1, .once = true},
        {.name = "2 nodes at once", .n_nodes = 2, .window = 2, .min_up = 0, .once = true},
        {.name = "2 nodes, stop on failure", .n_nodes = 2, .window = 1, .min_up = 1, .stop_on_failure = true},
        {.name = "2 nodes, soak", .n_nodes = 2, .window = 1, .min_up = 1, .soak_ms = 2000},
        {.name = "2 nodes, judged", .n_nodes = 2, .window = 1, .min_up = 1, .soak_ms = 2000, .judges = true},
        {.name = "2 instances", .n_nodes = 2, .window = 2, .min_up = 0, .instances = 2},
        {.name = "3 nodes, window 2, once", .n_nodes = 3, .window = 2, .min_up = 1, .once = true},
        {.name = "3 nodes, one may fail", .n_nodes = 3, .window = 1, .min_up = 1, .max_failed = 1},
        {.name = "4 nodes, window 2", .n_nodes = 4, .window = 2, .min_up = 2},
        {.name = "1 worker, 2 nodes", .n_nodes = 3, .window = 1, .min_up = 1, .n_workers = 1},
        {.name = "2 workers, 2 nodes", .n_nodes = 4, .window = 2, .min_up = 1, .n_workers = 2},
        {.name = "2 instances and a node",
         .n_nodes = 3,
         .window = 2,
         .min_up = 1,
         .max_failed = 1,
         .instances = 2},
    };
    uint64_t budget = option(argc, argv, "--budget", 2), seconds = option(argc, argv, "--seconds", 25);
    uint64_t nodes = option(argc, argv, "--nodes", 0), states = 0;
    seen_cap = (size_t)1 << option(argc, argv, "--bits", 22);
    seen = xcalloc(seen_cap, sizeof(*seen));
    stack = xcalloc(DEPTH_MAX + 2, sizeof(*stack));
    stop_at = clock_mono_ms() + (int64_t)seconds * 1000;
    for (uint32_t b = 0; b <= budget && !bad; b++)
        for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]) && !bad; i++) {
            if (nodes && configs[i].n_nodes != nodes)
                continue;
            out_of_time = clock_mono_ms() > stop_at;
            if (out_of_time)
                continue;
            explore_budget(&configs[i], b);
            states += seen_n;
        }
    printf("%" PRIu64 " distinct states explored; %s\n", states, bad ? "a broken rule" : "no rule broken");
    free(seen);
    free(stack);
    loop_room_fini(&room);
    return bad || states < 1000;
}
