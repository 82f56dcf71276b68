/* SPDX-License-Identifier: MIT */
/* What runs the application on a node is a contract: a kind fills one `struct app` (its parameters, what it can, its
 * script), and the verbs are written once, in app.c. They hold for every kind:
 *
 *   stop      until the processes of before are gone and nothing listens on the port; which they were is recorded first
 *   start     until it is up by its keeper's word, under other processes than before
 *   restart   both, with the checks of both
 *   reload    it takes its configuration in without going down: who does not run is not reloaded. With `workers: new` it
 *             brings a revision: its new processes are seen to come from there, and the old ones gone (workers.sh)
 *   reread    its keeper takes in the configuration that the revision brings
 *   probe     for preflight: is it known, what does it do now, who has its port?
 *
 * Each change has its look: stopped, running, restarted, reloaded, reread_done. Exit statuses of tools are not believed.
 *
 * A new kind is a file here with one `const struct app`, a table of rows (APP_STOP_ROW ...), a script in sh/ that
 * answers each act (the words that it gets are below), its line in scripts.h and in drivers/table.c. */
#ifndef RELEASE_DRIVERS_APP_H
#define RELEASE_DRIVERS_APP_H

#include "drivers/op/driver.h"

#define APP_WORDS_MAX 256
#define APP_ENV_MAX   4

/* What a kind adds to the words that all scripts get. */
struct app_call {
    const char *words[APP_WORDS_MAX];
    size_t n_words;
    struct op_pair env[APP_ENV_MAX]; /* what no command line may show */
    size_t n_env;
};

/* What it can is what its table has rows for. */
struct app {
    /* A script on the node that sources lib and proc. It gets
     *   ACT PIDS_FACT BEFORE GRACE KILL PORT ADDR DIR REREAD LAYOUT TARGET BACK UNSEEN
     * and then the kind's own words. PIDS_FACT is the fact to report the processes under ("pid:start ..."), BEFORE
     * what an earlier act reported there; GRACE in seconds; KILL, REREAD as in the pillar; TARGET the directory that a
     * reload brings, or nothing; BACK yes on the way back; UNSEEN the names in one word. */
    const char *script;
    /* From the arguments: the kind's own words. false: op_refused was called. */
    bool (*call)(struct op *op, struct app_call *ret);
};

/* At the end of `words`. */
void app_word(struct app_call *c, const char *word);

enum outcome app_run_stop(struct op *op);
enum outcome app_run_stopped(struct op *op);
enum outcome app_run_start(struct op *op);
enum outcome app_run_running(struct op *op);
enum outcome app_run_restart(struct op *op);
enum outcome app_run_restarted(struct op *op);
enum outcome app_run_reload(struct op *op);
enum outcome app_run_reloaded(struct op *op);
enum outcome app_run_reread(struct op *op);
enum outcome app_run_reread_done(struct op *op);
enum outcome app_run_probe(struct op *op);

/* Parameters that every kind has; the words say what they mean with it. */
/* clang-format off */
#define APP_PARAMS(port_help, kill_help, reread_help, unseen_help) \
    {.name = "port", .type = PARAM_INT, .help = port_help}, \
    {.name = "listen", .type = PARAM_STR, .help = "address of that port; default: the node's host"}, \
    {.name = "grace", \
     .type = PARAM_DURATION, \
     .deflt = "5s", \
     .help = "how long after the stop processes may take to go before they are killed"}, \
    {.name = "kill", .type = PARAM_BOOL, .deflt = "yes", .help = kill_help}, \
    {.name = "reread", .type = PARAM_CHOICE, .choices = "auto|yes|no", .deflt = "auto", .help = reread_help}, \
    {.name = "unseen", .type = PARAM_LIST, .help = unseen_help}
/* clang-format on */

/* clang-format off */
#define APP_RELOAD_PARAMS \
    {.name = "workers", \
     .type = PARAM_CHOICE, \
     .choices = "any|new", \
     .deflt = "any", \
     .help = "new: done when new processes are seen to run the revision and the old ones have gone, and what is " \
             "down is started; in a plan with a revision that is the default"}
/* clang-format on */

/* Rows of a kind's table: `{APP_STOP_ROW("service"), APP_OF(service_app, params), .help = "..."}`. */
#define APP_OF(kind, parameters) .app = &(kind), .params = (parameters)
#define APP_READ_ROW(k, verb)                                                                                \
    .name = k "." #verb, .effect = EFFECT_READ, .scope = SCOPE_NODE, .default_timeout_ms = 15000,            \
    .run = app_run_##verb
#define APP_CHANGE_ROW(k, verb, seen_by, ms)                                                                 \
    .name = k "." #verb, .effect = EFFECT_CHANGE, .scope = SCOPE_NODE, .observe = k "." seen_by,             \
    .default_timeout_ms = (ms), .run = app_run_##verb
#define APP_STOP_ROW(k)    APP_CHANGE_ROW(k, stop, "stopped", 60000), .does = DOES_STOP, .interval_ms = 300
#define APP_STOPPED_ROW(k) APP_READ_ROW(k, stopped)
#define APP_START_ROW(k, ms)                                                                                 \
    APP_CHANGE_ROW(k, start, "running", 120000), .does = DOES_START, .interval_ms = (ms)
#define APP_RUNNING_ROW(k, ms)                                                                               \
    .name = k ".running", .effect = EFFECT_READ, .scope = SCOPE_NODE, .default_timeout_ms = 60000,           \
    .run = app_run_running, .does = DOES_RUNNING, .waits = true, .interval_ms = (ms)
#define APP_RESTART_ROW(k, ms)                                                                               \
    APP_CHANGE_ROW(k, restart, "restarted", 180000), .does = DOES_RESTART, .record_before = true,            \
                                                     .interval_ms = (ms)
#define APP_RESTARTED_ROW(k) APP_READ_ROW(k, restarted)
#define APP_RELOAD_ROW(k)                                                                                    \
    APP_CHANGE_ROW(k, reload, "reloaded", 60000), .does = DOES_RELOAD, .interval_ms = 300
#define APP_RELOADED_ROW(k) APP_READ_ROW(k, reloaded)
#define APP_REREAD_ROW(k)                                                                                    \
    APP_CHANGE_ROW(k, reread, "reread_done", 120000), .does = DOES_REREAD, .interval_ms = 500
#define APP_REREAD_DONE_ROW(k) APP_READ_ROW(k, reread_done)
#define APP_PROBE_ROW(k)       APP_READ_ROW(k, probe), .does = DOES_APP_PROBE

#endif
