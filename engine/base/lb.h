/* SPDX-License-Identifier: MIT */
/* What balancers say of servers, typed, and the one place that writes and reads its text form: in facts
 * ("lb.before"), in debts, in answers. Whoever wants to know whether a node comes back by itself asks here
 * and looks for no words in texts: kinds of balancers have words of their own. */
#ifndef RELEASE_BASE_LB_H
#define RELEASE_BASE_LB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* What an administrator wants of a server; what its health checks say is another thing. */
enum lb_state {
    LB_UNKNOWN, /* a word that nobody here knows: nothing follows from it */
    LB_READY,   /* gets requests when its checks say so */
    LB_FORCED,  /* gets requests whatever its checks say */
    LB_DRAIN,   /* gets no new ones; what runs on it finishes */
    LB_MAINT,   /* gets none at all: sticky clients go elsewhere */
};
#define LB_STATES (LB_MAINT + 1)

/* Every word that a kind of balancer has for a state. A kind writes only words of this list; one that
 * another version wrote, and that is not in it, is LB_UNKNOWN. */
#define LB_WORDS(X)                                                                                          \
    X("ready", READY)                                                                                        \
    X("drain", DRAIN)                                                                                        \
    X("maint", MAINT) /* haproxy, command */                                                                 \
    X("probe", READY)                                                                                        \
    X("healthy", FORCED)                                                                                     \
    X("sick", DRAIN) /* varnish */                                                                           \
    X("enabled", READY)                                                                                      \
    X("disabled", DRAIN)                                                                                     \
    X("server-disabled", MAINT) /* netscaler */                                                              \
    X("registered", READY)                                                                                   \
    X("deregistered", DRAIN) /* elb, elbv2 */                                                                \
    X("in-service", READY)                                                                                   \
    X("standby", DRAIN)             /* asg */                                                                \
    X("up", READY) X("down", DRAIN) /* nginx */

enum lb_state lb_state_of_word(const char *word, size_t n);
/* Out by an administrator's word. One that is merely down comes back by itself: not out. */
bool lb_state_is_out(enum lb_state s);
/* Known to be in: it serves as soon as it is healthy. */
bool lb_state_is_in(enum lb_state s);

/* ---- facts ------------------------------------------------------------------------------------------------
 */

#define LB_FACT_BEFORE  "lb.before"  /* what was before the release: entries, see below */
#define LB_FACT_STATE   "lb.state"   /* for people */
#define LB_FACT_DEBT    "lb.debt"    /* for people */
#define LB_FACT_MAINT   "lb.maint"   /* LB_OURS: the maintenance is this release's */
#define LB_FACT_RETURNS "lb.returns" /* of preflight: not in rotation, and nobody's will */
#define LB_FACT_SERVING                                                                                      \
    "lb.serving"                /* "1101": server by server, whether every balancer sends it requests        \
                                 */
#define LB_FACT_AT     "lb.at"  /* where balancers send what a server gets */
#define LB_FACT_SHARED "lb.at." /* + "BALANCER ADDRESS:PORT": servers of one address */
#define LB_FACT_UP     "lb.up." /* + BALANCER: how many it sends requests */
#define LB_FACT_SHOW   "lb."    /* + "BALANCER.SERVER": a row for `release lb` */
#define LB_FACT_CAN    "lb.can" /* what this balancer is able to do, where that depends on it */
#define LB_OURS        "ours"
#define LB_WORD_KILL   "kill" /* in LB_FACT_CAN: it ends sessions */

/* One entry of lb.before: "BALANCER POOL/SERVER=ready,w100,agent,behind"; entries are parted by ';'. */
struct lb_before {
    enum lb_state state;
    int weight;  /* -1: not known */
    bool agent;  /* something on the balancer's side ran that changes its state or weight */
    bool behind; /* it followed a server that was out: somebody else's, or ours of another block */
};
struct lb_entry {
    const char *balancer, *server; /* not terminated: into the text; server is "POOL/SERVER" */
    size_t n_balancer, n_server;
    struct lb_before was;
};
/* Takes the next entry off *io. false: none is left. What is no entry is passed over. */
bool lb_entry_next(const char **io, struct lb_entry *ret);
/* The entry of one server; false: none, or one that cannot be understood. */
bool lb_before_find(const char *fact, const char *balancer, const char *pool, const char *server,
                    struct lb_before *ret);
/* word: the kind's own for was->state, of LB_WORDS. */
void lb_before_add(struct buf *out, const char *balancer, const char *pool, const char *server,
                   const char *word, const struct lb_before *was);
/* Is the word in a fact LB_FACT_CAN? A balancer that reports none is able to do all that its verbs say. */
bool lb_can_has(const char *fact, const char *word);
/* Every entry says that the server was in, and there is one: with its application it comes back. */
bool lb_before_returns(const char *fact);

/* ---- debts: what a release that took a node out owes its balancers ------------------------------------- */

/* before: the fact, or NULL. */
const char *lb_debt_drain(struct arena *a, const char *verb, int64_t release, const char *before);
const char *lb_debt_maint(struct arena *a, const char *verb, int64_t release);
/* The entries that a debt (or several, one behind the other) owes, as lb.before; "" when it names none. */
const char *lb_debt_before(const char *debt, struct arena *a);
bool lb_debt_is_maint(const char *debt);
/* Does it say what was before, in whichever version's words? And what says so, behind one that does not. */
bool lb_debt_has_before(const char *debt);
void lb_debt_add_before(struct buf *debt, const char *before);

/* ---- who serves
 * --------------------------------------------------------------------------------------------
 */

/* Both are lb.serving of the same servers: who serves on both, how many in *ret_n. NULL: not the same ones.
 */
const char *lb_serving_both(struct arena *a, const char *one, const char *other, int64_t *ret_n);

#endif
