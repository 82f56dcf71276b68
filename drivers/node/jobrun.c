/* SPDX-License-Identifier: MIT */
/* Shared by cmd.c and npm.c. */
#include "drivers/node/jobrun.h"

#include <string.h>

#include "base/str.h"
#include "drivers/node/report.h"

#define SKIPPED "release: skipped: "

const char *jobrun_base(struct op *op)
{
    const char *rev = op_var(op, "rev");
    if (rev == NULL || *rev == '\0')
        return "";
    const char *dir = op_var(op, "release_dir"), *before = op_recall(op, "release.before");
    if (op_going_back(op) && before != NULL && *before != '\0')
        return before;
    if (dir == NULL || *dir == '\0')
        dir = op_var(op, "dir");
    return dir != NULL ? dir : "";
}

const char *jobrun_cwd(struct op *op, const char *name)
{
    const char *cwd = op_arg(op, name), *base = jobrun_base(op);
    if (cwd == NULL || *cwd == '\0')
        return *base != '\0' ? base : NULL;
    if (*cwd == '/' || *base == '\0')
        return cwd;
    return arena_printf(op_arena(op), "%s/%s", base, cwd);
}

const char *jobrun_built_dir(struct op *op)
{
    const char *phase = op_var(op, "phase"), *place = op_var(op, "release_dir"), *dir = op_var(op, "dir");
    if (phase == NULL || strcmp(phase, "prepare") != 0 || place == NULL || dir == NULL ||
        strcmp(place, dir) == 0)
        return "";
    const char *rev = op_var(op, "rev");
    return rev != NULL && *rev != '\0' ? place : "";
}

const char *jobrun_checkout(struct op *op)
{
    const char *place = op_var(op, "release_dir"), *dir = op_var(op, "dir");
    return dir != NULL && place != NULL && strcmp(place, dir) == 0 ? dir : "";
}

const struct op_pair *jobrun_env(struct op *op, size_t *ret_n)
{
    static const struct op_pair names[] = {
        {"RELEASE_REV", "rev"},        {"RELEASE_REV_BEFORE", "rev_before"},
        {"RELEASE_NODE", "node"},      {"RELEASE_HOST", "host"},
        {"RELEASE_PORT", "port"},      {"RELEASE_DIR", "dir"},
        {"RELEASE_ENV", "env"},        {"RELEASE_APP", "app"},
        {"RELEASE_NUMBER", "release"}, {"RELEASE_RELEASE_DIR", "release_dir"},
    };
    size_t n_names = sizeof names / sizeof names[0], n_own = 0, n = 0;
    const struct op_pair *own = op_arg_map(op, "env", &n_own);
    struct op_pair *env = arena_array(op_arena(op), n_names + n_own + 1, sizeof *env);
    for (size_t i = 0; i < n_names; i++) {
        const char *v = op_var(op, names[i].value);
        if (strcmp(names[i].value, "release_dir") == 0)
            v = jobrun_base(op);
        if (v != NULL && *v != '\0')
            env[n++] = (struct op_pair){.name = names[i].name, .value = v};
    }
    for (size_t i = 0; i < n_own; i++)
        env[n++] = own[i];
    *ret_n = n;
    return env;
}

enum outcome jobrun_judge(struct op *op, const struct node_result *res)
{
    if (res->status == 0) {
        if (str_starts(res->out, SKIPPED)) {
            const char *why = res->out + strlen(SKIPPED);
            op_fact(op, "skipped", "%.*s", (int)strcspn(why, "\n"), why);
            op_changed(op, false);
        }
        return op_end(op);
    }
    const char *text = report_tail(op, res->err_len > 0 ? res->err : res->out);
    const char *sep = *text != '\0' ? "; it wrote last: " : ", and wrote nothing";
    if (res->status < 0)
        return op_refused(op, E_STATUS, "the command was killed by signal %d%s%s", res->signal, sep, text);
    op_fact(op, "status", "%d", res->status);
    return op_refused(op, E_STATUS, "the command ended with status %d%s%s", res->status, sep, text);
}

enum outcome jobrun_observe(struct op *op)
{
    enum node_job job = JOB_NEVER;
    int status = -1;
    return node_job(op, &job, &status) ? jobrun_seen(op, job, status) : op_end(op);
}

enum outcome jobrun_seen(struct op *op, enum node_job job, int status)
{
    const char *once = op_var(op, "once");
    switch (job) {
    case JOB_NEVER: op_ready(op, false); return op_end(op);
    case JOB_RUNNING:
        op_say(op, "still running");
        op_ready(op, false);
        return op_end(op);
    case JOB_ENDED:
        if (status == 0)
            return op_end(op);
        op_fact(op, "status", "%d", status);
        return op_refused(op, E_STATUS, "the command ended with status %d", status);
    case JOB_LOST:
        /* Nobody saw its end. What may run twice is run again; what may not needs a person. */
        if (once != NULL && *once != '\0' && strcmp(once, "no") != 0)
            return op_unknown(
                op, E_STATE,
                "the command was started and nobody saw how it ended (power cut or kill); it may run "
                "only once, so look what it did before going on");
        op_say(op, "was started and cut short");
        op_ready(op, false);
        return op_end(op);
    }
    return op_end(op);
}
