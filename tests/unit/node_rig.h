/* SPDX-License-Identifier: MIT */
/* Making ops the way engine/run does, for tests of the transports: an `ask` is one op and what came of it.
 *
 * A test program defines `the_target()`. */
#ifndef RELEASE_TESTS_NODE_RIG_H
#define RELEASE_TESTS_NODE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "drivers/node/node.h"
#include "drivers/op/op.h"

/* What the program under test provides. */
static const struct target *the_target(void);
static struct conns *the_conns;
static char scratch[64]; /* a directory that node and test share */

/* ---- one op
 * -------------------------------------------------------------------------------------------------------- */

struct log {
    struct buf text[3];
    int64_t bytes[3];
    const char *touch; /* made when the first output comes */
};

static void log_write(void *ctx, int stream, const char *data, size_t n)
{
    struct log *log = ctx;
    if (log->touch && stream == 1)
        fclose(fopen(log->touch, "w"));
    log->bytes[stream] += (int64_t)n;
    buf_add(&log->text[stream], data, n);
}

/* What a test wants done inside the op. */
enum act { ACT_READ, ACT_CHANGE, ACT_JOB, ACT_PROBE, ACT_HOST };
struct ask {
    enum act act;
    struct node_cmd cmd;
    const char *key, *holder;
    int64_t fence;
    int timeout_ms, cancel_fd; /* 0 = 30 s; 0 = none */
    const struct target *target;
    const char *dir, *runas; /* probe */
    const char *path;        /* host: the file to change on the target's host */
    const char *owner;
    const char *const *secrets;
    /* Results. */
    bool good;
    enum outcome outcome;
    struct err err;
    int status, signal, job_status;
    enum node_job job;
    bool attached, cut;
    char *out, *errs;
    size_t out_len, err_len;
    struct log log;
    struct op *op;
    const struct op_result *result;
};

static _Thread_local struct ask *now;

static enum outcome ask_run(struct op *op)
{
    struct node_result r = {0};
    if (now->act == ACT_PROBE)
        return node_probe(op, now->dir, (const char *[]){now->runas, NULL});
    if (now->act == ACT_JOB) {
        now->good = node_job(op, &now->job, &now->job_status);
        return op_end(op);
    }
    if (now->act == ACT_HOST)
        now->good = host_change(op, the_target()->host, now->path, &now->cmd, &r);
    else
        now->good = now->act == ACT_READ ? node_read(op, &now->cmd, &r) : node_change(op, &now->cmd, &r);
    now->status = r.status;
    now->signal = r.signal;
    now->out = r.out;
    now->out_len = r.out_len;
    now->errs = r.err;
    now->err_len = r.err_len;
    now->attached = r.attached;
    now->cut = r.cut;
    return op_end(op);
}

static const struct verb read_verb = {.name = "test.read", .effect = EFFECT_READ, .run = ask_run};
static const struct verb change_verb = {.name = "test.change", .effect = EFFECT_CHANGE, .run = ask_run};

static void ask(struct ask *a)
{
    a->log = (struct log){.touch = a->log.touch,
                          .text = {BUF_INIT(1 << 20), BUF_INIT(1 << 20), BUF_INIT(1 << 20)}};
    struct op_spec spec = {
        .verb = a->act == ACT_CHANGE || a->act == ACT_HOST ? &change_verb : &read_verb,
        .target = a->target ? a->target : the_target(),
        .ssh_defaults = the_target(),
        .owner = a->owner,
        .conns = the_conns,
        .sink = {.write = log_write, .ctx = &a->log},
        .deadline_mono_ms = clock_mono_ms() + (a->timeout_ms ? a->timeout_ms : 30000),
        .cancel_fd = a->cancel_fd ? a->cancel_fd : -1,
        .fence = a->fence,
        .holder = a->holder ? a->holder : "ann@ctl1",
        .step_key = a->key ? a->key : "1-1",
        .secrets = a->secrets,
    };
    a->op = op_new(&spec);
    now = a;
    a->result = op_run(a->op);
    a->outcome = a->result->outcome;
    a->err = a->result->err;
}

static void ask_free(struct ask *a)
{
    op_free(a->op);
    for (int i = 0; i < 3; i++)
        buf_fini(&a->log.text[i]);
}

static void ask_ok(struct ask *a)
{
    ask(a);
    if (!a->good)
        print_error("op failed: %s: %s\n", err_code_name(a->err.code), a->err.text);
    assert_true(a->good);
    assert_int_equal(a->outcome, OUT_OK);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *scratch_path(const char *name)
{
    static char paths[8][160];
    static int i;
    i = (i + 1) % 8;
    snprintf(paths[i], sizeof(paths[i]), "%s/%s", scratch, name);
    return paths[i];
}

static bool file_there(const char *name)
{
    return access(scratch_path(name), F_OK) == 0;
}

static int file_lines(const char *name)
{
    FILE *f = fopen(scratch_path(name), "r");
    int n = 0;
    for (int c; f && (c = getc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static long file_number(const char *name)
{
    FILE *f = fopen(scratch_path(name), "r");
    long n = 0;
    if (f && fscanf(f, "%ld", &n) != 1)
        n = 0;
    if (f)
        fclose(f);
    return n;
}

/* Until cond, at most 20 s: tests poll with a deadline, they never sleep for luck. */
#define UNTIL(cond)                                                                                          \
    do {                                                                                                     \
        int64_t until_ = clock_mono_ms() + 20000;                                                            \
        while (!(cond)) {                                                                                    \
            if (clock_mono_ms() > until_)                                                                    \
                fail_msg("not within 20 s: %s", #cond);                                                      \
            poll(NULL, 0, 5);                                                                                \
        }                                                                                                    \
    } while (0)

/* Alive and no zombie. */
static bool process_alive(long pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool got = fgets(line, sizeof(line), f) != NULL;
    fclose(f);
    const char *behind = got ? strrchr(line, ')') : NULL;
    return behind && behind[2] != 'Z';
}

static void scratch_make(void)
{
    strcpy(scratch, "/tmp/release-test-XXXXXX");
    assert_non_null(mkdtemp(scratch));
    chmod(scratch, 0755);
}

static void scratch_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
    assert_int_equal(system(command), 0);
}

#endif
