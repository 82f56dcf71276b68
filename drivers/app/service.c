/* SPDX-License-Identifier: MIT */
/* A service of systemd, or one that is stopped and started by commands of the pillar.
 *
 * As with supervisord, exit statuses are not believed: stopped means inactive, the processes of before gone
 * and the port closed; started means active (or the status command says so) and listening. */
#include "drivers/app/app.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/app/scripts.h"

/* clang-format off */
#define SERVICE_PARAMS \
    {.name = "name", .type = PARAM_STR, .help = "systemd's name of the service; or give stop and start"}, \
    {.name = "stop", .type = PARAM_STR, .help = "command that stops it, when systemd does not run it"}, \
    {.name = "start", .type = PARAM_STR, .help = "command that starts it and returns"}, \
    {.name = "status", \
     .type = PARAM_STR, \
     .help = "command that ends with 0 while it runs; default: does the port listen?"}, \
    {.name = "runas", \
     .type = PARAM_STR, \
     .help = "user that may do this (root for most units); default: the login user"}, \
    APP_PARAMS("port that it listens on; stopped means that nothing listens there", \
               "KILL its processes that did not end; no: only name them", \
               "systemctl daemon-reload where its files changed; auto: where they are inside {dir}", \
               "[all] when it cannot be seen to come from a release (php-fpm): judged by its age")
/* clang-format on */

static const struct param params[] = {SERVICE_PARAMS, PARAM_END};
static const struct param reload_params[] = {
    SERVICE_PARAMS,
    {.name = "reload", .type = PARAM_STR, .help = "command that reloads it, when systemd does not run it"},
    APP_RELOAD_PARAMS,
    PARAM_END,
};

/* "app.service", "app@8080": a word of systemctl's command line. */
static bool unit_valid(const char *s)
{
    return *s != '-' && strlen(s) <= 200 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@:._-") == strlen(s);
}

static bool params_ok(struct op *op)
{
    const char *name = op_arg_text(op, "name");
    if (*name != '\0' && !unit_valid(name))
        op_refused(op, E_CONFIG, "'%.100s' is not the name of a systemd service", name);
    else if (*name == '\0' && (*op_arg_text(op, "stop") == '\0' || *op_arg_text(op, "start") == '\0'))
        op_refused(op, E_CONFIG, "give the `name` of a systemd service, or the commands `stop` and `start`");
    else if (*name == '\0' && *op_arg_text(op, "status") == '\0' && op_arg_int(op, "port") == 0)
        op_refused(op, E_CONFIG,
                   "give a `status` command or a `port`: without them nobody can tell whether it runs");
    return !op_failed(op);
}

/* NAME STOP START STATUS RELOAD */
static bool service_call(struct op *op, struct app_call *ret)
{
    if (!params_ok(op))
        return false;
    app_word(ret, op_arg(op, "name"));
    app_word(ret, op_arg(op, "stop"));
    app_word(ret, op_arg(op, "start"));
    app_word(ret, op_arg(op, "status"));
    app_word(ret, op_arg(op, "reload"));
    return true;
}

static const struct app service_app = {
    .script = script_service,
    .call = service_call,
};

/* Before anything is touched: how is it reloaded? */
static bool reload_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    const char *name = op_pair_value(args, n, "name"), *reload = op_pair_value(args, n, "reload");
    const char *port = op_pair_value(args, n, "port"), *workers = op_pair_value(args, n, "workers");
    if (name && *name)
        return true;
    if (!reload || !*reload)
        return err_set(
            err, E_CONFIG,
            "how is the service reloaded? give the command `reload`, or the `name` of a systemd service");
    if (workers && strcmp(workers, "new") == 0 && (!port || strtol(port, NULL, 10) == 0))
        return err_set(err, E_CONFIG,
                       "give the `port` that it listens on: whether a reload brought the revision is seen by "
                       "the processes that have it");
    return true;
}

static const struct verb verbs[] = {
    {APP_STOP_ROW("service"), APP_OF(service_app, params),
     .help = "stop the service until its processes are gone and the port is closed"},
    {APP_STOPPED_ROW("service"), APP_OF(service_app, params),
     .help = "is it stopped, its processes gone, the port closed?"},
    {APP_START_ROW("service", 300), APP_OF(service_app, params),
     .help = "start the service until it is active and listens"},
    {APP_RUNNING_ROW("service", 300), APP_OF(service_app, params),
     .help = "is it active, listening, and made of other processes than before the stop?"},
    {APP_RESTART_ROW("service", 300), APP_OF(service_app, params),
     .help = "stop and start the service, with the checks of both"},
    {APP_RESTARTED_ROW("service"), APP_OF(service_app, params),
     .help = "is it active and made of other processes than before?"},
    {APP_RELOAD_ROW("service"), APP_OF(service_app, reload_params), .check = reload_check,
     .help =
         "systemctl reload, or the command: it takes its configuration in, or the revision, and stays up"},
    {APP_RELOADED_ROW("service"), APP_OF(service_app, reload_params),
     .help =
         "are the processes that were told still up, and the wanted new ones there? else: how did that step end?"},
    {APP_REREAD_ROW("service"), APP_OF(service_app, params), .only_with = "name", /* not one by commands */
     .help = "take in the unit that the revision brings: systemctl daemon-reload"},
    {APP_REREAD_DONE_ROW("service"), APP_OF(service_app, params),
     .help = "has systemd taken in the service's files?"},
    {APP_PROBE_ROW("service"), APP_OF(service_app, params), .help = "is the service known, and is it up?"},
    {0},
};

static const char proposal[] =
    "# /etc/systemd/system/{of}.service, then: systemctl daemon-reload; systemctl enable {of}\n"
    "[Unit]\n"
    "Description={of}\n"
    "After=network.target\n"
    "[Service]\n"
    "ExecStart=FILL IN: what starts {of} in the foreground{port}\n"
    "WorkingDirectory={dir}\n"
    "User={user}\n"
    "Restart=on-failure\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

const struct driver service_driver = {
    .name = "service",
    .help = "A service of systemd by name, or by the commands stop, start and status.",
    .proposal = proposal,
    .proposal_of = "name",
    .verbs = verbs,
};
