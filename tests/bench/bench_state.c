/* SPDX-License-Identifier: MIT */
/* How long the store's calls take on a large journal, and what a durable commit costs.
 *
 *     bench_state [RELEASES] [NODES]      (1000 and 10: about 200 rows a release)
 *
 * Makes the journal in a directory of its own under $TMPDIR, prints the median and the longest of each call,
 * and removes it. The goal: every command that only reads answers in under 10 ms on 1,000 releases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "state/store.h"

#define STEPS 9
static const char *const verbs[STEPS] = {
    "git.fetch",         "haproxy.drain", "haproxy.wait_idle", "supervisord.stop", "release.switch",
    "supervisord.start", "http.check",    "haproxy.enable",    "haproxy.wait_up",
};

static struct err err;

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "bench_state: %s\n", err.text);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- making the journal */

static int64_t wall_ms = 1700000000000;

static void add(struct store *s, struct row row)
{
    wall_ms += 20;
    row.at_ms = wall_ms;
    need(journal_append(s, &row, &err));
}

static void add_step(struct store *s, int64_t release, const char *node, int step)
{
    struct row row = {
        .release = release, .node = node, .step = step, .verb = verbs[step], .role = "run", .attempt = 1};
    bool reads = step == 2 || step == 6 || step == 8;
    if (step == 1)
        add(s, (struct row){.release = release,
                            .kind = ROW_OUTCOME,
                            .node = node,
                            .step = step,
                            .verb = verbs[step],
                            .role = "before",
                            .code = "ok",
                            .facts = "{\"lb.before\":\"UP\",\"identity\":\"4c4c4544-0042\"}"});
    if (!reads) {
        row.kind = ROW_INTENT;
        row.code = "run";
        row.facts = step == 1 ? "{\"debt\":\"haproxy django/app\"}" : "";
        add(s, row);
    }
    row.kind = ROW_OUTCOME;
    row.code = "ok";
    row.a = 1;
    row.facts = "{\"changed\":\"yes\",\"pid\":\"4711\"}";
    row.text = "done";
    add(s, row);
}

static void add_release(struct store *s, int nodes, int number)
{
    char rev[41], facts[80], node[32];
    snprintf(rev, sizeof(rev), "%040x", number);
    snprintf(facts, sizeof(facts), "{\"rev\":\"%s\"}", rev);
    struct release_new r = {.env = number % 10 ? "prod" : "test",
                            .app = "plone",
                            .kind = KIND_RELEASE,
                            .plan_name = "rolling",
                            .rev = rev,
                            .rev_typed = "main",
                            .who = "ann",
                            .host = "ctl1",
                            .plan_json = "{}",
                            .plan_digest = "d",
                            .at_ms = wall_ms};
    int64_t id = 0;
    need(store_begin(s, &err));
    need(release_insert(s, &r, &id, &err));
    for (int n = 0; n < nodes; n++) {
        snprintf(node, sizeof(node), "app%d", n);
        for (int step = 0; step < STEPS; step++)
            add_step(s, id, node, step);
        add(s, (struct row){.release = id,
                            .kind = ROW_NOTE,
                            .node = node,
                            .step = -1,
                            .code = "node-in",
                            .facts = facts});
        static const char text[] = "Updating files: 100% (1234/1234), done.\nnpm notice\n";
        struct output o = {
            .release = id, .node = node, .step = 0, .stream = 1, .data = text, .n = sizeof(text) - 1};
        need(output_append(s, &o, &err));
    }
    need(release_end(
        s,
        &(struct release_end_new){
            .release = id, .exit_status = number % 7 ? 0 : 4, .summary = "released", .at_ms = wall_ms},
        &err));
    need(store_commit(s, &err));
}

/* ---- measuring */

struct bench {
    const char *path;
    struct store *store;
    struct arena arena;
    int64_t newest;
};

static void open_read(struct bench *b)
{
    struct store *s = NULL;
    need(store_open(b->path, STORE_READ, &s, &err));
    need(journal_last_seq(s) > 0);
    store_close(s);
}

static void open_write(struct bench *b)
{
    struct store *s = NULL;
    need(store_open(b->path, STORE_WRITE, &s, &err));
    store_close(s);
}

static void list_all(struct bench *b)
{
    struct release_info *list;
    size_t n;
    need(release_list(reader(b->store, &b->arena), &(struct newest){.limit = 10000}, &list, &n, &err));
}

static void list_20(struct bench *b)
{
    struct release_info *list;
    size_t n;
    need(release_list(reader(b->store, &b->arena), &(struct newest){.env = "prod", .limit = 20}, &list, &n,
                      &err));
}

static void get_newest(struct bench *b)
{
    struct release_info *info;
    need(release_get(reader(b->store, &b->arena), b->newest, &info, &err));
}

static void find_unfinished(struct bench *b)
{
    struct release_info *info;
    need(release_unfinished(reader(b->store, &b->arena), "prod", &info, &err));
}

static void read_release(struct bench *b)
{
    struct row *rows;
    size_t n;
    need(journal_read(reader(b->store, &b->arena), &(struct row_range){.release = b->newest, .limit = 100000},
                      &rows, &n, &err));
}

static void read_tail(struct bench *b)
{
    struct row *rows;
    size_t n;
    need(journal_read(reader(b->store, &b->arena),
                      &(struct row_range){.after = journal_last_seq(b->store) - 100, .limit = 100}, &rows, &n,
                      &err));
}

static void last_seq(struct bench *b)
{
    need(journal_last_seq(b->store) > 0);
}

static void step_times(struct bench *b)
{
    struct step_time *times;
    size_t n;
    need(journal_step_times(reader(b->store, &b->arena),
                            &(struct plan_runs){.env = "prod", .plan = "rolling"}, &times, &n, &err));
}

static void states(struct bench *b)
{
    struct node_state_info *nodes;
    size_t n;
    need(node_states(reader(b->store, &b->arena), "prod", &nodes, &n, &err));
}

static void read_output(struct bench *b)
{
    struct output *list;
    size_t n;
    need(output_read(reader(b->store, &b->arena),
                     &(struct output_range){.release = b->newest, .step = -1, .limit = 1000}, &list, &n,
                     &err));
}

static void get_lock(struct bench *b)
{
    struct lock_info lock;
    need(lock_get(reader(b->store, &b->arena), "prod", &lock, &err));
}

static int cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, const char *name, int times, void (*call)(struct bench *))
{
    double took[1000];
    for (int i = 0; i < times; i++) {
        double t = now_ms();
        call(b);
        took[i] = now_ms() - t;
        arena_reset(&b->arena);
    }
    double first = took[0];
    qsort(took, (size_t)times, sizeof(took[0]), cmp);
    printf("%-28s %9.3f ms median %9.3f ms longest %9.3f ms first\n", name, took[times / 2], took[times - 1],
           first);
}

static void measure_reads(struct bench *b)
{
    measure(b, "open READ + last_seq + close", 50, open_read);
    measure(b, "open WRITE + close", 20, open_write);
    need(store_open(b->path, STORE_READ, &b->store, &err));
    b->newest = 1;
    struct release_info *list;
    size_t n;
    need(release_list(reader(b->store, &b->arena), &(struct newest){.env = "prod", .limit = 1}, &list, &n,
                      &err));
    b->newest = n ? list[0].id : 1;
    measure(b, "journal_last_seq", 100, last_seq);
    measure(b, "release_list all", 20, list_all);
    measure(b, "release_list env, 20", 100, list_20);
    measure(b, "release_get", 100, get_newest);
    measure(b, "release_unfinished", 100, find_unfinished);
    measure(b, "journal_read one release", 100, read_release);
    measure(b, "journal_read newest 100", 100, read_tail);
    measure(b, "journal_step_times", 50, step_times);
    measure(b, "node_states", 50, states);
    measure(b, "output_read one release", 100, read_output);
    measure(b, "lock_get", 100, get_lock);
    store_close(b->store);
    arena_fini(&b->arena);
}

/* What a turn of the loop pays: a commit of so many rows, fsync included; and the look whether the file is
 * still the one we opened, which is four stat calls of each commit. */
static void measure_commits(const char *path, int rows)
{
    struct store *s = NULL;
    double took[200];
    need(store_open(path, STORE_WRITE, &s, &err));
    for (int i = 0; i < 200; i++) {
        double t = now_ms();
        need(store_begin(s, &err));
        for (int k = 0; k < rows; k++)
            add(s, (struct row){.release = 1,
                                .kind = ROW_OUTCOME,
                                .node = "app1",
                                .verb = "git.fetch",
                                .role = "run",
                                .code = "ok",
                                .facts = "{\"changed\":\"yes\"}"});
        need(store_commit(s, &err));
        took[i] = now_ms() - t;
    }
    qsort(took, 200, sizeof(took[0]), cmp);
    printf("commit of %3d rows            %9.3f ms median %9.3f ms longest\n", rows, took[100], took[199]);
    store_close(s);
}

static void measure_stat(const char *path)
{
    struct stat st;
    double t = now_ms();
    for (int i = 0; i < 10000; i++)
        need(stat(path, &st) == 0);
    printf("file still there (4 stats)   %9.4f ms a commit\n", (now_ms() - t) / 10000 * 4);
}

int main(int argc, char **argv)
{
    int releases = argc > 1 ? atoi(argv[1]) : 1000, nodes = argc > 2 ? atoi(argv[2]) : 10;
    const char *tmp = getenv("TMPDIR");
    char dir[200], path[220], command[220];
    snprintf(dir, sizeof(dir), "%s/bench-state-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    snprintf(path, sizeof(path), "%s/j.db", dir);
    struct store *s = NULL;
    double t = now_ms();
    need(store_open(path, STORE_WRITE, &s, &err));
    for (int i = 1; i <= releases; i++)
        add_release(s, nodes, i);
    int64_t rows = journal_last_seq(s);
    store_close(s);
    struct stat st;
    need(stat(path, &st) == 0);
    printf("%d releases, %lld rows, %.1f MB, made in %.1f s\n", releases, (long long)rows,
           (double)st.st_size / 1e6, (now_ms() - t) / 1e3);
    struct bench b = {.path = path};
    measure_reads(&b);
    measure_commits(path, 1);
    measure_commits(path, 10);
    measure_commits(path, 100);
    measure_stat(path);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}
