/* SPDX-License-Identifier: MIT */
/* What each node does now, folded from journal rows. Only what people look at: the rules are the core's. */
#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define SHOWN_TEXT(n, t) t,
const char *shown_name(enum shown s)
{
    static const char *const names[] = {SHOWN_LIST(SHOWN_TEXT)};
    return (size_t)s < SHOWN_COUNT ? names[s] : "?";
}

static int by_id(const void *a, const void *b, void *ids)
{
    const char *const *names = ids;
    return strcmp(names[*(const uint32_t *)a], names[*(const uint32_t *)b]);
}

void model_init(struct model *m, const struct watch_plan *plan)
{
    *m = (struct model){.plan = plan, .failed_node = -1, .failed_step = -1, .back = BACK_UNTOUCHED};
    m->nodes = xcalloc(plan->n_nodes + 1, sizeof *m->nodes);
    m->by_name = xcalloc(plan->n_nodes + 1, sizeof *m->by_name);
    m->spent_ms = xcalloc(plan->n_steps + 1, sizeof *m->spent_ms);
    m->spent_n = xcalloc(plan->n_steps + 1, sizeof *m->spent_n);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        m->nodes[i].step = m->nodes[i].gauge = -1;
        m->by_name[i] = i;
    }
    m->counts[SHOWN_WAITING] = (uint32_t)plan->n_nodes;
    /* qsort_r hands the ids to by_id; they are only read. */
    qsort_r(m->by_name, plan->n_nodes, sizeof *m->by_name, by_id, (void *)(uintptr_t)plan->nodes);
}

void model_fini(struct model *m)
{
    free(m->nodes);
    free(m->by_name);
    free(m->spent_ms);
    free(m->spent_n);
}

int model_find(const struct model *m, const char *node)
{
    size_t low = 0, high = m->plan->n_nodes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(m->plan->nodes[m->by_name[mid]], node);
        if (order == 0)
            return (int)m->by_name[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

static void keep_text(char *dst, size_t size, const char *text)
{
    auto_buf struct buf safe = BUF_INIT(4096);
    text_visible(&safe, text, strlen(text));
    for (size_t i = 0; i < safe.len; i++)
        if (safe.data[i] == '\n' || safe.data[i] == '\t')
            safe.data[i] = ' ';
    str_keep(dst, size, buf_str(&safe));
}

static void node_state(struct model *m, struct model_node *n, enum shown state, int64_t at_ms)
{
    if (n->state == state)
        return;
    m->counts[n->state]--;
    m->counts[state]++;
    bool was_out = n->state == SHOWN_OUT || n->state == SHOWN_BACK;
    bool is_out = state == SHOWN_OUT || state == SHOWN_BACK;
    if (!(was_out && is_out)) /* a node that turns round has been out since it left */
        n->since_ms = at_ms;
    n->state = state;
}

static bool is_gang(enum phase p)
{
    return p < PHASE_DRAIN || p > PHASE_ENABLE;
}

static void step_begin(struct model_node *n, int step, int64_t at_ms)
{
    if (n->step == step)
        return;
    n->step = step;
    n->step_ms = at_ms;
    n->gauge = -1;
    n->attempt = 0;
}

static size_t role_of(const struct watch_plan *plan, ptrdiff_t node)
{
    return plan->n_roles > 0 && node < (ptrdiff_t)plan->n_nodes ? plan->role_of[node] : 0;
}

static bool takes(const struct watch_plan *plan, size_t role, size_t step)
{
    return plan->steps[step].role == 0 || plan->steps[step].role == role + 1;
}

/* The steps of a node's walk follow one another without a word of the journal: reads have no intent rows. */
static void step_done(struct model *m, struct model_node *n, int step, int64_t at_ms)
{
    const struct watch_step *steps = m->plan->steps;
    if (n->step == step && n->step_ms && at_ms >= n->step_ms) {
        m->spent_ms[step] += at_ms - n->step_ms;
        m->spent_n[step]++;
    }
    int next = step + 1;
    while (next < (int)m->plan->n_steps && !takes(m->plan, role_of(m->plan, n - m->nodes), (size_t)next))
        next++; /* another role's */
    bool same =
        next < (int)m->plan->n_steps && (steps[next].phase == steps[step].phase ||
                                         (!is_gang(steps[next].phase) && !is_gang(steps[step].phase)));
    step_begin(n, same ? next : -1, at_ms);
}

static void apply_intent(struct model *m, struct model_node *n, const struct row *row)
{
    step_begin(n, row->step, row->at_ms);
    n->attempt = row->attempt;
    n->unknown = false;
    if (m->plan->steps[row->step].phase == PHASE_PREPARE && n->state == SHOWN_WAITING)
        node_state(m, n, SHOWN_PREPARING, row->at_ms);
}

static void apply_outcome(struct model *m, struct model_node *n, const struct row *row)
{
    int role = role_from_name(row->role), code = outcome_from_name(row->code);
    n->unknown = code == OUT_UNKNOWN;
    if (row->text && row->text[0])
        keep_text(n->text, sizeof n->text, watch_message(m->plan, row));
    if (role == ROLE_GUARD || role == ROLE_SOAK || role == ROLE_BEFORE)
        return;
    step_begin(n, row->step, row->at_ms);
    if (row->b > 0)
        n->gauge = row->b;
    if (code == OUT_OK && row->a)
        step_done(m, n, row->step, row->at_ms);
}

static void node_failed(struct model *m, int i, const struct row *row)
{
    if (m->failed_node >= 0)
        return;
    m->failed_node = i;
    m->failed_step = row->step;
    snprintf(m->failed_text, sizeof m->failed_text, "%s", m->nodes[i].text);
}

static void apply_node_note(struct model *m, int i, enum note note, const struct row *row)
{
    struct model_node *n = &m->nodes[i];
    switch (note) {
    case NOTE_ADMIT:
        m->back = m->back == BACK_ORDERED ? BACK_ORDERED : BACK_BY_ITSELF;
        node_state(m, n, m->life == LIFE_BACK ? SHOWN_BACK : SHOWN_OUT, row->at_ms);
        break;
    case NOTE_NODE_TURN:
        node_state(m, n, SHOWN_BACK, row->at_ms);
        step_begin(n, -1, row->at_ms);
        break;
    case NOTE_NODE_OUT: /* done, as it was told */
    case NOTE_NODE_IN:
        n->out_ms = n->since_ms ? row->at_ms - n->since_ms : 0;
        node_state(m, n, n->state == SHOWN_OUT ? SHOWN_DONE : SHOWN_UNDONE, row->at_ms);
        step_begin(n, -1, row->at_ms);
        break;
    case NOTE_NODE_LEFT:
        node_state(m, n, SHOWN_LEFT, row->at_ms);
        n->stays = row->b == WHERE_IT_WAS;
        node_failed(m, i, row);
        break;
    case NOTE_NODE_FAILED: node_failed(m, i, row); break;
    case NOTE_GANG_OK:
        if (n->state == SHOWN_WAITING || n->state == SHOWN_PREPARING)
            node_state(m, n, SHOWN_PREPARED, row->at_ms);
        step_begin(n, -1, row->at_ms);
        break;
    case NOTE_GANG_BAD:
        if (row->a == PHASE_PREPARE)
            node_state(m, n, SHOWN_FAILED, row->at_ms);
        node_failed(m, i, row);
        break;
    case NOTE_PROGRESS:
    case NOTE_ESCALATE:
    case NOTE_DEADLINE:
        keep_text(n->text, sizeof n->text, watch_message(m->plan, row));
        /* fall through */
    case NOTE_PROCEED:
        if (row->step >= 0)
            step_begin(n, row->step, row->at_ms);
        n->gauge = row->a;
        break;
    case NOTE_RETRY: n->attempt = (int)row->a + 1; break;
    case NOTE_WENT_ON:
    case NOTE_GIVEN_UP:
    case NOTE_JUDGED:
    case NOTE_LIFE:
    case NOTE_STAGE:
    case NOTE_SOAK:
    case NOTE_SOAKED:
    case NOTE_SOAK_FAILED:
    case NOTE_FLOOR_WAIT:
    case NOTE_FLOOR_STOP:
    case NOTE_LOST:
    case NOTE_STOPPING:
    case NOTE_END:
    case NOTE_COUNT: break;
    }
}

/* Nobody works on them any more, and what had not begun will not: until an order to go on. */
static void apply_end(struct model *m, const struct row *row)
{
    m->ended = true;
    m->exit_status = (int)row->a;
    for (uint32_t i = 0; i < m->plan->n_nodes; i++) {
        struct model_node *n = &m->nodes[i];
        if (n->state == SHOWN_WAITING || n->state == SHOWN_PREPARING) {
            node_state(m, n, SHOWN_UNTOUCHED, row->at_ms);
            step_begin(n, -1, row->at_ms);
        }
    }
}

static void apply_release_note(struct model *m, enum note note, const struct row *row)
{
    if (note == NOTE_LIFE) {
        m->life = row->a >= 0 && row->a < LIFE_COUNT ? (enum life)row->a : LIFE_NEW;
        m->life_ms = row->at_ms;
        m->text[0] = '\0';
        return;
    }
    if (note == NOTE_STAGE)
        m->stage = (uint32_t)row->a;
    m->soak_until_ms = note == NOTE_SOAK ? row->at_ms + row->b : 0;
    if (note == NOTE_STOPPING)
        m->stopping = true;
    if (note == NOTE_END)
        apply_end(m, row);
    if (note == NOTE_STAGE || (note == NOTE_END && !row->b)) /* the head has it */
        return;
    auto_buf struct buf text = BUF_INIT(4000);
    if (row->text && row->text[0])
        buf_puts(&text, row->text);
    else
        note_text(&text, note, "", "", row->a, row->b);
    keep_text(m->text, sizeof m->text, buf_str(&text));
}

/* An order to go on makes an ended release live again, and takes up the nodes that were given up. */
static void apply_order(struct model *m, const struct row *row)
{
    int order = order_from_name(row->code);
    if (order == ORDER_STOP || order == ORDER_ABORT) {
        m->stopping = true; /* seen at once: whoever sees nothing orders again, and that is another order */
        m->told = (enum order)order;
    }
    if (order != ORDER_RESUME && order != ORDER_ROLLBACK)
        return;
    if (order == ORDER_ROLLBACK) {
        m->life = LIFE_BACK;
        m->back = BACK_ORDERED;
    }
    bool back = m->life == LIFE_BACK || m->life == LIFE_BACK_ONCE || m->life == LIFE_BACK_VERIFY;
    for (uint32_t i = 0; i < m->plan->n_nodes; i++) {
        struct model_node *n = &m->nodes[i];
        if (n->state == SHOWN_LEFT)
            node_state(m, n, back ? SHOWN_BACK : SHOWN_OUT, row->at_ms);
        else if (n->state == SHOWN_FAILED || n->state == SHOWN_UNTOUCHED ||
                 (n->state == SHOWN_UNDONE && !back))
            node_state(m, n, SHOWN_WAITING, row->at_ms);
    }
    m->ended = m->stopping = false;
    m->told = ORDER_START;
    m->failed_node = m->failed_step = -1;
    m->text[0] = '\0';
}

void model_apply(struct model *m, const struct row *row)
{
    if (!m->started_ms)
        m->started_ms = row->at_ms;
    m->last_ms = row->at_ms;
    int i = row->node[0] ? model_find(m, row->node) : -1;
    bool in_plan = row->step >= 0 && row->step < (int)m->plan->n_steps;
    int note = row->kind == ROW_NOTE ? note_from_name(row->code) : -1;
    if (row->kind == ROW_ORDER)
        apply_order(m, row);
    else if (note >= 0 && i >= 0)
        apply_node_note(m, i, (enum note)note, row);
    else if (note >= 0)
        apply_release_note(m, (enum note)note, row);
    else if (i >= 0 && in_plan && row->kind == ROW_INTENT)
        apply_intent(m, &m->nodes[i], row);
    else if (i >= 0 && in_plan && row->kind == ROW_OUTCOME)
        apply_outcome(m, &m->nodes[i], row);
}

/* ---- how long it will take */

static int64_t step_usual(const struct model *m, size_t step)
{
    if (m->spent_n[step])
        return m->spent_ms[step] / m->spent_n[step];
    return m->plan->steps[step].usual_ms;
}

/* Of the steps in [first, last] phases: what one node of a role needs. -1 when no step of them is known. */
static int64_t walk_ms(const struct model *m, size_t role, enum phase first, enum phase last)
{
    int64_t sum = 0;
    bool known = false;
    for (size_t i = 0; i < m->plan->n_steps; i++) {
        enum phase p = m->plan->steps[i].phase;
        int64_t usual = p >= first && p <= last && takes(m->plan, role, i) ? step_usual(m, i) : -1;
        if (usual >= 0) {
            sum += usual;
            known = true;
        }
    }
    return known ? sum : -1;
}

static int64_t soak_left_ms(const struct model *m, int64_t now_ms)
{
    uint32_t done = m->counts[SHOWN_DONE];
    int64_t left = m->soak_until_ms > now_ms ? m->soak_until_ms - now_ms : 0;
    for (size_t i = 0; i + 1 < m->plan->n_stages; i++)
        if (m->plan->stage_end[i] > done)
            left += m->plan->soak_ms;
    return left;
}

/* Its nodes that have their walk before them or are on it. */
static int64_t role_left_ms(const struct model *m, size_t role)
{
    const struct watch_plan *p = m->plan;
    uint32_t window = p->n_roles > 0 ? p->windows[role] : p->window, waiting = 0, going = 0;
    int64_t walk = walk_ms(m, role, PHASE_DRAIN, PHASE_ENABLE);
    for (size_t i = 0; i < p->n_nodes; i++) {
        enum shown state = m->nodes[i].state;
        if (role_of(p, (ptrdiff_t)i) != role)
            continue;
        waiting += state == SHOWN_WAITING || state == SHOWN_PREPARING || state == SHOWN_PREPARED;
        going += state == SHOWN_OUT || state == SHOWN_BACK;
    }
    window = window ? window : 1;
    return walk < 0 ? -1 : walk * waiting / window + walk * going / window / 2;
}

int64_t model_left_ms(const struct model *m, int64_t now_ms)
{
    int64_t left = soak_left_ms(m, now_ms);
    if (m->ended || m->life >= LIFE_BACK)
        return -1;
    for (size_t r = 0; r < (m->plan->n_roles ? m->plan->n_roles : 1); r++) {
        int64_t role = role_left_ms(m, r);
        if (role < 0)
            return -1;
        left += role;
    }
    if (m->life < LIFE_ROLL) {
        int64_t prepare = walk_ms(m, 0, PHASE_HOOK_BEFORE, PHASE_BEFORE), spent = now_ms - m->started_ms;
        left += prepare > spent ? prepare - spent : 0;
    }
    int64_t after = walk_ms(m, 0, PHASE_AFTER, PHASE_HOOK_AFTER);
    return left + (after > 0 ? after : 0);
}
