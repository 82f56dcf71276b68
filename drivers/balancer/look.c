/* SPDX-License-Identifier: MIT */
/* Our server as every balancer of the list sees it now, and single writes that are read back. */
#include "drivers/balancer/balancer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "drivers/node/node.h"

#define TOLD_MAX  200
#define NAMES_MAX 300

/* On the node: connections to its port, "$1" in hex as the kernel prints it: established (01), and those that their client has
 * half closed and may still read an answer from (08, CLOSE_WAIT). */
static const char node_script[] =
    "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=\"$1\" "
    "'$4 == \"01\" || $4 == \"08\" { n = split($2, a, \":\"); if (a[n] == p) c++ } END { print c + 0 }'\n";

/* ---- arguments -------------------------------------------------------------------------------------------
 */

static bool open_peers(struct lb *lb)
{
    size_t n;
    const char *const *texts = op_arg_list(lb->op, lb->kind->peers_param, &n);
    if (n == 0 || n > LB_PEERS_MAX) {
        op_refused(lb->op, E_CONFIG, "balancer: %zu %s given; wanted 1 to %d", n, lb->kind->peers_param,
                   LB_PEERS_MAX);
        return false;
    }
    lb->peers = arena_array(op_arena(lb->op), n, sizeof *lb->peers);
    for (; lb->n_peers < n; lb->n_peers++)
        lb->peers[lb->n_peers] = (struct lb_peer){.text = texts[lb->n_peers]};
    return true;
}

static bool name_fits(struct lb *lb, const char *name, const char *noun)
{
    if (name && lb->kind->name_valid(name))
        return true;
    op_refused(lb->op, E_CONFIG, "balancer: \"%s\" cannot be the name of a %s; wanted %s", name ? name : "",
               noun, lb->kind->name_wanted);
    return false;
}

static bool open_pools(struct lb *lb)
{
    if (!lb->kind->pools_param)
        return true;
    lb->pools = op_arg_list(lb->op, lb->kind->pools_param, &lb->n_pools);
    if (lb->n_pools == 0 && lb->kind->pool)
        return true;
    if (lb->n_pools == 0 || lb->n_pools > LB_POOLS_MAX) {
        op_refused(lb->op, E_CONFIG, "balancer: %zu names in %s; wanted 1 to %d", lb->n_pools,
                   lb->kind->pools_param, LB_POOLS_MAX);
        return false;
    }
    lb->every = lb->kind->all_pools && lb->n_pools == 1 && strcmp(lb->pools[0], lb->kind->all_pools) == 0;
    for (size_t i = 0; i < lb->n_pools && !lb->every; i++) {
        if (!name_fits(lb, lb->pools[i], lb->kind->pool_noun))
            return false;
    }
    return true;
}

static void open_places(struct lb *lb)
{
    size_t each = lb->n_pools ? lb->n_pools : 1;
    if (lb->every)
        return;
    lb->at = arena_array(op_arena(lb->op), lb->n_peers * each, sizeof *lb->at);
    for (; lb->n < lb->n_peers * each; lb->n++)
        lb->at[lb->n] = (struct lb_place){.peer = lb->n / each,
                                          .pool = lb->n_pools ? lb->pools[lb->n % each] : lb->kind->pool};
}

bool lb_open_fleet(struct op *op, struct lb *ret)
{
    const struct balancer *kind = op_verb(op)->balancer;
    op_sending(op); /* as lb_open_read: these verbs look only */
    *ret = (struct lb){.op = op, .kind = kind, .can = kind->can};
    return open_pools(ret) && open_peers(ret) && kind->open(ret);
}

bool lb_open(struct op *op, struct lb *ret)
{
    const struct balancer *kind = op_verb(op)->balancer;
    *ret = (struct lb){.op = op, .kind = kind, .can = kind->can};
    if (!open_pools(ret) || !open_peers(ret) || !kind->open(ret))
        return false;
    ret->server = op_arg(op, kind->server_param);
    if (!ret->server)
        ret->server = op_var(op, "lb_server");
    if (!ret->server)
        ret->server = op_var(op, "node");
    open_places(ret);
    return name_fits(ret, ret->server, kind->server_noun);
}

bool lb_open_read(struct op *op, struct lb *ret)
{
    op_sending(op);
    return lb_open(op, ret);
}

void lb_close(struct lb *lb)
{
    if (lb->kind && lb->kind->close)
        lb->kind->close(lb);
}

/* ---- looking ---------------------------------------------------------------------------------------------
 */

struct lb_server *lb_table_find(const struct lb_table *t, const char *pool, const char *name)
{
    for (size_t i = 0; name && i < t->n; i++) {
        if (!strcmp(t->rows[i].name, name) && (!pool || !strcmp(t->rows[i].pool, pool)))
            return &t->rows[i];
    }
    return NULL;
}

const char *lb_first_line(struct op *op, const char *text)
{
    auto_buf struct buf b = BUF_INIT(TOLD_MAX);
    text += strspn(text, "\r\n ");
    text_visible(&b, text, strcspn(text, "\r\n"));
    return arena_strdup(op_arena(op), buf_str(&b));
}

bool lb_not_understood(struct lb *lb, size_t peer, const struct err *err)
{
    op_fail(lb->op, err->code, "%s: %s", lb->peers[peer].text, err->text);
    return false;
}

static void unknown_server(struct lb *lb, const struct lb_place *p, const struct lb_table *t)
{
    auto_buf struct buf names = BUF_INIT(NAMES_MAX);
    for (size_t i = 0; i < t->n; i++) {
        if (!lb->n_pools || lb->every || !strcmp(t->rows[i].pool, p->pool))
            buf_printf(&names, "%s%s", names.len ? ", " : "", lb_first_line(lb->op, t->rows[i].name));
    }
    const char *where = lb->every ? "no" : !lb->n_pools && lb->kind->pools_param ? "it" : lb->kind->pool_noun;
    const char *which = lb->every ? lb->kind->pool_noun : lb->n_pools ? p->pool : "";
    op_refused(lb->op, E_NOTFOUND, "%s: %s%s%s has %s %s \"%s\" (%s %s%s); check `lb_server:` of the pillar",
               lb->peers[p->peer].text, where, *which ? " " : "", which, lb->every ? "a" : "no",
               lb->kind->server_noun, lb->server, lb->every ? "there are" : "it has", buf_str(&names),
               names.cut ? "..." : "");
}

/* Listed before this release, and not any more: out. */
static void absent_row(struct lb *lb, struct lb_place *p)
{
    p->rows[p->n++] = (struct lb_server){.pool = p->pool,
                                         .name = lb->server,
                                         .state = LB_DRAIN,
                                         .absent = true,
                                         .weight = -1,
                                         .sessions = -1,
                                         .queued = -1};
}

static bool take_rows(struct lb *lb, struct lb_place *p, const struct lb_table *t)
{
    struct lb_before b;
    p->rows = arena_array(op_arena(lb->op), t->n + 1, sizeof *p->rows);
    p->n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->rows[i].name, lb->server) && (!lb->n_pools || !strcmp(t->rows[i].pool, p->pool)))
            p->rows[p->n++] = t->rows[i];
    }
    if (p->n == 0 && (lb->can & LB_CAN_MEMBERSHIP) && lb_recall(lb, p, &b))
        absent_row(lb, p);
    if (p->n == 0)
        unknown_server(lb, p, t);
    return p->n > 0;
}

static void add_place(struct lb *lb, size_t peer, const char *pool)
{
    struct lb_place *grown = arena_array(op_arena(lb->op), lb->n + 1, sizeof *grown);
    if (lb->n)
        memcpy(grown, lb->at, lb->n * sizeof *grown);
    grown[lb->n++] = (struct lb_place){.peer = peer, .pool = pool};
    lb->at = grown;
}

/* lb->every: the pools of this balancer that have our server. */
static bool find_places(struct lb *lb, size_t peer, enum lb_ask ask)
{
    struct lb_table t = {.n = 0};
    size_t from = lb->n;
    if (!lb->kind->list(lb, peer, ask, &t))
        return false;
    for (size_t i = 0; i < t.n; i++) {
        size_t k = from;
        while (k < lb->n && strcmp(lb->at[k].pool, t.rows[i].pool) != 0)
            k++;
        if (k == lb->n && !strcmp(t.rows[i].name, lb->server))
            add_place(lb, peer, t.rows[i].pool);
    }
    if (lb->n == from)
        unknown_server(lb, &(struct lb_place){.peer = peer, .pool = lb->pools[0]}, &t);
    for (size_t k = from; k < lb->n; k++)
        take_rows(lb, &lb->at[k], &t); /* it has some */
    return lb->n > from;
}

bool lb_see_peer(struct lb *lb, size_t peer, enum lb_ask ask)
{
    struct lb_table t = {.n = 0};
    if (!lb->kind->list(lb, peer, ask, &t))
        return false;
    for (size_t k = 0; k < lb->n; k++) {
        if (lb->at[k].peer == peer && !take_rows(lb, &lb->at[k], &t))
            return false;
    }
    return true;
}

bool lb_see(struct lb *lb, enum lb_ask ask)
{
    bool find = lb->every && lb->n == 0;
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (find ? !find_places(lb, i, ask) : !lb_see_peer(lb, i, ask))
            return false;
    }
    return true;
}

/* ---- judging ---------------------------------------------------------------------------------------------
 */

enum lb_state lb_place_state(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!lb_state_is_out(p->rows[i].state))
            return p->rows[i].state;
    }
    return p->rows[0].state;
}

bool lb_place_is(const struct lb_place *p, enum lb_state s)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->rows[i].state != s)
            return false;
    }
    return true;
}

enum lb_state lb_place_inherited(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->rows[i].inherited != LB_UNKNOWN)
            return p->rows[i].inherited;
    }
    return LB_UNKNOWN;
}

enum lb_state lb_server_shown(const struct lb_server *s)
{
    bool other = s->inherited == LB_MAINT || (s->inherited == LB_DRAIN && s->state != LB_MAINT);
    return other ? s->inherited : s->state;
}

bool lb_place_serving(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!p->rows[i].serving)
            return false;
    }
    return p->n > 0;
}

static bool place_unused(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!p->rows[i].unused)
            return false;
    }
    return p->n > 0;
}

bool lb_place_up(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!p->rows[i].up)
            return false;
    }
    return p->n > 0;
}

bool lb_place_agent(const struct lb_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->rows[i].agent)
            return true;
    }
    return false;
}

bool lb_any_leaving(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++)
        for (size_t k = 0; k < lb->at[i].n; k++) {
            if (lb->at[i].rows[k].leaving)
                return true;
        }
    return false;
}

int lb_place_weight(const struct lb_place *p)
{
    return p->rows[0].weight;
}

bool lb_all_out(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (!lb_state_is_out(lb_place_state(&lb->at[i])))
            return false;
    }
    return true;
}

bool lb_all_serving(const struct lb *lb)
{
    bool some = false;
    for (size_t i = 0; i < lb->n; i++) {
        if (place_unused(&lb->at[i]))
            continue;
        if (!lb_place_serving(&lb->at[i]))
            return false;
        some = true;
    }
    return some;
}

bool lb_any_serving(const struct lb *lb)
{
    for (size_t i = 0; i < lb->n; i++) {
        if (lb_place_serving(&lb->at[i]))
            return true;
    }
    return false;
}

enum lb_state lb_farthest(const struct lb *lb)
{
    return lb->can & LB_CAN_MAINT ? LB_MAINT : LB_DRAIN;
}

const char *lb_word(const struct lb *lb, enum lb_state s)
{
    return lb->kind->words[s] ? lb->kind->words[s] : "unknown";
}

const char *lb_place_text(const struct lb *lb, const struct lb_place *p)
{
    return lb->n_pools ? arena_printf(op_arena(lb->op), "%s/%s", p->pool, lb->server) : lb->server;
}

const char *lb_text(const struct lb *lb)
{
    auto_buf struct buf b = BUF_INIT(2000);
    bool named = lb->n_pools > 1 || lb->every;
    buf_printf(&b, "%s ", lb->server);
    for (size_t i = 0; i < lb->n; i++) {
        enum lb_state other = lb_place_inherited(&lb->at[i]);
        buf_printf(&b, "%s%s", i ? ", " : "", lb_word(lb, lb_place_state(&lb->at[i])));
        if (other != LB_UNKNOWN)
            buf_printf(&b, " (what it follows: %s)", lb_word(lb, other));
        buf_printf(&b, "%s%s on %s", named ? " in " : "", named ? lb->at[i].pool : "",
                   lb->peers[lb->at[i].peer].text);
    }
    return arena_strdup(op_arena(lb->op), buf_str(&b));
}

/* ---- writing ---------------------------------------------------------------------------------------------
 */

bool lb_put(struct lb *lb, struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    *ret_refusal = NULL;
    if (!lb->kind->put(lb, p, want, ret_refusal))
        return false;
    if (*ret_refusal)
        return true;
    if (!lb_see_peer(lb, p->peer, LB_ASK_STATE))
        return false;
    bool absent = p->rows[0].absent && lb_state_is_out(want);
    for (size_t i = 0; i < p->n && !*ret_refusal && !absent; i++) {
        if (p->rows[i].state == want)
            continue;
        if (lb->can & LB_CAN_LAG)
            lb->lags = true;
        else
            *ret_refusal = arena_printf(op_arena(lb->op), "took the command but still shows %s%s",
                                        lb_word(lb, p->rows[i].state), lb->kind->stuck);
    }
    return true;
}

bool lb_put_weight(struct lb *lb, struct lb_place *p, int weight, const char **ret_refusal)
{
    *ret_refusal = NULL;
    if (lb_place_weight(p) == weight || weight < 0)
        return true;
    if (!lb->kind->weigh(lb, p, weight, ret_refusal))
        return false;
    if (*ret_refusal)
        return true;
    if (!lb_see_peer(lb, p->peer, LB_ASK_STATE))
        return false;
    if (lb_place_weight(p) != weight)
        *ret_refusal =
            arena_printf(op_arena(lb->op), "took weight %d but still shows %d", weight, lb_place_weight(p));
    return true;
}

/* What its agent says would undo a drain ("ready") or take weight away. */
bool lb_put_agent(struct lb *lb, struct lb_place *p, bool on, const char **ret_refusal)
{
    *ret_refusal = NULL;
    if (!lb->kind->agent(lb, p, on, ret_refusal))
        return false;
    if (*ret_refusal)
        return true;
    if (!lb_see_peer(lb, p->peer, LB_ASK_STATE))
        return false;
    if (lb_place_agent(p) != on)
        *ret_refusal = arena_printf(op_arena(lb->op), "took the command but its agent check is still %s",
                                    on ? "held off" : "running");
    return true;
}

enum outcome lb_refused(struct lb *lb, const struct lb_place *p, const char *wanted, const char *words)
{
    return op_refused(lb->op, E_REFUSED, "%s: %s: wanted %s, the balancer said: %s", lb->peers[p->peer].text,
                      lb_place_text(lb, p), wanted, words);
}

/* ---- counting --------------------------------------------------------------------------------------------
 */

bool lb_idle_sum(struct lb *lb, int64_t *ret)
{
    int64_t sessions = 0, queued = 0;
    for (size_t i = 0; i < lb->n; i++)
        for (size_t k = 0; k < lb->at[i].n; k++) {
            const struct lb_server *s = &lb->at[i].rows[k];
            if (s->sessions < 0) {
                op_fail(lb->op, E_PROTO, "%s: %s: it does not tell how many sessions are left on it",
                        lb->peers[lb->at[i].peer].text, lb_place_text(lb, &lb->at[i]));
                return false;
            }
            sessions += s->sessions;
            queued += s->queued > 0 ? s->queued : 0;
        }
    op_fact(lb->op, "sessions", "%" PRId64, sessions);
    op_fact(lb->op, "queued", "%" PRId64, queued);
    op_gauge(lb->op, sessions + queued);
    *ret = sessions + queued;
    return true;
}

bool lb_idle_count(struct lb *lb, int64_t *ret)
{
    if (!lb->kind->count)
        return lb_idle_sum(lb, ret);
    if (!lb->kind->count(lb, ret))
        return false;
    op_fact(lb->op, lb->kind->left ? lb->kind->left : "sessions", "%" PRId64, *ret);
    op_gauge(lb->op, *ret);
    return true;
}

bool lb_idle_on_node(struct lb *lb, int64_t *ret)
{
    const char *port = op_var(lb->op, "port");
    struct node_result r;
    if (!port) {
        op_refused(lb->op, E_CONFIG, "%s: `idle: node` needs the node's port in the pillar", lb->kind->name);
        return false;
    }
    const char *const args[] = {arena_printf(op_arena(lb->op), "%04X", (unsigned)atoi(port)), NULL};
    const struct node_cmd cmd = {.script = node_script, .args = args, .quiet = true};
    if (!node_read(lb->op, &cmd, &r))
        return false;
    char *end;
    *ret = strtoll(r.out, &end, 10);
    if (r.status == 0 && end != r.out)
        return true;
    op_fail(lb->op, E_PROTO, "connections on the node cannot be counted: %s", r.err);
    return false;
}
