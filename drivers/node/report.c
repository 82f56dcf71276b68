/* SPDX-License-Identifier: MIT */
/* Reads the reports of node scripts. What a node says is data: it sets facts of its own op and nothing else.
 */
#include "drivers/node/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define TAIL_BYTES 600

static enum err_code code_from_name(const char *name)
{
    for (int c = 1; c < E_COUNT; c++)
        if (strcmp(err_code_name((enum err_code)c), name) == 0)
            return (enum err_code)c;
    return E_STATE;
}

/* Cuts the first word off; *rest is what follows its blank. */
static char *word(char *text, char **rest)
{
    char *end = strchr(text, ' ');
    if (end == NULL) {
        *rest = text + strlen(text);
        return text;
    }
    *end = '\0';
    *rest = end + 1;
    return text;
}

static void apply_line(struct op *op, char *line)
{
    char *rest, *verb = word(line, &rest);
    if (strcmp(verb, "say") == 0) {
        op_say(op, "%s", rest);
    } else if (strcmp(verb, "changed") == 0) {
        op_changed(op, strcmp(rest, "no") != 0);
    } else if (strcmp(verb, "ready") == 0) {
        op_ready(op, strcmp(rest, "no") != 0);
    } else if (strcmp(verb, "gauge") == 0) {
        op_gauge(op, strtoll(rest, NULL, 10));
    } else if (strcmp(verb, "fact") == 0) {
        char *value, *name = word(rest, &value);
        /* What key another host shows is seen by whoever connects to it, and told by no node. */
        if (!str_starts(name, HOST_KEY_FACT))
            op_fact(op, name, "%s", value);
    } else if (strcmp(verb, "refuse") == 0) {
        char *text, *code = word(rest, &text);
        op_refused(op, code_from_name(code), "%s", *text ? text : "the node refused and did not say why");
    } else if (strcmp(verb, "unknown") == 0) {
        char *text, *code = word(rest, &text);
        op_unknown(op, code_from_name(code), "%s",
                   *text ? text : "the node does not know and did not say why");
    }
}

const char *report_tail(struct op *op, const char *text)
{
    size_t len = strlen(text), start = len > TAIL_BYTES ? len - TAIL_BYTES : 0;
    char *copy = arena_strdup(op_arena(op), text + start);
    char *out = copy;
    bool blank = true;
    for (const char *p = copy; *p != '\0'; p++) {
        if (*p != '\n' && *p != '\r') {
            *out++ = *p;
            blank = false;
        } else if (!blank) {
            *out++ = '|';
            blank = true;
        }
    }
    *out = '\0';
    if (out > copy && out[-1] == '|')
        out[-1] = '\0';
    return copy;
}

enum outcome report_apply(struct op *op, const struct node_result *res)
{
    char *text = arena_strdup(op_arena(op), res->out), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        apply_line(op, line);
    if (res->err_len > 0)
        op_output(op, 2, res->err, res->err_len);
    if (op_failed(op) || res->status == 0 || res->status == STATUS_NOT_READY)
        return op_end(op);
    if (res->status < 0)
        return op_fail(op, E_STATUS, "the command on the node was killed by signal %d", res->signal);
    const char *tail = report_tail(op, res->err);
    return op_fail(op, E_STATUS, "the command on the node ended with status %d%s%s", res->status,
                   *tail ? ": " : "", tail);
}

enum outcome report_read(struct op *op, const struct node_cmd *cmd)
{
    struct node_cmd quiet = *cmd;
    struct node_result res = {0};
    quiet.quiet = true;
    return node_read(op, &quiet, &res) ? report_apply(op, &res) : op_end(op);
}

enum outcome report_change(struct op *op, const struct node_cmd *cmd)
{
    struct node_cmd quiet = *cmd;
    struct node_result res = {0};
    quiet.quiet = true;
    return node_change(op, &quiet, &res) ? report_apply(op, &res) : op_end(op);
}

enum outcome report_local(struct op *op, const struct node_cmd *cmd)
{
    struct node_cmd quiet = *cmd;
    struct node_result res = {0};
    quiet.quiet = true;
    return target_read(op, &target_controller, &quiet, &res) ? report_apply(op, &res) : op_end(op);
}

const char *report_runas(const struct op *op, const char *param)
{
    const char *user = op_arg(op, param);
    if (user == NULL || *user == '\0')
        user = op_var(op, "user");
    if (user == NULL || *user == '\0')
        return NULL;
    const struct target *t = op_target(op);
    return t != NULL && t->ssh.user != NULL && strcmp(t->ssh.user, user) == 0 ? NULL : user;
}

const char *arg_or_var(const struct op *op, const char *name)
{
    const char *v = op_arg(op, name);
    if (v == NULL || *v == '\0')
        v = op_var(op, name);
    return v != NULL ? v : "";
}

const char *recall_or_empty(const struct op *op, const char *fact)
{
    const char *v = op_recall(op, fact);
    return v != NULL ? v : "";
}

bool want_rev(struct op *op, const char *rev)
{
    if (strlen(rev) == 40 && is_hex(rev, 40))
        return true;
    op_refused(op, E_CONFIG,
               "revision '%.60s' is not 40 hex digits; the plan resolves it first (git.resolve)", rev);
    return false;
}

static bool path_clean(const char *p)
{
    if (*p != '/' || p[1] == '\0' || p[strlen(p) - 1] == '/')
        return false;
    for (const char *c = p; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || (c[0] == '/' && c[1] == '/'))
            return false;
    size_t n = strlen(p);
    return strstr(p, "/../") == NULL && strstr(p, "/./") == NULL && strcmp(p + n - 2, "/.") != 0 &&
           (n < 3 || strcmp(p + n - 3, "/..") != 0);
}

bool want_subdir(struct op *op, const char *path)
{
    const char *wrong = *path == '\0' ? NULL : subdir_trouble(path);
    if (wrong != NULL)
        op_refused(op, E_CONFIG,
                   "git: path: '%.200s' %s; wanted a directory of the repository, as in apps/site", path,
                   wrong);
    return wrong == NULL;
}

bool want_path(struct op *op, const char *what, const char *path)
{
    if (path_clean(path))
        return true;
    op_refused(op, E_CONFIG,
               "%s '%.200s' must be an absolute path without '..' and without a slash at its end", what,
               path);
    return false;
}
