/* SPDX-License-Identifier: MIT */
/* For the tests of node drivers: a temporary node (transport `local`), one verb at a time the way engine/run
 * does it, and shell lines for what stands around. Included once per test program. */
#ifndef TESTS_UNIT_DRV_RIG_H
#define TESTS_UNIT_DRV_RIG_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/op/op.h"
#include "unit/port_rig.h"

#define RIG_UNUSED __attribute__((unused))
#define PAIRS(...) ((const struct op_pair[]){__VA_ARGS__, {NULL, NULL}})
#define NO_PAIRS   ((const struct op_pair[]){{NULL, NULL}})

static char rig_dir[64]; /* "$D" of the shell lines */
static struct arena rig_arena;
static struct conns *rig_conns;
static struct target rig_target = {.id = "app1", .transport = "local"};
static struct buf rig_log = {.max_bytes = 1 << 20};
static int rig_step;

struct ask {
    const char *verb;
    const struct op_pair *args, *vars, *recall;
    const char *key; /* NULL: a new one */
    bool back;
    int timeout_ms; /* 0 = 30 s */
};

struct answer {
    enum outcome outcome;
    bool ready, changed;
    struct err err;
    const struct op_pair *facts;
    size_t n_facts;
};

RIG_UNUSED static const char *text(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(&rig_arena, fmt, ap);
    va_end(ap);
    return s;
}

static size_t pairs_count(const struct op_pair *p)
{
    size_t n = 0;
    while (p != NULL && p[n].name != NULL)
        n++;
    return n;
}

static void rig_write(void *ctx, int stream, const char *data, size_t n)
{
    (void)ctx, (void)stream;
    buf_add(&rig_log, data, n);
    if (n == 0 || data[n - 1] != '\n')
        buf_puts(&rig_log, "\n");
}

static struct answer rig_ask(const struct ask *a)
{
    struct op_spec spec = {
        .verb = verb_find(a->verb, NULL),
        .args = a->args,
        .n_args = pairs_count(a->args),
        .vars = a->vars,
        .n_vars = pairs_count(a->vars),
        .recall = a->recall,
        .n_recall = pairs_count(a->recall),
        .target = &rig_target,
        .conns = rig_conns,
        .sink = {.write = rig_write},
        .deadline_mono_ms = clock_mono_ms() + (a->timeout_ms ? a->timeout_ms : 30000),
        .cancel_fd = -1,
        .release = 1,
        .fence = 1,
        .holder = "ann@ctl1",
        .step_key = a->key ? a->key : text("1-%d", ++rig_step),
        .attempt = 1,
        .going_back = a->back,
    };
    buf_reset(&rig_log);
    assert_non_null(spec.verb);
    struct op *op = op_new(&spec);
    const struct op_result *res = op_run(op);
    struct op_pair *facts = arena_array(&rig_arena, res->n_facts + 1, sizeof *facts);
    for (size_t i = 0; i < res->n_facts; i++)
        facts[i] = (struct op_pair){.name = arena_strdup(&rig_arena, res->facts[i].name),
                                    .value = arena_strdup(&rig_arena, res->facts[i].value)};
    struct answer ans = {.outcome = res->outcome,
                         .ready = res->ready,
                         .changed = res->changed,
                         .err = res->err,
                         .facts = facts,
                         .n_facts = res->n_facts};
    op_free(op);
    return ans;
}

/* The last fact of that name, or "". */
RIG_UNUSED static const char *fact(const struct answer *ans, const char *name)
{
    const char *found = "";
    for (size_t i = 0; i < ans->n_facts; i++)
        if (strcmp(ans->facts[i].name, name) == 0)
            found = ans->facts[i].value;
    return found;
}

static void rig_fail(const struct answer *ans, const char *wanted, const char *file, int line)
{
    print_error("%s:%d: wanted %s; got %s, ready %d, changed %d: [%s] %s\nlog: %s\n", file, line, wanted,
                outcome_name(ans->outcome), ans->ready, ans->changed, err_code_name(ans->err.code),
                ans->err.text, buf_str(&rig_log));
    for (size_t i = 0; i < ans->n_facts; i++)
        print_error("  fact %s=%s\n", ans->facts[i].name, ans->facts[i].value);
    _fail(file, line);
}

#define WANT(ans, cond)                                                                                      \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            rig_fail(&(ans), #cond, __FILE__, __LINE__);                                                     \
    } while (0)
/* For calls as well: evaluated once. */
#define WANT_SO(value, cond)                                                                                 \
    do {                                                                                                     \
        const struct answer got = (value);                                                                   \
        WANT(got, cond);                                                                                     \
    } while (0)
#define WANT_OK(value)      WANT_SO(value, got.outcome == OUT_OK && got.ready)
#define WANT_WAITING(value) WANT_SO(value, got.outcome == OUT_OK && !got.ready)
/* Certainly failed, and the message holds `words`. */
#define WANT_REFUSED(value, words)                                                                           \
    WANT_SO(value, got.outcome == OUT_FAILED && strstr(got.err.text, (words)) != NULL)

/* A shell line with D=the temporary directory; its output without the last newline. Its failure fails the
 * test. */
RIG_UNUSED static const char *sh(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *line = arena_vprintf(&rig_arena, fmt, ap);
    va_end(ap);
    auto_buf struct buf out = BUF_INIT(1 << 20);
    FILE *f = popen(line, "re");
    char chunk[4096];
    size_t n;
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&out, chunk, n);
    int status = pclose(f);
    if (status != 0)
        fail_msg("status %d of: %s\n%s", status, line, buf_str(&out));
    char *s = arena_strdup(&rig_arena, buf_str(&out));
    size_t len = strlen(s);
    if (len > 0 && s[len - 1] == '\n')
        s[len - 1] = '\0';
    return s;
}

RIG_UNUSED static bool sh_true(const char *line)
{
    return system(line) == 0;
}

RIG_UNUSED static void write_file(const char *name, const char *content)
{
    FILE *f = fopen(text("%s/%s", rig_dir, name), "w");
    assert_non_null(f);
    fputs(content, f);
    assert_int_equal(fclose(f), 0);
}

/* Polls a shell condition; fails the test after 10 s. */
RIG_UNUSED static void until(const char *line)
{
    int64_t end = clock_mono_ms() + 10000;
    while (system(line) != 0) {
        if (clock_mono_ms() > end)
            fail_msg("not so within 10 s: %s", line);
        poll(NULL, 0, 30);
    }
}

static void rig_open(void)
{
    strcpy(rig_dir, "/tmp/release-drv-XXXXXX");
    assert_non_null(mkdtemp(rig_dir));
    setenv("D", rig_dir, 1);
    setenv("XDG_CACHE_HOME", text("%s/cache", rig_dir), 1);
    setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    setenv("GIT_AUTHOR_NAME", "Ann", 1);
    setenv("GIT_AUTHOR_EMAIL", "ann@example.org", 1);
    setenv("GIT_COMMITTER_NAME", "Ann", 1);
    setenv("GIT_COMMITTER_EMAIL", "ann@example.org", 1);
    rig_target.state_dir = text("%s/state/app1", rig_dir);
    drivers_init();
    rig_conns = conns_new(transport_table);
}

static void rig_close(void)
{
    conns_free(rig_conns);
    sh("rm -rf \"$D\"");
    buf_fini(&rig_log);
    arena_fini(&rig_arena);
}

#endif
