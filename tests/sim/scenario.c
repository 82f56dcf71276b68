/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading */

static bool number(const char *word, uint32_t *ret)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);
    *ret = (uint32_t)n;
    return *word && !*end && n <= 1000000;
}

static bool stages(char *word, struct sim_shape *shape)
{
    char *save = NULL;
    for (char *w = strtok_r(word, ",", &save); w; w = strtok_r(NULL, ",", &save))
        if (shape->n_stages == CORE_STAGES_MAX || !number(w, &shape->stages[shape->n_stages++]))
            return false;
    return true;
}

static bool roles(char *word, struct sim_shape *shape)
{
    char *save = NULL;
    shape->n_nodes = 0;
    for (char *w = strtok_r(word, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        if (shape->n_roles == CORE_GROUPS_MAX || !number(w, &shape->roles[shape->n_roles]))
            return false;
        shape->n_nodes += shape->roles[shape->n_roles++];
    }
    return true;
}

static uint32_t *number_field(struct sim_shape *shape, const char *key)
{
    return strcmp(key, "nodes") == 0        ? &shape->n_nodes
           : strcmp(key, "window") == 0     ? &shape->window
           : strcmp(key, "min-up") == 0     ? &shape->min_up
           : strcmp(key, "max-failed") == 0 ? &shape->max_failed
           : strcmp(key, "lbs") == 0        ? &shape->n_lbs
           : strcmp(key, "maint") == 0      ? &shape->n_maint
           : strcmp(key, "new") == 0        ? &shape->n_new
           : strcmp(key, "down") == 0       ? &shape->n_down
           : strcmp(key, "bare") == 0       ? &shape->n_bare
           : strcmp(key, "once-role") == 0  ? &shape->once_role
           : strcmp(key, "instances") == 0  ? &shape->instances
                                            : NULL;
}

/* false: no such word, or not such a value. */
static bool plan_word(struct scenario *sc, const char *key, char *value)
{
    struct sim_shape *shape = &sc->shape;
    uint32_t *field = number_field(shape, key), n;
    if (field)
        return number(value, field);
    if (strcmp(key, "stages") == 0)
        return stages(value, shape);
    if (strcmp(key, "roles") == 0)
        return roles(value, shape);
    if (strcmp(key, "soak") == 0)
        return duration_parse(value, &shape->soak_ms);
    if (strcmp(key, "once") == 0)
        return (int)(shape->once = (enum once)once_from_name(value)) >= 0;
    if (strcmp(key, "on-timeout") == 0)
        return (int)(shape->on_timeout = (enum on_timeout)on_timeout_from_name(value)) >= 0;
    if (strcmp(key, "retries") == 0 && number(value, &n)) {
        shape->retries = (uint8_t)n;
        return true;
    }
    if (strcmp(key, "on-failure") == 0) {
        shape->stop_on_failure = strcmp(value, "stop") == 0;
        return shape->stop_on_failure || strcmp(value, "rollback") == 0;
    }
    if (strcmp(key, "seed") == 0) {
        char *end;
        sc->steady = false;
        sc->seed = strtoull(value, &end, 10);
        return !*end;
    }
    return false;
}

static bool plan_flag(struct sim_shape *shape, const char *word)
{
    if (strcmp(word, "hooks") == 0)
        return shape->hooks = true;
    if (strcmp(word, "blind") == 0)
        return shape->blind_check = true;
    if (strcmp(word, "unverified") == 0)
        return shape->unverified = true;
    if (strcmp(word, "undo") == 0)
        return shape->once_undo = true;
    if (strcmp(word, "judge") == 0)
        return shape->judge = true;
    if (strcmp(word, "judge-late") == 0)
        return shape->judge = shape->judge_late = true;
    if (strcmp(word, "judge-passes") == 0)
        return shape->judge = shape->judge_passes = true;
    return false;
}

static bool read_plan(struct scenario *sc, char *line, struct err *err)
{
    char *save = NULL, *name = strtok_r(line, " ", &save);
    snprintf(sc->plan_name, sizeof(sc->plan_name), "%s", name ? name : "");
    sc->shape = (struct sim_shape){.plan = sc->plan_name, .n_nodes = 3, .window = 1, .min_up = 1, .n_lbs = 1};
    sc->steady = true;
    for (char *key = strtok_r(NULL, " ", &save); key; key = strtok_r(NULL, " ", &save)) {
        if (plan_flag(&sc->shape, key))
            continue;
        char *value = strtok_r(NULL, " ", &save);
        if (!value || !plan_word(sc, key, value))
            return err_set(err, E_USAGE, "plan: '%s %s' is not understood", key, value ? value : "");
    }
    return true;
}

static const char *const move_names[] = {"fault", "run", "resume", "rollback", "heal", "exclude"};

static bool read_move(struct scenario *sc, const struct sim_plan *plan, char *line, struct err *err)
{
    char name[32];
    char *blank = strchr(line, ' ');
    size_t len = blank ? (size_t)(blank - line) : strlen(line);
    for (int k = 0; k <= MOVE_EXCLUDE; k++) {
        if (strlen(move_names[k]) != len || memcmp(line, move_names[k], len) != 0)
            continue;
        if (sc->n_moves == MOVES_MAX)
            return err_set(err, E_USAGE, "more than %d moves", MOVES_MAX);
        struct move *m = &sc->moves[sc->n_moves++];
        *m = (struct move){.kind = (enum move_kind)k, .exit = -1};
        if (k == MOVE_FAULT)
            return sim_fault_parse(plan, blank ? blank + 1 : "", &m->fault, err);
        if (k == MOVE_EXCLUDE) {
            for (m->fault.node = 0; m->fault.node < plan->core.n_nodes; m->fault.node++)
                if (blank && strcmp(blank + 1, sim_node_name(plan, m->fault.node, name)) == 0)
                    return true;
            return err_set(err, E_USAGE, "there is no node '%s'", blank ? blank + 1 : "");
        }
        if (blank && strcmp(blank + 1, "?") != 0)
            m->exit = atoi(blank + 1);
        return true;
    }
    return err_set(err, E_USAGE, "'%s' is not understood", line);
}

bool scenario_parse(const char *text, struct scenario *ret, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct sim_plan plan;
    bool has_plan = false;
    *ret = (struct scenario){.comment = BUF_INIT(65536), .story = BUF_INIT(4u << 20)};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        char *line = arena_strndup(&arena, p, n);
        p += n + (p[n] == '\n');
        if (strcmp(line, "story") == 0) {
            buf_puts(&ret->story, p);
            break;
        }
        if (*line == '#' || !*line) {
            buf_printf(&ret->comment, "%s\n", line);
        } else if (str_starts(line, "plan ")) {
            has_plan = true;
            if (!read_plan(ret, line + 5, err) || !sim_plan_stock(&ret->shape, &arena, &plan, err))
                return false;
        } else if (!has_plan) {
            return err_set(err, E_USAGE, "'%s' before the plan", line);
        } else if (!read_move(ret, &plan, line, err)) {
            return false;
        }
    }
    return has_plan || err_set(err, E_USAGE, "there is no plan");
}

void scenario_fini(struct scenario *sc)
{
    buf_fini(&sc->comment);
    buf_fini(&sc->story);
}

/* ---- writing */

static void put_plan(const struct scenario *sc, struct buf *out)
{
    const struct sim_shape *s = &sc->shape;
    char text[DURATION_TEXT_MAX];
    buf_printf(out, "plan %s ", s->plan);
    if (s->n_roles == 0)
        buf_printf(out, "nodes %u", s->n_nodes);
    for (uint32_t g = 0; g < s->n_roles; g++)
        buf_printf(out, "%s%u", g ? "," : "roles ", s->roles[g]);
    buf_printf(out, " window %u min-up %u lbs %u", s->window, s->min_up, s->n_lbs);
    if (s->n_bare)
        buf_printf(out, " bare %u", s->n_bare);
    if (s->once_role)
        buf_printf(out, " once-role %u", s->once_role);
    if (s->instances)
        buf_printf(out, " instances %u", s->instances);
    if (s->max_failed)
        buf_printf(out, " max-failed %u", s->max_failed);
    if (s->n_maint)
        buf_printf(out, " maint %u", s->n_maint);
    if (s->n_new)
        buf_printf(out, " new %u", s->n_new);
    if (s->n_down)
        buf_printf(out, " down %u", s->n_down);
    for (uint32_t i = 0; i < s->n_stages; i++)
        buf_printf(out, "%s%u", i ? "," : " stages ", s->stages[i]);
    if (s->soak_ms)
        buf_printf(out, " soak %s", duration_text(s->soak_ms, text, sizeof(text)));
    if (s->stop_on_failure)
        buf_puts(out, " on-failure stop");
    if (s->once)
        buf_printf(out, " once %s%s", once_name(s->once), s->once_undo ? " undo" : "");
    if (s->on_timeout)
        buf_printf(out, " on-timeout %s", on_timeout_name(s->on_timeout));
    if (s->retries)
        buf_printf(out, " retries %u", s->retries);
    buf_printf(out, "%s%s%s", s->hooks ? " hooks" : "", s->blind_check ? " blind" : "",
               s->judge_passes ? " judge-passes"
               : s->judge      ? " judge"
                               : "");
    if (s->judge_late)
        buf_puts(out, " judge-late");
    if (s->unverified)
        buf_puts(out, " unverified");
    if (!sc->steady)
        buf_printf(out, " seed %" PRIu64, sc->seed);
    buf_puts(out, "\n");
}

void scenario_text(const struct scenario *sc, struct buf *out)
{
    auto_arena struct arena arena = {0};
    struct sim_plan plan;
    struct err err;
    buf_puts(out, buf_str(&sc->comment));
    put_plan(sc, out);
    if (!sim_plan_stock(&sc->shape, &arena, &plan, &err))
        return;
    for (size_t i = 0; i < sc->n_moves; i++) {
        const struct move *m = &sc->moves[i];
        buf_puts(out, move_names[m->kind]);
        if (m->kind == MOVE_FAULT) {
            buf_puts(out, " ");
            sim_fault_text(&plan, &m->fault, out);
        } else if (m->kind == MOVE_EXCLUDE) {
            char name[32];
            buf_printf(out, " %s", sim_node_name(&plan, m->fault.node, name));
        } else if (m->kind != MOVE_HEAL && m->exit >= 0) {
            buf_printf(out, " %d", m->exit);
        }
        buf_puts(out, "\n");
    }
}

/* ---- running */

static void tell(void *ctx, const struct sim_line *line)
{
    buf_printf(ctx, "[%5" PRId64 ".%03d] %s\n", line->at_ms / 1000, (int)(line->at_ms % 1000), line->text);
}

static enum order order_of(enum move_kind kind)
{
    return kind == MOVE_RUN ? ORDER_START : kind == MOVE_RESUME ? ORDER_RESUME : ORDER_ROLLBACK;
}

static void bad(struct verdict *v, const char *why)
{
    if (v->good)
        snprintf(v->why, sizeof(v->why), "%.499s", why);
    v->good = false;
}

/* Is there a node more than must stay, in every role? The first n_down and the last n_maint + n_new do not count. */
static bool floor_can_hold(const struct sim_shape *s)
{
    uint32_t n = s->n_roles ? s->n_roles : 1, first = 0, last = s->n_nodes - s->n_maint - s->n_new;
    for (uint32_t g = 0; g < n; g++) {
        uint32_t all = s->n_roles ? s->roles[g] : s->n_nodes, end = first + all, up = 0;
        uint32_t min_up = n > 1 && s->min_up >= all ? all - 1 : s->min_up;
        for (uint32_t i = first; i < end; i++)
            up += i >= s->n_down && i < last;
        if (up <= min_up && (n == 1 || min_up > 0))
            return false;
        first = end;
    }
    return true;
}

/* With the faults gone, one order ends it (I11); but for what only a person can know, and for a plan that
 * cannot keep its floor. Where a failure only stops or is tolerated, what an earlier fault left may still be
 * found: then the order after that one. */
static bool must_end(const struct scenario *sc, struct sim *sim, const struct move *m)
{
    const struct sim_shape *s = &sc->shape;
    bool floor = floor_can_hold(s);
    for (size_t i = 0; i < sc->n_moves; i++)
        if (sc->moves[i].kind == MOVE_EXCLUDE)
            return false; /* who is given up may be just who the floor waits for */
    bool can_start = s->n_new == 0 || strcmp(s->plan, "restart") != 0; /* nothing is there to be started */
    return floor && can_start && !(m->kind == MOVE_RESUME && sim_figures(sim).lost_once);
}

static void order_run(const struct scenario *sc, struct sim *sim, const struct move *m, bool healed,
                      struct verdict *v)
{
    char text[200];
    enum sim_end end = sim_session(sim, order_of(m->kind), &v->last_exit);
    v->n_sessions++;
    if (sim_broken(sim))
        bad(v, sim_broken(sim));
    if (m->exit >= 0 && m->exit != v->last_exit) {
        snprintf(text, sizeof(text), "%s ended with %d, wanted %d", move_names[m->kind], v->last_exit,
                 m->exit);
        bad(v, text);
    }
    bool over = v->last_exit == 0 || v->last_exit == 1;
    if (healed && v->last_exit == 4 && (sc->shape.stop_on_failure || sc->shape.max_failed > 0) &&
        m->exit < 0) {
        end = sim_session(sim, order_of(m->kind), &v->last_exit);
        over = v->last_exit == 0 || v->last_exit == 1;
    }
    if (healed && end == SIM_ENDED && !over && must_end(sc, sim, m)) {
        snprintf(text, sizeof(text), "%s ended with %d though all faults are gone", move_names[m->kind],
                 v->last_exit);
        bad(v, text);
    }
}

void scenario_run(const struct scenario *sc, struct buf *story, struct verdict *ret)
{
    auto_arena struct arena arena = {0};
    struct sim_plan plan;
    struct err err;
    bool healed = false;
    *ret = (struct verdict){.good = true};
    if (!sim_plan_stock(&sc->shape, &arena, &plan, &err)) {
        bad(ret, err.text);
        return;
    }
    struct sim *sim = sim_new(&plan, &(struct sim_options){.seed = sc->seed,
                                                           .steady = sc->steady,
                                                           .fast = plan.core.n_nodes > 200,
                                                           .story = story ? tell : NULL,
                                                           .ctx = story});
    for (size_t i = 0; i < sc->n_moves && ret->good; i++) {
        const struct move *m = &sc->moves[i];
        bool over = m->kind != MOVE_RUN && !sim_resumable(sim);
        if (m->kind == MOVE_FAULT) {
            sim_fault(sim, &m->fault);
            healed = false;
        } else if (m->kind == MOVE_EXCLUDE) {
            sim_give_up(sim, m->fault.node, true);
        } else if (m->kind == MOVE_HEAL) {
            sim_heal(sim);
            healed = true;
        } else if (!over || m->exit >= 0) {
            order_run(sc, sim, m, healed, ret);
        }
    }
    for (uint32_t i = 0; i < plan.core.n_nodes; i++)
        ret->world = ret->world * 31 + (uint64_t)(sim_running(sim, i) + 1) * 2 + sim_in_rotation(sim, i);
    ret->fig = sim_figures(sim);
    ret->n_releases = 1;
    sim_free(sim);
}

/* ---- shrinking */

static bool still_wrong(const struct scenario *sc)
{
    struct verdict v;
    scenario_run(sc, NULL, &v);
    return !v.good;
}

static bool try_instead(struct scenario *sc, const struct scenario *other)
{
    if (!still_wrong(other))
        return false;
    *sc = *other;
    sc->shape.plan = sc->plan_name;
    return true;
}

static bool drop_moves(struct scenario *sc)
{
    bool any = false;
    for (size_t i = sc->n_moves; i-- > 0;) {
        struct scenario less = *sc;
        less.shape.plan = less.plan_name;
        memmove(&less.moves[i], &less.moves[i + 1], (less.n_moves - i - 1) * sizeof(less.moves[0]));
        less.n_moves--;
        any |= sc->moves[i].kind != MOVE_RUN && try_instead(sc, &less);
    }
    return any;
}

static bool simpler_shape(struct scenario *sc)
{
    bool any = false;
    for (int k = 0; k < 18; k++) {
        struct scenario less = *sc;
        struct sim_shape *s = &less.shape;
        s->plan = less.plan_name;
        switch (k) {
        case 0: less.steady = true; break;
        case 1: s->soak_ms = 0; break;
        case 2: s->n_stages = 0; break;
        case 3: s->once = ONCE_NO; break;
        case 4: s->hooks = false; break;
        case 5: s->n_lbs = s->n_lbs > 1 ? s->n_lbs - 1 : s->n_lbs; break;
        case 6: s->n_maint = 0; break;
        case 7: s->n_new = 0; break;
        case 8: s->retries = 0; break;
        case 9: s->max_failed = 0; break;
        case 10: s->window = 1; break;
        case 11: s->on_timeout = ON_TIMEOUT_RESTORE; break;
        case 12: s->n_down = 0; break;
        case 13: s->n_roles = s->n_bare = s->once_role = 0; break;
        case 14: s->n_bare = 0; break;
        case 15: s->once_role = 0; break;
        case 16: s->judge = s->judge_passes = s->judge_late = false; break;
        case 17: s->unverified = false; break;
        }
        s->plan = sc->shape.plan;
        bool same = memcmp(&less.shape, &sc->shape, sizeof(less.shape)) == 0 && less.steady == sc->steady;
        s->plan = less.plan_name;
        any |= !same && try_instead(sc, &less);
    }
    return any;
}

static bool fewer_nodes(struct scenario *sc)
{
    struct scenario less = *sc;
    less.shape.plan = less.plan_name;
    if (less.shape.n_nodes < 2 || (less.shape.n_roles > 0 && less.shape.roles[less.shape.n_roles - 1] < 2))
        return false;
    less.shape.n_nodes--;
    if (less.shape.n_roles > 0)
        less.shape.roles[less.shape.n_roles - 1]--;
    less.shape.n_stages = 0;
    if (less.shape.min_up >= less.shape.n_nodes)
        less.shape.min_up = less.shape.n_nodes - 1;
    for (size_t i = 0; i < less.n_moves; i++)
        if ((less.moves[i].kind == MOVE_FAULT || less.moves[i].kind == MOVE_EXCLUDE) &&
            less.moves[i].fault.node != SIM_ANY && less.moves[i].fault.node >= less.shape.n_nodes)
            return false;
    return try_instead(sc, &less);
}

void scenario_shrink(struct scenario *sc)
{
    while (drop_moves(sc) || simpler_shape(sc) || fewer_nodes(sc))
        ;
}
