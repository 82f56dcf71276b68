/* SPDX-License-Identifier: MIT */
/* Commands on a node, over whatever transport its target names.
 *
 * A script is a constant of the driver, POSIX sh; data reach it as positional parameters "$1".. (quoted
 * words) or on stdin, never inside the text (docs/promises.md#s4). Both calls stream output to the op's log
 * unless quiet. */
#ifndef RELEASE_DRIVERS_NODE_H
#define RELEASE_DRIVERS_NODE_H

#include "drivers/op/driver.h"
#include "drivers/op/target.h"

struct node_cmd {
    const char *script;      /* sh text, constant */
    const char *const *args; /* NULL-terminated; "$1".. of the script */
    const char *input;       /* stdin, may be NULL */
    size_t input_len;
    const struct op_pair *env; /* exported before the script; values go by stdin, not argv */
    size_t n_env;
    const char *cwd;   /* NULL = login directory; a missing one is a refusal */
    const char *runas; /* other user, by sudo -n or runuser; NULL = login user */
    const char
        *step_key;  /* node_change: NULL = the op's own key; else a suffix for a second command in one op */
    size_t max_out; /* kept in the result, default 64 KiB each; the log gets all */
    bool quiet;     /* do not log output (it is data, not a log) */
};

struct node_result {
    int status; /* exit status 0..255; -1 when killed by `signal` or unknown */
    int signal; /* 0 or the signal's number when known, 255 when not */
    char *out;  /* NUL-terminated, in the op's arena */
    size_t out_len;
    char *err;
    size_t err_len;
    bool cut;      /* more came than max_out */
    bool attached; /* node_change: an earlier attempt was found, running or finished, and taken up */
};

/* Observes: run at once, no lock, no record on the node. false: op_fail was called (the status was not
 * learnt). A status other than 0 is not a failure of the call: look at ret->status. */
bool node_read(struct op *op, const struct node_cmd *cmd, struct node_result *ret);

/* Changes: op_sending, then the runner on the node: identity, lock, fence, own process group, detached, pid,
 * output and status in files. Asked again under the same key it does not start a second time: it waits for
 * the running one, or gives the recorded status when that was 0; a failed earlier attempt is started anew. An
 * attempt of *another* step that still runs is ended first. A lost connection is re-opened and the output
 * taken up where it was, within the deadline. At the deadline the group is killed (TERM, then KILL) and the
 * op fails with E_LATE. false: op_fail / op_refused was called (E_FENCED, E_IDENTITY, E_NET, E_LATE ...). */
bool node_change(struct op *op, const struct node_cmd *cmd, struct node_result *ret);

/* What the runner knows of the op's own key: never started, running, or ended with a status. For observe
 * verbs of commands that leave no other trace. */
enum node_job {
    JOB_NEVER,
    JOB_RUNNING,
    JOB_ENDED,
    JOB_LOST /* started, gone, no status: power cut or kill -9 */
};
bool node_job(struct op *op, enum node_job *ret, int *ret_status);

/* Whose is a node with `owner` in its fence, for one who calls itself `owners`? */
enum owned {
    OWNED_NOT,
    OWNED_OURS,
    OWNED_BESIDE,   /* another environment's of the same journal */
    OWNED_ELSEWHERE /* another journal's */
};
enum owned node_owned(const char *owners, const char *owner);
/* The node belongs to the op's journal (op_spec owner, fence) from claim to free: the lock on the node
 * itself, that holds between controllers with journals of their own. Both may be repeated. Claim fails with
 * E_FENCED when another journal has the node or a higher fence was there. A free is ok when the node is
 * somebody else's by now. */
enum outcome node_claim(struct op *op);
enum outcome node_free(struct op *op);

/* The op's node, or another host (a balancer's) reached with the same ssh settings unless `ssh` differs; NULL: this
 * machine. */
const struct target *op_target(const struct op *op);
const struct target *op_target_host(struct op *op, const char *host);
/* This machine, for what is read or run here. Has no place for jobs, so it takes no change. */
extern const struct target target_controller;
/* What the op's job is called on its node: the same in every attempt, and for the change and its look. suffix: of a second
 * job of the op, or NULL. */
const char *op_job_key(struct op *op, const char *suffix);
/* As node_read, on another target. */
bool target_read(struct op *op, const struct target *t, const struct node_cmd *cmd, struct node_result *ret);

/* A change on a host that is no node of the plan, as a balancer's: the runner, the fence of the journal's grants, and a lock
 * on the directory of `path` (absolute), the file that is changed there: whoever changes it so goes one after another,
 * whatever node, environment or application it is for. Always started anew, so it must be safe to repeat; read back what
 * it did. false and the results: as node_change. */
bool host_change(struct op *op, const char *host, const char *path, const struct node_cmd *cmd,
                 struct node_result *ret);
/* As node_read. */
bool host_read(struct op *op, const char *host, const struct node_cmd *cmd, struct node_result *ret);

/* For preflight: connects, learns identity ("hostname:machine-id"), home, free bytes of dir, and whether sh,
 * flock, setsid are there and sh can be run as each of users (NULL: none; ends with NULL), as a step would
 * be. Facts: identity, home, fence, free_bytes, uname. */
enum outcome node_probe(struct op *op, const char *dir, const char *const *users);

#endif
