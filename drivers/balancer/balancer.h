/* SPDX-License-Identifier: MIT */
/* A balancer is a contract: a kind of balancer fills one `struct balancer` (what it is called, what it can,
 * how its servers are listed and put), and the verbs are written once, here beside it:
 *
 *   look.c    arguments, the servers as every balancer sees them now, writes that are read back
 *   before.c  what was before, and what was told since
 *   drain.c   observe, drain, wait_idle, guard, maint, in_maint, kill, killed
 *   enable.c  enable, enabled, wait_up
 *   fleet.c   capacity, show, survey
 *
 * They hold for every kind: several balancers are one; what was is recorded before the first touch and given
 * back; every write is read back; one that refuses has the others put back; a drain that is gone is noticed;
 * maintenance set by hand stays; unknown is not success.
 *
 * A new kind is a folder with one `const struct balancer`, a table of the verbs that it has (the rows
 * LB_OBSERVE ... below), its driver's line in drivers/table.c, and its words for states in base/lb.h when
 * those that stand there do not do. docs/balancers.md has the promises, ARCHITECTURE.md the place. */
#ifndef RELEASE_DRIVERS_BALANCER_H
#define RELEASE_DRIVERS_BALANCER_H

#include "base/lb.h"
#include "drivers/op/driver.h"

/* What not every balancer can. Verbs and messages follow it. */
enum lb_can {
    LB_CAN_MAINT = 1,       /* has LB_MAINT beside LB_DRAIN; else a drain is as far out as a server gets */
    LB_CAN_KILL = 2,        /* ends what runs on a server */
    LB_CAN_WEIGHT = 4,      /* a weight that can be set: recorded, given back, ramped */
    LB_CAN_COUNTS = 8,      /* its list tells sessions; else they are counted elsewhere */
    LB_CAN_FORGET = 16,     /* may lose what it was told: a reload, a new configuration */
    LB_CAN_MEMBERSHIP = 32, /* out may mean: not listed any more. Who was listed before, and is not, is out */
    LB_CAN_LAG = 64,        /* shows a write that it took some time later: that is waited for, not refused */
    /* Of struct lb_traffic, for each server. */
    LB_TELLS_REQUESTS = 128,
    LB_TELLS_ERRORS = 256,
    LB_TELLS_TIMES = 512,
};
#define LB_TELLS_ALL (LB_TELLS_REQUESTS | LB_TELLS_ERRORS | LB_TELLS_TIMES)
/* What a program may say of its balancers (`command`). */
#define LB_CAN_ALL                                                                                           \
    (LB_CAN_MAINT | LB_CAN_KILL | LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_CAN_MEMBERSHIP)
#define LB_CAN_WORDS(X)                                                                                      \
    X(MAINT, "maint")                                                                                        \
    X(KILL, LB_WORD_KILL)                                                                                    \
    X(WEIGHT, "weight") X(COUNTS, "counts") X(FORGET, "forget") X(MEMBERSHIP, "membership")

/* What went through a server since the balancer began to count (its start, or somebody's reset): two readings
 * tell what happened between them, a smaller second one that counting began anew. -1: it does not tell that. */
struct lb_traffic {
    int64_t requests, errors;
    int64_t answer_ms; /* how long answers take, as the balancer averages it */
};

/* What all servers of a pool did together in the last so many seconds, where the balancer does not count by server. */
struct lb_pool_traffic {
    const char *pool;
    struct lb_traffic traffic;
    int64_t seconds;
};

/* One server of one pool, as one balancer shows it now. Strings live as long as the op. */
struct lb_server {
    const char *pool, *name;
    const char *label;   /* what the balancer calls it, where several may have one name; NULL: the name */
    enum lb_state state; /* an administrator's word of this very server, never the checks' */
    /* LB_DRAIN, LB_MAINT: it follows a server that is so, and gets nothing whatever its own state is. Nothing of it is ours to
     * record, to put or to give back. LB_UNKNOWN: it follows none that is out. */
    enum lb_state inherited;
    bool serving; /* gets new requests now */
    bool up;      /* its checks have made up their mind that it is fine, or it has none */
    bool agent;   /* something on the balancer's side runs that changes its state by itself */
    bool absent;  /* not listed (LB_CAN_MEMBERSHIP) */
    bool unused;  /* nobody sends to its pool at all: it says nothing about who serves */
    bool leaving; /* put out, and the balancer itself says that it is not yet: never idle */
    int weight;   /* the one in use now; -1: not told */
    /* With LB_ASK_COUNTS; -1: not told. */
    int64_t sessions, queued;
    const struct lb_traffic *traffic; /* NULL: not told */
    const char *status, *check;       /* for people; NULL: not told */
    const char *follows;              /* with LB_ASK_COUNTS, whom it follows, for people */
    const char *addr;
    int port;        /* 0: not told */
    const void *own; /* the kind's */
};

struct lb_table {
    struct lb_server *rows;
    size_t n;
};

enum lb_ask {
    LB_ASK_STATE,
    LB_ASK_COUNTS, /* sessions and what the checks say, too */
    LB_ASK_ALL,    /* state, of every pool that the balancer has */
    LB_ASK_FLOOR,  /* state; serving: it does, or would for the last one that does (a backup) */
};

#define LB_PEERS_MAX 32
#define LB_POOLS_MAX 16

/* One balancer of the list. */
struct lb_peer {
    const char *text; /* as in the pillar: its name in facts and messages */
    void *own;        /* the kind's */
};

/* Our server in one pool of one balancer. Where pools come and go (VCLs), one place stands for all of them
 * and has a row for each. */
struct lb_place {
    size_t peer;
    const char *pool; /* its name in facts and messages */
    struct lb_server *rows;
    size_t n;
};

/* One op's work. */
struct lb {
    struct op *op;
    const struct balancer *kind;
    unsigned can;       /* the kind's; `open` and `list` may take from it what this balancer lacks */
    const char *server; /* NULL for verbs of the fleet */
    struct lb_peer *peers;
    size_t n_peers;
    const char *const *pools; /* as the pillar names them; none where they come and go */
    size_t n_pools;
    bool every; /* the pools are all_pools: one place for each that has the server, once it was looked for */
    struct lb_place *at; /* every pool of every peer, as last seen; none for verbs of the fleet */
    size_t n;
    bool summing;     /* what runs is summed: others than the balancer are asked, too (old workers) */
    bool lags;        /* LB_CAN_LAG: a write was taken and is not shown yet */
    const char *told; /* LB_FACT_TOLD as this op reported it; NULL: not yet */
    void *own;        /* the kind's */
};

/* The kind. Functions return false when op_fail or op_refused was called. A write is told what the balancer
 * said against it by *ret_refusal, and did not fail the op then; the verbs read it back themselves, and have
 * called op_sending. */
struct balancer {
    const char *name; /* of its driver, and in debts */
    unsigned can;
    const char *peers_param;  /* PARAM_LIST: the balancers */
    bool shared_peers;        /* other kinds call theirs the same (a region): facts name the kind, too */
    const char *pools_param;  /* PARAM_LIST: the pools; NULL: they come and go */
    const char *pool;         /* where they do, or none is given: the name that stands for all in facts */
    const char *all_pools;    /* a name that stands for every pool that has the server; NULL: none */
    const char *server_param; /* PARAM_STR: the server of this node; default lb_server, then the node's id */
    const char *words[LB_STATES]; /* of base/lb.h; NULL: it has no such state */
    /* For sentences: "backend" + pool "has no" "server"; or a place without a name. "drained, before: ..." */
    const char *pool_noun, *server_noun, *deed, *up_words, *many;
    const char *forgets; /* LB_CAN_FORGET: by what, "" when there is nothing to add */
    const char *stuck;   /* why a write may have been taken and show nothing; "" */
    const char *left;    /* the fact that `count` gives, when it counts no sessions; NULL */
    bool (*name_valid)(const char *name);
    const char *name_wanted;      /* the rule in words: "letters, digits and _.-, at most 200" */
    bool (*open)(struct lb *lb);  /* peers[].text are there: takes them apart, touches nothing */
    void (*close)(struct lb *lb); /* NULL: nothing to close */
    /* All servers of the named pools, in one question where the balancer has one. An unknown pool is refused
     * by its name. */
    bool (*list)(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret);
    bool (*put)(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal);
    /* LB_CAN_WEIGHT */
    bool (*weigh)(struct lb *lb, const struct lb_place *p, int weight, const char **ret_refusal);
    /* For servers with `agent`: held off, or running again. */
    bool (*agent)(struct lb *lb, const struct lb_place *p, bool on, const char **ret_refusal);
    /* LB_CAN_KILL */
    bool (*kill)(struct lb *lb, const struct lb_place *p, const char **ret_refusal);
    /* Asked by the first `observe` of a release: can a node leave, and be back, as the balancer is set up? NULL: nothing to
     * ask. */
    bool (*fits)(struct lb *lb, size_t peer);
    /* Asked once before a release, by `survey`: may who asks do all that a release will do? NULL: nothing to ask. */
    bool (*may)(struct lb *lb, size_t peer);
    /* What runs on our server, where the list does not tell it (or the pillar says otherwise); NULL:
     * lb_idle_sum.
     */
    bool (*count)(struct lb *lb, int64_t *ret);
    /* For `release lb`, of each pool that is counted as a whole; ret has room for all. NULL: servers are counted, or nothing is. */
    bool (*count_pools)(struct lb *lb, size_t peer, struct lb_pool_traffic *ret, size_t *ret_n);
};

/* ---- for verbs: look.c --------------------------------------------------------------------------------- */

/* From the arguments. false: op failed already. Fleet: without a server. Read: a balancer that cannot be
 * asked says nothing about the node, so from here on op_fail means UNKNOWN; refusals stay FAILED. */
bool lb_open(struct op *op, struct lb *ret);
bool lb_open_read(struct op *op, struct lb *ret);
bool lb_open_fleet(struct op *op, struct lb *ret);
void lb_close(struct lb *lb);
#define auto_lb __attribute__((cleanup(lb_close)))

/* Our server on every balancer; an unknown one is refused, with those that are there. */
bool lb_see(struct lb *lb, enum lb_ask ask);
bool lb_see_peer(struct lb *lb, size_t peer, enum lb_ask ask);
/* pool NULL: in any. name NULL: nobody. */
struct lb_server *lb_table_find(const struct lb_table *t, const char *pool, const char *name);

/* One write, read back. *ret_refusal NULL: it is so, or it was taken and is not shown yet (lb->lags). */
bool lb_put(struct lb *lb, struct lb_place *p, enum lb_state want, const char **ret_refusal);
bool lb_put_weight(struct lb *lb, struct lb_place *p, int weight, const char **ret_refusal);
bool lb_put_agent(struct lb *lb, struct lb_place *p, bool on, const char **ret_refusal);
enum outcome lb_refused(struct lb *lb, const struct lb_place *p, const char *wanted, const char *words);

/* Out only when every row says so; else the state of the first that does not. */
enum lb_state lb_place_state(const struct lb_place *p);
bool lb_place_is(const struct lb_place *p, enum lb_state s); /* every row */
/* What it follows is out, in some row: how; LB_UNKNOWN: in none. */
enum lb_state lb_place_inherited(const struct lb_place *p);
/* As far out as its own word or another's has it, for people. */
enum lb_state lb_server_shown(const struct lb_server *s);
bool lb_place_serving(const struct lb_place *p);
bool lb_place_up(const struct lb_place *p);
bool lb_place_agent(const struct lb_place *p);
bool lb_any_leaving(const struct lb *lb);
int lb_place_weight(const struct lb_place *p);
const char *lb_word(const struct lb *lb, enum lb_state s);
bool lb_all_out(const struct lb *lb);
bool lb_all_serving(const struct lb *lb);
bool lb_any_serving(const struct lb *lb);
/* As far out as this balancer takes a server: LB_MAINT, or LB_DRAIN where it has no other. */
enum lb_state lb_farthest(const struct lb *lb);
/* "app1 drain on tcp://lb1:9999, ready on tcp://lb2:9999" */
const char *lb_text(const struct lb *lb);
/* "web/app1", "app1" */
const char *lb_place_text(const struct lb *lb, const struct lb_place *p);
/* A text of the other side, its first line, made safe and short. */
const char *lb_first_line(struct op *op, const char *text);
/* The op fails with what is wrong with that peer's answer; false. */
bool lb_not_understood(struct lb *lb, size_t peer, const struct err *err);

/* ---- for verbs: before.c ------------------------------------------------------------------------------- */

/* What lb.before says of a place; false: nothing. */
bool lb_recall(const struct lb *lb, const struct lb_place *p, struct lb_before *ret);
bool lb_recorded(const struct lb *lb);
/* Once a release: later looks see our own drain and must not overwrite it. */
bool lb_report_before(struct lb *lb);
void lb_report_address(struct lb *lb);
/* Is it a state that we put servers of this balancer into? A maintenance that we cannot set is an operator's. */
bool lb_puts(const struct lb *lb, enum lb_state s);
/* A drain that this place is about to be told, kept for `enable` where what is shown then does not tell whether it was: it may be
 * older, or an operator's. */
void lb_report_told(struct lb *lb, const struct lb_place *p);
bool lb_was_told(const struct lb *lb, const struct lb_place *p);
void lb_forget_told(struct lb *lb);
/* ---- for verbs and `count`: look.c --------------------------------------------------------------------- */

/* Sessions and queues of all places: reports facts and gauge. False: one is not told. */
bool lb_idle_sum(struct lb *lb, int64_t *ret);
bool lb_idle_count(struct lb *lb, int64_t *ret);
/* For `count`: established and half-closed connections to the node's port, on the node. */
bool lb_idle_on_node(struct lb *lb, int64_t *ret);

/* ---- the verbs -------------------------------------------------------------------------------------------
 */

enum outcome lb_run_observe(struct op *op);
enum outcome lb_run_drain(struct op *op);
enum outcome lb_run_wait_idle(struct op *op);
enum outcome lb_run_guard(struct op *op);
enum outcome lb_run_maint(struct op *op);
enum outcome lb_run_in_maint(struct op *op);
enum outcome lb_run_kill(struct op *op);
enum outcome lb_run_killed(struct op *op);
enum outcome lb_run_enable(struct op *op);
enum outcome lb_run_enabled(struct op *op);
enum outcome lb_run_wait_up(struct op *op);
enum outcome lb_run_capacity(struct op *op);
enum outcome lb_run_show(struct op *op);
enum outcome lb_run_survey(struct op *op);
#define LB_RAMP_STEP "10s" /* `ramp_step` where none is given */
/* For the `check` of an enable row: is `weight_ramp` one, and does it end before the step's deadline? */
bool lb_check_ramp(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err);

/* Of drain for enable: the places that it told, as entries of lb.before. */
#define LB_FACT_TOLD "lb.told"

/* The parameter `server` of every kind that names servers so. */
#define LB_P_SERVER                                                                                          \
    {                                                                                                        \
        .name = "server", .type = PARAM_STR,                                                                 \
        .help = "server of this node; default: lb_server, else the node's id"                                \
    }

/* How long sessions may take to end; the telling itself (drain) has no such word. */
#define LB_DEADLINE "drain_timeout"

/* Rows of a kind's table: `{LB_DRAIN_ROW("haproxy"), LB_OF(haproxy_balancer, params), .help = "..."}`. */
#define LB_OF(kind, parameters) .balancer = &(kind), .params = (parameters)
#define LB_READ_ROW(k, verb, ms)                                                                             \
    .name = k "." #verb, .effect = EFFECT_READ, .scope = SCOPE_BALANCER, .default_timeout_ms = (ms),         \
    .run = lb_run_##verb
#define LB_CHANGE_ROW(k, verb, seen_by, ms)                                                                  \
    .name = k "." #verb, .effect = EFFECT_CHANGE, .scope = SCOPE_BALANCER, .observe = k "." seen_by,         \
    .default_timeout_ms = (ms), .run = lb_run_##verb
#define LB_FLEET_ROW(k, verb, ms)                                                                            \
    .name = k "." #verb, .effect = EFFECT_READ, .scope = SCOPE_FLEET, .default_timeout_ms = (ms),            \
    .run = lb_run_##verb
#define LB_OBSERVE_ROW(k) LB_READ_ROW(k, observe, 15000)
#define LB_DRAIN_ROW(k)                                                                                      \
    LB_CHANGE_ROW(k, drain, "observe", 30000), .does = DOES_DRAIN, .counts = "sessions left",                \
                                               .deadline = "", .record_before = true
#define LB_WAIT_IDLE_ROW(k, ms)                                                                              \
    LB_READ_ROW(k, wait_idle, 60000), .does = DOES_IDLE, .counts = "sessions left", .waits = true,           \
                                      .deadline = LB_DEADLINE, .interval_ms = (ms)
#define LB_MAINT_ROW(k)      LB_CHANGE_ROW(k, maint, "in_maint", 30000)
#define LB_IN_MAINT_ROW(k)   LB_READ_ROW(k, in_maint, 15000)
#define LB_KILL_ROW(k)       LB_CHANGE_ROW(k, kill, "killed", 30000)
#define LB_KILLED_ROW(k)     LB_READ_ROW(k, killed, 15000)
#define LB_ENABLE_ROW(k, ms) LB_CHANGE_ROW(k, enable, "enabled", ms), .does = DOES_ENABLE
#define LB_ENABLED_ROW(k)    LB_READ_ROW(k, enabled, 15000)
#define LB_WAIT_UP_ROW(k)                                                                                    \
    LB_READ_ROW(k, wait_up, 60000), .does = DOES_WAIT_UP, .waits = true, .interval_ms = 250
#define LB_GUARD_ROW(k)    LB_READ_ROW(k, guard, 15000)
#define LB_CAPACITY_ROW(k) LB_FLEET_ROW(k, capacity, 15000)
#define LB_SHOW_ROW(k)     LB_FLEET_ROW(k, show, 15000)
#define LB_SURVEY_ROW(k)   LB_FLEET_ROW(k, survey, 30000)

#endif
