/* supervisord 3.x and 4.x on a node, through its own supervisorctl.
 *
 * supervisorctl answers status 0 for "not running", for "already started" and when it had to kill
 * (docs/protocols.md#supervisord), so only states, processes and the port count: stopped means that the
 * processes of before are gone and nothing listens on the port; started means RUNNING, which supervisord says
 * after startsecs, under a new pid. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/app/scripts.h"

static const struct param params[] = {
    {.name = "programs",
     .type = PARAM_LIST,
     .required = true,
     .help = "programs, as supervisorctl shows them; group:* for a group"},
    {.name = "conf",
     .type = PARAM_STR,
     .help = "supervisord's configuration file on the node (supervisorctl -c)"},
    {.name = "ctl", .type = PARAM_STR, .deflt = "supervisorctl", .help = "path of supervisorctl on the node"},
    {.name = "url",
     .type = PARAM_STR,
     .help = "supervisord's address instead of conf: unix:///path or http://127.0.0.1:9001"},
    {.name = "username", .type = PARAM_STR, .help = "user for url"},
    {.name = "password", .type = PARAM_SECRET, .help = "password for url: file:PATH or env:NAME"},
    {.name = "runas",
     .type = PARAM_STR,
     .help = "user that may talk to supervisord; default: the login user"},
    {.name = "port",
     .type = PARAM_INT,
     .help = "port that the programs listen on; stopped means that nothing listens there"},
    {.name = "listen", .type = PARAM_STR, .help = "address of that port; default: the node's host"},
    {.name = "grace",
     .type = PARAM_DURATION,
     .deflt = "5s",
     .help = "how long after the stop processes may take to go before they are killed"},
    {.name = "kill",
     .type = PARAM_BOOL,
     .deflt = "yes",
     .help = "KILL what supervisord started and did not end; no: only name it"},
    {.name = "reread",
     .type = PARAM_CHOICE,
     .choices = "auto|yes|no",
     .deflt = "auto",
     .help = "take a changed configuration in; auto: where the file or one that it includes is inside {dir}"},
    {.name = "unseen",
     .type = PARAM_LIST,
     .help = "programs that cannot be seen to come from a release (php-fpm), judged by their age; all"},
    PARAM_END,
};

#define FIXED_ARGS 15

/* "app", "web:app_00", "web:*": it becomes a word of supervisorctl's own command line. */
static bool program_valid(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 200 && *s != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._:*-") == n;
}

static const char *const *script_args(struct op *op, const char *act)
{
    struct arena *a = op_arena(op);
    size_t n;
    const char *const *programs = op_arg_list(op, "programs", &n);
    const char **args = arena_array(a, n + FIXED_ARGS, sizeof *args);
    const char *pids_fact = op_going_back(op) ? "app.pids.back" : "app.pids";
    const char *reread = op_arg(op, "reread");
    size_t i = 0;
    args[i++] = act;
    args[i++] = pids_fact;
    args[i++] = recall_or_empty(op, pids_fact);
    args[i++] = op_arg(op, "ctl");
    args[i++] = op_arg(op, "conf") ? op_arg(op, "conf") : "";
    args[i++] = op_arg(op, "url") ? op_arg(op, "url") : "";
    args[i++] = arena_printf(a, "%" PRId64, op_arg_ms(op, "grace") / 1000);
    args[i++] = op_arg_bool(op, "kill") ? "yes" : "no";
    args[i++] = op_arg(op, "port") ? op_arg(op, "port") : "";
    args[i++] = op_arg(op, "listen") ? op_arg(op, "listen") : arg_or_var(op, "host");
    args[i++] = recall_or_empty(op, "app.were");
    args[i++] = arg_or_var(op, "dir");
    args[i++] = reread ? reread : "auto";
    args[i++] = op_going_back(op) ? "yes" : "no";
    for (size_t p = 0; p < n; p++)
        args[i++] = programs[p];
    return args;
}

static bool programs_ok(struct op *op)
{
    size_t n;
    const char *const *programs = op_arg_list(op, "programs", &n);
    if (n == 0)
        op_refused(op, E_CONFIG, "no programs are named: give `programs: [name, ...]`");
    for (size_t i = 0; i < n; i++)
        if (!program_valid(programs[i]))
            op_refused(op, E_CONFIG, "'%.100s' is not the name of a supervisord program", programs[i]);
    return !op_failed(op);
}

static enum outcome call(struct op *op, const char *act,
                         enum outcome (*run)(struct op *, const struct node_cmd *))
{
    if (!programs_ok(op))
        return op_end(op);
    const struct op_pair env[] = {
        {.name = "RELEASE_SV_USER", .value = op_arg(op, "username") ? op_arg(op, "username") : ""},
        {.name = "RELEASE_SV_PASSWORD", .value = op_arg(op, "password") ? op_arg(op, "password") : ""},
    };
    return run(op, &(struct node_cmd){
                       .script = script_supervisord,
                       .args = script_args(op, act),
                       .env = op_arg(op, "url") ? env : NULL,
                       .n_env = op_arg(op, "url") ? 2 : 0,
                       .runas = op_arg(op, "runas"),
                   });
}

static enum outcome supervisord_stop(struct op *op)
{
    return call(op, "stop", report_change);
}

static enum outcome supervisord_stopped(struct op *op)
{
    return call(op, "stopped", report_read);
}

static enum outcome supervisord_start(struct op *op)
{
    return call(op, "start", report_change);
}

static enum outcome supervisord_running(struct op *op)
{
    return call(op, "running", report_read);
}

static enum outcome supervisord_restart(struct op *op)
{
    return call(op, "restart", report_change);
}

static enum outcome supervisord_restarted(struct op *op)
{
    return call(op, "restarted", report_read);
}

static enum outcome supervisord_reread(struct op *op)
{
    return call(op, "reread", report_change);
}

static enum outcome supervisord_reread_done(struct op *op)
{
    return call(op, "reread_done", report_read);
}

static enum outcome supervisord_probe(struct op *op)
{
    return call(op, "probe", report_read);
}

static const struct verb verbs[] = {
    {.name = "supervisord.stop",
     .help = "stop programs until their processes are gone and the port is closed",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_STOP,
     .observe = "supervisord.stopped",
     .default_timeout_ms = 60000,
     .interval_ms = 300,
     .params = params,
     .run = supervisord_stop},
    {.name = "supervisord.stopped",
     .help = "are the programs stopped, their processes gone, the port closed?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = supervisord_stopped},
    {.name = "supervisord.start",
     .help = "start programs until supervisord says RUNNING, past startsecs",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_START,
     .observe = "supervisord.running",
     .default_timeout_ms = 120000,
     .interval_ms = 500,
     .params = params,
     .run = supervisord_start},
    {.name = "supervisord.running",
     .help = "are the programs RUNNING, under other pids than before the stop?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_RUNNING,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 500,
     .params = params,
     .run = supervisord_running},
    {.name = "supervisord.restart",
     .help = "stop and start programs, with the checks of both",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_RESTART,
     .observe = "supervisord.restarted",
     .record_before = true,
     .default_timeout_ms = 180000,
     .interval_ms = 500,
     .params = params,
     .run = supervisord_restart},
    {.name = "supervisord.restarted",
     .help = "are the programs RUNNING, under other pids than before?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = supervisord_restarted},
    {.name = "supervisord.reread",
     .help = "take in the configuration that the revision brings: reread, then update of what changed",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_REREAD,
     .observe = "supervisord.reread_done",
     .default_timeout_ms = 120000,
     .interval_ms = 500,
     .params = params,
     .run = supervisord_reread},
    {.name = "supervisord.reread_done",
     .help = "does supervisord run with the configuration that the revision brings?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = supervisord_reread_done},
    {.name = "supervisord.probe",
     .help = "does supervisord answer, and what do the programs do now?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_APP_PROBE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = supervisord_probe},
    {0},
};

const struct driver supervisord_driver = {
    .name = "supervisord",
    .help = "supervisord 3.x and 4.x on the node, through supervisorctl, judged by states, processes and the "
            "port.",
    .verbs = verbs,
};
