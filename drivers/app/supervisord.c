/* SPDX-License-Identifier: MIT */
/* supervisord 3.x and 4.x on a node, through its own supervisorctl.
 *
 * supervisorctl answers status 0 for "not running", for "already started" and when it had to kill
 * (docs/protocols.md#supervisord), so only states, processes and the port count: stopped means that the
 * processes of before are gone and nothing listens on the port; started means RUNNING, which supervisord says
 * after startsecs, under a new pid. */
#include "drivers/app/app.h"

#include <string.h>

#include "drivers/node/report.h"
#include "drivers/app/scripts.h"

/* clang-format off */
#define SUPERVISORD_PARAMS \
    {.name = "programs", \
     .type = PARAM_LIST, \
     .required = true, \
     .help = "programs, as supervisorctl shows them; group:* for a group"}, \
    {.name = "conf", \
     .type = PARAM_STR, \
     .help = "supervisord's configuration file on the node (supervisorctl -c)"}, \
    {.name = "ctl", .type = PARAM_STR, .deflt = "supervisorctl", .help = "path of supervisorctl on the node"}, \
    {.name = "url", \
     .type = PARAM_STR, \
     .help = "supervisord's address instead of conf: unix:///path or http://127.0.0.1:9001"}, \
    {.name = "username", .type = PARAM_STR, .help = "user for url"}, \
    {.name = "password", .type = PARAM_SECRET, .help = "password for url: file:PATH or env:NAME"}, \
    {.name = "runas", \
     .type = PARAM_STR, \
     .help = "user that may talk to supervisord; default: the login user"}, \
    APP_PARAMS("port that the programs listen on; stopped means that nothing listens there", \
               "KILL what supervisord started and did not end; no: only name it", \
               "take a changed configuration in; auto: where the file or one that it includes is inside {dir}", \
               "programs that cannot be seen to come from a release (php-fpm), judged by their age; all")
/* clang-format on */

static const struct param params[] = {SUPERVISORD_PARAMS, PARAM_END};
static const struct param reload_params[] = {
    SUPERVISORD_PARAMS,
    {.name = "signal",
     .type = PARAM_CHOICE,
     .choices = "HUP|USR1|USR2|WINCH",
     .deflt = "HUP",
     .help = "what tells the programs to take their configuration in, or the revision"},
    APP_RELOAD_PARAMS,
    PARAM_END,
};

#define OWN_WORDS 5

/* "app", "web:app_00", "web:*": it becomes a word of supervisorctl's own command line. */
static bool program_valid(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 200 && *s != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._:*-") == n;
}

static bool programs_ok(struct op *op)
{
    size_t n;
    const char *const *programs = op_arg_list(op, "programs", &n);
    if (n == 0)
        op_refused(op, E_CONFIG, "no programs are named: give `programs: [name, ...]`");
    if (n > APP_WORDS_MAX - OWN_WORDS)
        op_refused(op, E_CONFIG, "%zu programs are named, and %d are the most: name groups (group:*)", n,
                   APP_WORDS_MAX - OWN_WORDS);
    for (size_t i = 0; i < n; i++)
        if (!program_valid(programs[i]))
            op_refused(op, E_CONFIG, "'%.100s' is not the name of a supervisord program", programs[i]);
    return !op_failed(op);
}

/* CTL CONF URL WERE SIGNAL PROGRAM... */
static bool supervisord_call(struct op *op, struct app_call *ret)
{
    size_t n;
    const char *const *programs = op_arg_list(op, "programs", &n), *signal = op_arg(op, "signal");
    if (!programs_ok(op))
        return false;
    app_word(ret, op_arg(op, "ctl"));
    app_word(ret, op_arg(op, "conf"));
    app_word(ret, op_arg(op, "url"));
    app_word(ret, recall_or_empty(op, "app.were"));
    app_word(ret, signal ? signal : "HUP");
    for (size_t p = 0; p < n; p++)
        app_word(ret, programs[p]);
    if (op_arg(op, "url")) {
        const char *user = op_arg(op, "username"), *password = op_arg(op, "password");
        ret->env[0] = (struct op_pair){.name = "RELEASE_SV_USER", .value = user ? user : ""};
        ret->env[1] = (struct op_pair){.name = "RELEASE_SV_PASSWORD", .value = password ? password : ""};
        ret->n_env = 2;
    }
    return true;
}

static const struct app supervisord_app = {
    .script = script_supervisord,
    .call = supervisord_call,
};

static const struct verb verbs[] = {
    {APP_STOP_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "stop programs until their processes are gone and the port is closed"},
    {APP_STOPPED_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "are the programs stopped, their processes gone, the port closed?"},
    {APP_START_ROW("supervisord", 500), APP_OF(supervisord_app, params),
     .help = "start programs until supervisord says RUNNING, past startsecs"},
    {APP_RUNNING_ROW("supervisord", 500), APP_OF(supervisord_app, params),
     .help = "are the programs RUNNING, under other pids than before the stop?"},
    {APP_RESTART_ROW("supervisord", 500), APP_OF(supervisord_app, params),
     .help = "stop and start programs, with the checks of both"},
    {APP_RESTARTED_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "are the programs RUNNING, under other pids than before?"},
    {APP_RELOAD_ROW("supervisord"), APP_OF(supervisord_app, reload_params),
     .help =
         "send the programs a signal (HUP) by which they take their configuration in, or the revision, and stay up"},
    {APP_RELOADED_ROW("supervisord"), APP_OF(supervisord_app, reload_params),
     .help =
         "are the processes that were told still up, and the wanted new ones there? else: how did that step end?"},
    {APP_REREAD_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "take in the configuration that the revision brings: reread, then update of what changed"},
    {APP_REREAD_DONE_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "does supervisord run with the configuration that the revision brings?"},
    {APP_PROBE_ROW("supervisord"), APP_OF(supervisord_app, params),
     .help = "does supervisord answer, and what do the programs do now?"},
    {0},
};

static const char proposal[] = "; /etc/supervisor/conf.d/{of}.conf, then: supervisorctl update\n"
                               "[program:{of}]\n"
                               "command=FILL IN: what starts {of} in the foreground{port}\n"
                               "directory={dir}\n"
                               "user={user}\n"
                               "autorestart=true\n"
                               "stopasgroup=true\n"
                               "killasgroup=true\n"
                               "stopwaitsecs=30\n"
                               "redirect_stderr=true\n";

const struct driver supervisord_driver = {
    .name = "supervisord",
    .help = "supervisord 3.x and 4.x on the node, through supervisorctl, judged by states, processes and the "
            "port.",
    .proposal = proposal,
    .proposal_of = "programs",
    .verbs = verbs,
};
