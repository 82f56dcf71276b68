/* SPDX-License-Identifier: MIT */
/* The judge of stages: looks at what the balancers have counted, one after the other, become sums since the soak began.
 *
 * Balancers count from their own start. So what happened is the difference between two looks, and where any number of a
 * balancer fell between them it has begun to count anew (a reload): what it counted meanwhile is known of nobody, and is left
 * out for all its servers alike. Sums are of this controller: one that takes over begins the soak anew, and this with it. */
#include "run/judge.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "plans/judge.h"
#include "run/run_priv.h"
#include "run/verdict.h"

struct server_of {
    const char *server;
    uint32_t node; /* n_nodes: of the environment, and not in this plan */
};

struct judge {
    const struct plan *plan;
    uint32_t role;
    struct arena arena;
    struct server_of *servers; /* by name */
    size_t n_servers;
    json_t *last; /* rows of the last look by key_of */
    struct soak_counts tally;
};

struct judge *judge_new(const struct plan *plan)
{
    struct judge *j = xcalloc(1, sizeof(*j));
    j->plan = plan;
    j->role = UINT32_MAX;
    return j;
}

void judge_free(struct judge *j)
{
    if (!j)
        return;
    json_decref(j->last);
    arena_fini(&j->arena);
    free(j);
}

/* ---- which server is whose */

static int by_server(const void *a, const void *b)
{
    return strcmp(((const struct server_of *)a)->server, ((const struct server_of *)b)->server);
}

/* All servers of the environment that a block names; those of nodes that are in the plan come to be theirs below. */
static void servers_of_block(struct judge *j, const struct plan_step *step, const struct plan_step *guard)
{
    const char *text = op_pair_value(step->args, step->n_args, "servers");
    json_t *list = text ? json_loads(text, 0, NULL) : NULL, *name;
    size_t cap = j->n_servers + json_array_size(list) + j->plan->n_nodes, i;
    struct server_of *all = arena_array(&j->arena, cap + 1, sizeof(*all));
    if (j->n_servers > 0)
        memcpy(all, j->servers, j->n_servers * sizeof(*all));
    for (i = 0; i < j->plan->n_nodes && guard && guard->verb; i++) {
        const struct plan_node *node = &j->plan->nodes[i];
        const char *server = node->role != j->role
                                 ? NULL
                                 : plan_server(j->plan, guard, verb_find(guard->verb, NULL), node, &j->arena);
        if (server)
            all[j->n_servers++] = (struct server_of){server, (uint32_t)i};
    }
    json_array_foreach(list, i, name) all[j->n_servers++] =
        (struct server_of){arena_strdup(&j->arena, json_string_value(name)), (uint32_t)j->plan->n_nodes};
    json_decref(list);
    j->servers = all;
}

/* Of two of one name the one that is in the plan comes first. */
static int by_server_and_node(const void *a, const void *b)
{
    const struct server_of *x = a, *y = b;
    int order = by_server(a, b);
    return order ? order : (x->node > y->node) - (x->node < y->node);
}

static void learn_servers(struct judge *j, const struct plan_judge *judge)
{
    const struct plan_role role = plan_role_of(j->plan, j->role);
    const struct plan_step *guard = &role.guard_step;
    arena_reset(&j->arena);
    j->n_servers = 0;
    j->servers = NULL;
    for (const struct plan_step *step = &judge->step; step; step = step->also) {
        servers_of_block(j, step, guard);
        guard = guard ? guard->also : NULL;
    }
    qsort(j->servers, j->n_servers, sizeof(*j->servers), by_server_and_node);
    size_t n = 0;
    for (size_t i = 0; i < j->n_servers; i++)
        if (n == 0 || by_server(&j->servers[n - 1], &j->servers[i]) != 0)
            j->servers[n++] = j->servers[i];
    j->n_servers = n;
}

/* ---- one look */

enum side { SIDE_NONE, SIDE_RELEASED, SIDE_OTHERS };

/* On the new revision, or what it is held against: on what was before, and in rotation. */
static enum side side_of_node(const struct judge *j, const struct core *core, uint32_t node)
{
    struct core_view view;
    if (node == j->plan->n_nodes)
        return SIDE_OTHERS; /* this release leaves it alone */
    core_view(core, node, &view);
    switch (view.state) {
    case NODE_DONE: return SIDE_RELEASED;
    case NODE_PENDING:
    case NODE_FAILED:
    case NODE_UNDONE: return SIDE_OTHERS;
    case NODE_OUT:
    case NODE_BACK:
    case NODE_LEFT:
    case NODE_GONE:
    case NODE_STATE_COUNT: break;
    }
    return SIDE_NONE;
}

static const struct server_of *server_of(const struct judge *j, const char *server)
{
    const struct server_of key = {.server = server};
    return j->n_servers ? bsearch(&key, j->servers, j->n_servers, sizeof(key), by_server) : NULL;
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static int64_t number_of(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* Facts are named BALANCER.SERVER, and two blocks may ask one balancer for different backends. */
static const char *key_of(const json_t *row, struct arena *a)
{
    return arena_printf(a, "%s\n%s\n%s", text_of(row, "balancer"), text_of(row, "backend"),
                        text_of(row, "server"));
}

static void add_rows(json_t *rows, const struct op_result *r)
{
    auto_arena struct arena scratch = {0};
    for (size_t i = 0; i < r->n_facts; i++) {
        json_t *row =
            str_starts(r->facts[i].name, LB_FACT_SHOW) ? json_loads(r->facts[i].value, 0, NULL) : NULL;
        bool server = *text_of(row, "server") && *text_of(row, "balancer");
        if (server)
            json_object_set(rows, key_of(row, &scratch), row);
        json_decref(row);
    }
}

static bool fell(const json_t *row, const json_t *before, const char *key)
{
    return number_of(row, key) < number_of(before, key);
}

/* Balancers of which a number fell since the last look. */
static json_t *counting_anew(struct judge *j, json_t *rows)
{
    json_t *anew = json_object(), *row;
    const char *name;
    json_object_foreach(rows, name, row)
    {
        const json_t *before = json_object_get(j->last, name);
        if (before && (fell(row, before, "requests") || fell(row, before, "errors")))
            json_object_set_new(anew, text_of(row, "balancer"), json_true());
    }
    json_object_foreach(anew, name, row)
    {
        j->tally.n_anew++;
        j->tally.anew = arena_strdup(&j->arena, name);
    }
    return anew;
}

/* Sums of one look: answers are weighed by how many there were. */
struct look_sum {
    struct rate rate;
    double ms;
    int64_t timed;
};

static void add_row(struct look_sum *sum, const json_t *row, const json_t *before)
{
    int64_t requests = number_of(row, "requests") - number_of(before, "requests");
    int64_t errors = number_of(row, "errors") - number_of(before, "errors"), ms = number_of(row, "answer_ms");
    if (number_of(row, "requests") < 0 || number_of(row, "errors") < 0 || requests < 0 || errors < 0)
        return;
    sum->rate.of += requests;
    sum->rate.hits += errors < requests ? errors : requests;
    if (ms < 0 || requests == 0)
        return;
    sum->ms += (double)ms * (double)requests;
    sum->timed += requests;
}

static void add_rate(struct rate *io, struct rate more)
{
    io->of += more.of;
    io->hits += more.hits;
}

static double mean_ms(const struct look_sum *sum)
{
    return sum->timed > 0 ? sum->ms / (double)sum->timed : -1;
}

/* A look that tells no time of either side ends what was slow in a row. */
static void take_times(struct judge *j, const struct plan_judge *judge, const struct look_sum *released,
                       const struct look_sum *others)
{
    struct soak_counts *t = &j->tally;
    t->ms = mean_ms(released);
    t->others_ms = mean_ms(others);
    double most = t->others_ms * (double)judge->slower_percent / 100;
    bool slow = t->ms >= 0 && t->others_ms >= 0 && t->ms > most && t->ms - t->others_ms >= VERDICT_SLOW_MS;
    t->slow_looks = slow ? t->slow_looks + 1 : 0;
}

/* Its balancer would send it requests, and does not, because its own checks of it fail. One that stands by while others serve is
 * well. */
static bool is_down(const json_t *row)
{
    const char *admin = text_of(row, "admin");
    return json_is_false(json_object_get(row, "serving")) && json_is_false(json_object_get(row, "up")) &&
           lb_state_is_in(lb_state_of_word(admin, strlen(admin)));
}

static void take_rows(struct judge *j, const struct core *core, const struct plan_judge *judge, json_t *rows)
{
    json_t *anew = counting_anew(j, rows), *row;
    struct look_sum sums[3] = {{.timed = 0}};
    const char *name, *down = NULL;
    json_object_foreach(rows, name, row)
    {
        const struct server_of *server = server_of(j, text_of(row, "server"));
        const json_t *before = json_object_get(j->last, name);
        enum side side = server ? side_of_node(j, core, server->node) : SIDE_NONE;
        if (side == SIDE_RELEASED && j->plan->nodes[server->node].was_up && is_down(row))
            down = arena_printf(&j->arena, "%s gets no requests from %s: %s", j->plan->nodes[server->node].id,
                                text_of(row, "balancer"), text_of(row, "state"));
        if (before && !json_object_get(anew, text_of(row, "balancer")))
            add_row(&sums[side], row, before);
    }
    json_decref(anew);
    add_rate(&j->tally.released, sums[SIDE_RELEASED].rate);
    add_rate(&j->tally.others, sums[SIDE_OTHERS].rate);
    take_times(j, judge, &sums[SIDE_RELEASED], &sums[SIDE_OTHERS]);
    j->tally.down_looks = down ? j->tally.down_looks + 1 : 0;
    j->tally.down = down;
}

static size_t count_others(const struct judge *j, const struct core *core)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_servers; i++)
        n += side_of_node(j, core, j->servers[i].node) == SIDE_OTHERS;
    return n;
}

static void say_numbers(const struct judge *j, struct facts *facts, struct arena *arena)
{
    const struct soak_counts *t = &j->tally;
    uint32_t none = (uint32_t)j->plan->n_nodes;
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {
        {JUDGE_FACT "requests", t->released.of},      {JUDGE_FACT "errors", t->released.hits},
        {JUDGE_FACT "others_requests", t->others.of}, {JUDGE_FACT "others_errors", t->others.hits},
        {JUDGE_FACT "answer_ms", (int64_t)t->ms},     {JUDGE_FACT "others_answer_ms", (int64_t)t->others_ms},
        {JUDGE_FACT "counted_anew", t->n_anew}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        facts_set(facts, none, numbers[i].name,
                  numbers[i].n < 0 ? "" : arena_printf(arena, "%lld", (long long)numbers[i].n));
}

static bool is_job_of(const struct job *job, const struct plan_step *step)
{
    return step->verb && strcmp(job->spec.verb->name, step->verb) == 0;
}

/* What all balancers told; *ret_lack: why one could not be asked. */
static json_t *rows_told(const struct plan_judge *judge, const struct job *job, const char **ret_lack)
{
    json_t *rows = json_object();
    *ret_lack = NULL;
    for (; job; job = job->also) {
        if (is_job_of(job, &judge->cmd) || is_job_of(job, &judge->prometheus))
            continue;
        add_rows(rows, job->own);
        if (job->own->outcome != OUT_OK && !*ret_lack)
            *ret_lack = job->own->err.text;
    }
    return rows;
}

/* The balancers' part. Those that could not be asked have counted on: what that comes to is seen in a later look. */
static enum judged counts_say(struct judge *j, const struct core *core, const struct job *job,
                              struct buf *why)
{
    const struct op_req *req = &job->req;
    const struct plan_judge *judge = plan_role_of(j->plan, req->group).judge;
    const char *lack;
    json_t *rows = rows_told(judge, job, &lack);
    if (req->look == JUDGE_FIRST || !j->last) {
        j->role = req->group;
        learn_servers(j, judge);
        j->tally = (struct soak_counts){.ms = -1, .others_ms = -1, .n_others = count_others(j, core)};
    } else {
        take_rows(j, core, judge, rows);
        if (lack)
            json_object_update_missing(rows, j->last);
    }
    json_decref(j->last);
    j->last = rows;
    struct soak_counts t = j->tally;
    t.decided |= lack != NULL;
    enum judged said = verdict_of(judge, &t, (enum judge_look)req->look, why);
    j->tally.decided |= req->look == JUDGE_LAST && !lack && t.released.of >= judge->min_requests;
    if (lack)
        buf_printf(why, "%snot all balancers could be asked: %s", why->len > 0 ? "; " : "", lack);
    return lack && said == JUDGED_WELL ? JUDGED_NOT : said;
}

/* Bad is what one judge calls bad, and well what all do. */
static enum judged both(enum judged a, enum judged b)
{
    return a == JUDGED_BADLY || b == JUDGED_BADLY ? JUDGED_BADLY
           : a == JUDGED_NOT || b == JUDGED_NOT   ? JUDGED_NOT
                                                  : JUDGED_WELL;
}

/* What a program or a query said, when the soak is over. */
static enum judged ask_says(const struct plan_step *step, const struct job *job, const char *name,
                            struct buf *why)
{
    auto_buf struct buf words = BUF_INIT(100);
    if (!step->verb)
        return JUDGED_WELL;
    while (job && !is_job_of(job, step))
        job = job->also;
    if (!job)
        return JUDGED_NOT;
    const struct op_result *r = job->own;
    const char *said = r->outcome == OUT_OK ? op_pair_value(r->facts, r->n_facts, name) : NULL;
    buf_printf(&words, "%s" JUDGE_WORDS, name);
    const char *text = op_pair_value(r->facts, r->n_facts, buf_str(&words));
    buf_puts(why, why->len > 0 ? "; " : "");
    if (said)
        buf_puts(why, text ? text : "");
    else
        buf_printf(why, "%s: no verdict (%s)", name + strlen(JUDGE_FACT), r->err.text);
    return !said                            ? JUDGED_NOT
           : strcmp(said, JUDGE_WELL) == 0  ? JUDGED_WELL
           : strcmp(said, JUDGE_BADLY) == 0 ? JUDGED_BADLY
                                            : JUDGED_NOT;
}

enum judged judge_take(struct judge *j, const struct core *core, const struct job *job, struct facts *facts)
{
    auto_arena struct arena scratch = {0};
    const struct op_req *req = &job->req;
    const struct plan_judge *judge = plan_role_of(j->plan, req->group).judge;
    auto_buf struct buf why = BUF_INIT(4000);
    enum judged said = JUDGED_WELL;
    if (judge->step.verb) {
        said = counts_say(j, core, job, &why);
        say_numbers(j, facts, &scratch);
    }
    if (req->look == JUDGE_LAST) {
        said = both(said, ask_says(&judge->cmd, job, JUDGE_FACT "cmd", &why));
        said = both(said, ask_says(&judge->prometheus, job, JUDGE_FACT "prometheus", &why));
    }
    facts_set(facts, (uint32_t)j->plan->n_nodes, JUDGE_FACT_WHY, buf_str(&why));
    return said;
}

/* ---- before a release: would it know enough? */

static const char *uncounted(const struct plan_judge *judge, const json_t *row)
{
    bool asked = number_of(row, "requests") > 0; /* without a request some tell no time yet */
    if (number_of(row, "requests") < 0)
        return "requests";
    if (number_of(row, "errors") < 0 && judge->errors_ppm + judge->worse_percent > 0)
        return "errors";
    return judge->slower_percent > 0 && asked && number_of(row, "answer_ms") < 0 ? "how long answers take"
                                                                                 : NULL;
}

void judge_fits(const struct plan *plan, uint32_t role, const struct op_result *r, struct problems *problems)
{
    const struct plan_judge *judge = plan_role_of(plan, role).judge;
    struct judge *j = judge_new(plan);
    json_t *rows = json_object(), *told = json_object(), *row;
    const char *name;
    size_t known = 0;
    j->role = role;
    add_rows(rows, r);
    learn_servers(j, judge);
    json_object_foreach(rows, name, row)
    {
        const char *lb = text_of(row, "balancer"), *what = uncounted(judge, row);
        if (!server_of(j, text_of(row, "server")))
            continue;
        known++;
        if (!what || json_object_get(told, lb))
            continue;
        problems_add(
            problems,
            "%s: release: judge: balancer %s does not tell %s of each server (of %s, for one), so no stage "
            "could be judged by it; leave that limit out, or judge: as a whole",
            judge->where, lb, what, text_of(row, "server"));
        json_object_set_new(told, lb, json_true());
    }
    if (known == 0)
        problems_add(
            problems,
            "%s: release: judge: what the balancers count is of no server of this environment, so no stage "
            "could be judged; 'release lb' shows what they tell",
            judge->where);
    json_decref(rows);
    json_decref(told);
    judge_free(j);
}

void judge_program_fits(const struct plan_judge *judge, struct problems *problems)
{
    const char *text = op_pair_value(judge->cmd.args, judge->cmd.n_args, "cmd");
    json_t *argv = text ? json_loads(text, 0, NULL) : NULL;
    const char *program = json_string_value(json_array_get(argv, 0));
    if (program && access(program, X_OK) != 0)
        problems_add(problems, "%s: release: judge: cmd: %s cannot be run here: %s", judge->where, program,
                     strerror(errno));
    json_decref(argv);
}
