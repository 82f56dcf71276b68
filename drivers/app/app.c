/* SPDX-License-Identifier: MIT */
/* The verbs of what runs the application, once for every kind (app.h). What may be believed is for the kind's script to
 * say; here is which act is a look and which a change, and what every act gets to know. */
#include "drivers/app/app.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "drivers/node/jobrun.h"
#include "drivers/node/report.h"

#define COMMON_WORDS 13

typedef enum outcome (*report_fn)(struct op *, const struct node_cmd *);

void app_word(struct app_call *c, const char *word)
{
    must(c->n_words < APP_WORDS_MAX);
    c->words[c->n_words++] = word ? word : "";
}

static const char *or_else(const char *given, const char *deflt)
{
    return given && *given ? given : deflt;
}

/* Processes of the way forward and of the way back are two things. Those that a reload told are to stay, and they say only
 * of that very step that it was done. */
static const char *pids_fact_of(struct op *op, const char *act)
{
    if (str_starts(act, "reload"))
        return arena_printf(op_arena(op), "app.told.%s", op_job_key(op, NULL));
    return op_going_back(op) ? "app.pids.back" : "app.pids";
}

/* The directory that a reload is to bring; "" = it brings no revision. */
static const char *target_of(struct op *op)
{
    const char *layout = op_var(op, "layout");
    if (strcmp(op_arg_text(op, "workers"), "new") != 0)
        return "";
    if (layout != NULL && strcmp(layout, LAYOUT_IN_PLACE) == 0)
        return arg_or_var(op, "dir");
    return op_going_back(op) ? recall_or_empty(op, "release.before") : arg_or_var(op, "release_dir");
}

/* Programs' names have no blanks. */
static const char *unseen_of(struct op *op)
{
    size_t n;
    const char *const *unseen = op_arg_list(op, "unseen", &n), *ret = "";
    for (size_t i = 0; i < n; i++)
        ret = arena_printf(op_arena(op), "%s%s%s", ret, i == 0 ? "" : " ", unseen[i]);
    return ret;
}

static void common_words(struct op *op, const char *act, const char **ret)
{
    const char *pids_fact = pids_fact_of(op, act);
    const char *words[COMMON_WORDS] = {
        act,
        pids_fact,
        recall_or_empty(op, pids_fact),
        arena_printf(op_arena(op), "%" PRId64, op_arg_ms(op, "grace") / 1000),
        op_arg_bool(op, "kill") ? "yes" : "no",
        or_else(op_arg(op, "port"), ""),
        or_else(op_arg(op, "listen"), arg_or_var(op, "host")),
        arg_or_var(op, "dir"),
        or_else(op_arg(op, "reread"), "auto"),
        or_else(op_var(op, "layout"), LAYOUT_RELEASES),
        target_of(op),
        op_going_back(op) ? "yes" : "no",
        unseen_of(op),
    };
    for (size_t i = 0; i < COMMON_WORDS; i++)
        ret[i] = words[i];
}

static enum outcome act_run(struct op *op, const char *act, report_fn report)
{
    const struct app *app = op_verb(op)->app;
    struct app_call c = {.n_words = 0};
    if (!app->call(op, &c))
        return op_end(op);
    const char *args[COMMON_WORDS + APP_WORDS_MAX + 1] = {NULL};
    common_words(op, act, args);
    for (size_t i = 0; i < c.n_words; i++)
        args[COMMON_WORDS + i] = c.words[i];
    const struct node_cmd cmd = {
        .script = app->script, .args = args, .env = c.env, .n_env = c.n_env, .runas = op_arg(op, "runas")};
    return report(op, &cmd);
}

enum outcome app_run_stop(struct op *op)
{
    return act_run(op, "stop", report_change);
}

enum outcome app_run_stopped(struct op *op)
{
    return act_run(op, "stopped", report_read);
}

enum outcome app_run_start(struct op *op)
{
    return act_run(op, "start", report_change);
}

enum outcome app_run_running(struct op *op)
{
    return act_run(op, "running", report_read);
}

enum outcome app_run_restart(struct op *op)
{
    return act_run(op, "restart", report_change);
}

enum outcome app_run_restarted(struct op *op)
{
    return act_run(op, "restarted", report_read);
}

enum outcome app_run_reload(struct op *op)
{
    return act_run(op, "reload", report_change);
}

/* Who was told is in the journal when the reload had an answer, and is to be up still. Without it all that is known is how
 * the step ended on the node: where it told somebody, nobody knows whom, and being told twice does no harm. */
enum outcome app_run_reloaded(struct op *op)
{
    enum node_job job = JOB_NEVER;
    int status = -1;
    if (*recall_or_empty(op, pids_fact_of(op, "reloaded")))
        return act_run(op, "reloaded", report_read);
    if (!node_job(op, &job, &status))
        return op_end(op);
    if (job != JOB_ENDED || status != STATUS_NOT_READY)
        return jobrun_seen(op, job, status);
    op_ready(op, false);
    return op_end(op);
}

enum outcome app_run_reread(struct op *op)
{
    return act_run(op, "reread", report_change);
}

enum outcome app_run_reread_done(struct op *op)
{
    return act_run(op, "reread_done", report_read);
}

enum outcome app_run_probe(struct op *op)
{
    return act_run(op, "probe", report_read);
}
