/* SPDX-License-Identifier: MIT */
/* A change on a host that is no node of the plan, as a balancer's: the same runner over the same transports.
 *
 * Its place there is the journal's own, one for each node and file, so that grants are compared with grants of the
 * same count. Nobody claims such a host: who may release the nodes was settled on them. What may happen beside it, other
 * nodes' and other applications' changes of the same file, waits for a lock on that file's directory. */
#include "drivers/node/node_priv.h"

#include <string.h>

#include "base/hash.h"

#define UNLOCKED 198 /* ends our own words, not the script's */

/* "$1" directory, "$2" script, then the script's own words. Only the shell around it holds the lock: what the script
 * leaves running does not. */
static const char guard_text[] =
    "release_dir=$1 release_script=$2\n"
    "shift 2\n"
    "[ -d \"$release_dir\" ] && [ -r \"$release_dir\" ] && exec 7<\"$release_dir\" && flock 7 || {\n"
    "    printf 'cannot lock the directory %s\\n' \"$release_dir\" >&2\n"
    "    exit 198\n"
    "}\n"
    "sh -c \"$release_script\" sh \"$@\" 7<&-\n";

static const char *directory_of(struct op *op, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? "/" : arena_strndup(op_arena(op), path, (size_t)(slash - path));
}

/* .release/APP+ENV/host/NODE-DIGEST: no node of the plan has its place there. */
static const char *place_of(struct op *op, const struct target *t, const char *path)
{
    const char *owner = op_owner(op), *node = op->spec.target ? op->spec.target->id : "fleet";
    const char *text =
        arena_printf(op_arena(op), "%.*s\n%s\n%s", (int)strcspn(owner, ","), owner, t->id, path);
    char hex[SHA256_HEX_LEN + 1];
    sha256_hex(text, strlen(text), hex);
    return arena_printf(op_arena(op), "%s/host/%s-%.12s", target_state_dir(t), node, hex);
}

static const char **guarded_args(struct op *op, const char *path, const struct node_cmd *cmd)
{
    size_t n = 0;
    while (cmd->args && cmd->args[n])
        n++;
    const char **args = arena_array(op_arena(op), n + 3, sizeof *args);
    args[0] = directory_of(op, path);
    args[1] = cmd->script;
    for (size_t i = 0; i < n; i++)
        args[2 + i] = cmd->args[i];
    return args;
}

bool host_change(struct op *op, const char *host, const char *path, const struct node_cmd *cmd,
                 struct node_result *ret)
{
    *ret = (struct node_result){.status = -1};
    if (op->failed)
        return false;
    if (path[0] != '/') {
        op_refused(op, E_CONFIG, "%s: '%.200s' is not an absolute path", host ? host : "this machine", path);
        return false;
    }
    struct target t = *op_target_host(op, host);
    t.state_dir = place_of(op, &t, path);
    /* Of this op alone: it is taken up again after a broken connection. What an earlier one did is no reason to leave
     * this one out, since a balancer may have lost it meanwhile; what an earlier one left running is ended. */
    char once[NONCE_LEN + 1];
    nonce_make(once);
    struct node_cmd guarded = *cmd;
    guarded.script = guard_text;
    guarded.args = guarded_args(op, path, cmd);
    guarded.step_key = arena_printf(op_arena(op), "%.16s", once);
    if (!target_change(op, &t, &guarded, ret))
        return false;
    if (ret->status != UNLOCKED)
        return true;
    op_refused(op, E_NOTFOUND, "%s: %.300s; is it there, and may this user read it?", t.id, ret->err);
    return false;
}

bool host_read(struct op *op, const char *host, const struct node_cmd *cmd, struct node_result *ret)
{
    return target_read(op, op_target_host(op, host), cmd, ret);
}
