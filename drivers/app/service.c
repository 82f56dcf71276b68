/* A service of systemd, or one that is stopped and started by commands of the pillar.
 *
 * As with supervisord, exit statuses are not believed: stopped means inactive, the processes of before gone
 * and the port closed; started means active (or the status command says so) and listening. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/app/scripts.h"

static const struct param params[] = {
    {.name = "name", .type = PARAM_STR, .help = "systemd's name of the service; or give stop and start"},
    {.name = "stop", .type = PARAM_STR, .help = "command that stops it, when systemd does not run it"},
    {.name = "start", .type = PARAM_STR, .help = "command that starts it and returns"},
    {.name = "status",
     .type = PARAM_STR,
     .help = "command that ends with 0 while it runs; default: does the port listen?"},
    {.name = "runas",
     .type = PARAM_STR,
     .help = "user that may do this (root for most units); default: the login user"},
    {.name = "port",
     .type = PARAM_INT,
     .help = "port that it listens on; stopped means that nothing listens there"},
    {.name = "listen", .type = PARAM_STR, .help = "address of that port; default: the node's host"},
    {.name = "grace",
     .type = PARAM_DURATION,
     .deflt = "5s",
     .help = "how long after the stop processes may take to go before they are killed"},
    {.name = "kill",
     .type = PARAM_BOOL,
     .deflt = "yes",
     .help = "KILL its processes that did not end; no: only name them"},
    {.name = "reread",
     .type = PARAM_CHOICE,
     .choices = "auto|yes|no",
     .deflt = "auto",
     .help = "systemctl daemon-reload where its files changed; auto: where they are inside {dir}"},
    {.name = "unseen",
     .type = PARAM_LIST,
     .help = "[all] when it cannot be seen to come from a release (php-fpm): judged by its age"},
    PARAM_END,
};

static const char *given(const struct op *op, const char *name)
{
    const char *v = op_arg(op, name);
    return v != NULL ? v : "";
}

/* "app.service", "app@8080": a word of systemctl's command line. */
static bool unit_valid(const char *s)
{
    return *s != '-' && strlen(s) <= 200 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@:._-") == strlen(s);
}

static bool params_ok(struct op *op)
{
    const char *name = given(op, "name");
    if (*name != '\0' && !unit_valid(name))
        op_refused(op, E_CONFIG, "'%.100s' is not the name of a systemd service", name);
    else if (*name == '\0' && (*given(op, "stop") == '\0' || *given(op, "start") == '\0'))
        op_refused(op, E_CONFIG, "give the `name` of a systemd service, or the commands `stop` and `start`");
    else if (*name == '\0' && *given(op, "status") == '\0' && op_arg_int(op, "port") == 0)
        op_refused(op, E_CONFIG,
                   "give a `status` command or a `port`: without them nobody can tell whether it runs");
    return !op_failed(op);
}

static enum outcome call(struct op *op, const char *act,
                         enum outcome (*run)(struct op *, const struct node_cmd *))
{
    if (!params_ok(op))
        return op_end(op);
    const char *pids_fact = op_going_back(op) ? "app.pids.back" : "app.pids";
    const char *args[] = {
        act,
        pids_fact,
        recall_or_empty(op, pids_fact),
        given(op, "name"),
        arena_printf(op_arena(op), "%" PRId64, op_arg_ms(op, "grace") / 1000),
        op_arg_bool(op, "kill") ? "yes" : "no",
        given(op, "port"),
        *given(op, "listen") ? given(op, "listen") : arg_or_var(op, "host"),
        given(op, "stop"),
        given(op, "start"),
        given(op, "status"),
        arg_or_var(op, "dir"),
        *given(op, "reread") ? given(op, "reread") : "auto",
        NULL,
    };
    return run(op, &(struct node_cmd){.script = script_service, .args = args, .runas = op_arg(op, "runas")});
}

static enum outcome service_stop(struct op *op)
{
    return call(op, "stop", report_change);
}

static enum outcome service_stopped(struct op *op)
{
    return call(op, "stopped", report_read);
}

static enum outcome service_start(struct op *op)
{
    return call(op, "start", report_change);
}

static enum outcome service_running(struct op *op)
{
    return call(op, "running", report_read);
}

static enum outcome service_restart(struct op *op)
{
    return call(op, "restart", report_change);
}

static enum outcome service_restarted(struct op *op)
{
    return call(op, "restarted", report_read);
}

static enum outcome service_reread(struct op *op)
{
    return call(op, "reread", report_change);
}

static enum outcome service_reread_done(struct op *op)
{
    return call(op, "reread_done", report_read);
}

static enum outcome service_probe(struct op *op)
{
    return call(op, "probe", report_read);
}

static const struct verb verbs[] = {
    {.name = "service.stop",
     .help = "stop the service until its processes are gone and the port is closed",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_STOP,
     .observe = "service.stopped",
     .default_timeout_ms = 60000,
     .interval_ms = 300,
     .params = params,
     .run = service_stop},
    {.name = "service.stopped",
     .help = "is it stopped, its processes gone, the port closed?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = service_stopped},
    {.name = "service.start",
     .help = "start the service until it is active and listens",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_START,
     .observe = "service.running",
     .default_timeout_ms = 120000,
     .interval_ms = 300,
     .params = params,
     .run = service_start},
    {.name = "service.running",
     .help = "is it active, listening, and made of other processes than before the stop?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_RUNNING,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 300,
     .params = params,
     .run = service_running},
    {.name = "service.restart",
     .help = "stop and start the service, with the checks of both",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_RESTART,
     .observe = "service.restarted",
     .record_before = true,
     .default_timeout_ms = 180000,
     .interval_ms = 300,
     .params = params,
     .run = service_restart},
    {.name = "service.restarted",
     .help = "is it active and made of other processes than before?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = service_restarted},
    {.name = "service.reread",
     .help = "take in the unit that the revision brings: systemctl daemon-reload",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_REREAD,
     .observe = "service.reread_done",
     .default_timeout_ms = 120000,
     .interval_ms = 500,
     .params = params,
     .run = service_reread},
    {.name = "service.reread_done",
     .help = "has systemd taken in the service's files?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = service_reread_done},
    {.name = "service.probe",
     .help = "is the service known, and is it up?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_APP_PROBE,
     .default_timeout_ms = 15000,
     .params = params,
     .run = service_probe},
    {0},
};

const struct driver service_driver = {
    .name = "service",
    .help = "A service of systemd by name, or by the commands stop, start and status.",
    .verbs = verbs,
};
