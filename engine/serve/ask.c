/* SPDX-License-Identifier: MIT */
/* Questions that only the world answers: what the balancers see, what the nodes run now. A child asks
 * (`release lb --json`), one at a time per question, and its answer holds for a while: a page that is open on
 * fifty screens asks the balancers once. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "serve/api.h"

#define QUESTIONS   32
#define ANSWER_MAX  ((size_t)16 * 1024 * 1024)
#define DEADLINE_MS 60000
#define LB_MS       5000
#define DRIFT_MS    30000

struct question {
    char env[ENV_NAME_MAX];
    const char *what; /* "lb" or "drift"; NULL = an empty place */
    bool asking;
    int64_t at_ms; /* monotonic; of the answer */
    int status;
    char *answer, *complaint; /* lines of JSON; what the child said on stderr */
};

struct askers {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct question questions[QUESTIONS];
};

void askers_open(struct serve *s)
{
    s->askers = xcalloc(1, sizeof *s->askers);
    pthread_mutex_init(&s->askers->lock, NULL);
    pthread_cond_init(&s->askers->answered, NULL);
}

void askers_free(struct serve *s)
{
    struct askers *a = s->askers;
    for (size_t i = 0; a && i < QUESTIONS; i++) {
        free(a->questions[i].answer);
        free(a->questions[i].complaint);
    }
    if (a) {
        pthread_cond_destroy(&a->answered);
        pthread_mutex_destroy(&a->lock);
    }
    free(a);
    s->askers = NULL;
}

/* ---- the child */

struct pipes {
    int out[2], err[2];
};

static _Noreturn void be_child(const struct pipes *p, const char *program, char **argv)
{
    sigset_t none;
    sigemptyset(&none);
    setsid();
    dup2(p->out[1], 1);
    dup2(p->err[1], 2);
    close_range(3, ~0U, 0);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program, argv);
    _exit(127);
}

static bool take(int fd, short revents, struct buf *to)
{
    char chunk[16384];
    if (!revents)
        return true;
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n > 0)
        buf_add(to, chunk, (size_t)n);
    return n > 0;
}

/* Until both ends are closed, the time is over or the server ends. false: not to its end. */
static bool listen_to(struct serve *s, const struct pipes *p, struct buf *out, struct buf *said)
{
    bool out_open = true, err_open = true;
    int64_t end = clock_mono_ms() + DEADLINE_MS;
    while (out_open || err_open) {
        struct pollfd fds[] = {{.fd = out_open ? p->out[0] : -1, .events = POLLIN},
                               {.fd = err_open ? p->err[0] : -1, .events = POLLIN},
                               {.fd = s->stop_fd, .events = POLLIN}};
        int64_t left = end - clock_mono_ms();
        int n = left > 0 ? poll(fds, 3, (int)left) : 0;
        if (n == 0 || fds[2].revents)
            return false;
        if (n < 0)
            continue;
        out_open = out_open && take(p->out[0], fds[0].revents, out);
        err_open = err_open && take(p->err[0], fds[1].revents, said);
    }
    return true;
}

static int bury(pid_t pid, bool finished)
{
    int status = 0;
    if (!finished)
        kill(-pid, SIGKILL); /* reads only: nothing of it is left half-done */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return finished && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int ask_child(struct serve *s, char **argv, struct buf *out, struct buf *said)
{
    struct pipes p = {.out = {-1, -1}, .err = {-1, -1}};
    if (pipe2(p.out, O_CLOEXEC) != 0)
        return -1;
    if (pipe2(p.err, O_CLOEXEC) != 0) {
        close(p.out[0]);
        close(p.out[1]);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        be_child(&p, s->options.program, argv);
    close(p.out[1]);
    close(p.err[1]);
    int status = pid > 0 ? bury(pid, listen_to(s, &p, out, said)) : -1;
    close(p.out[0]);
    close(p.err[0]);
    return status;
}

static void ask_world(struct serve *s, struct question *q, struct arena *arena)
{
    struct buf out = BUF_INIT(ANSWER_MAX), said = BUF_INIT(4000);
    char *argv[] = {arena_strdup(arena, "release"),
                    arena_strdup(arena, strcmp(q->what, "lb") == 0 ? "lb" : "status"),
                    arena_printf(arena, "--root=%s", s->options.root),
                    arena_printf(arena, "--state=%s", s->state_path),
                    arena_strdup(arena, "--json"),
                    arena_strdup(arena, strcmp(q->what, "lb") == 0 ? q->env : "--probe"),
                    strcmp(q->what, "lb") == 0 ? NULL : arena_strdup(arena, q->env),
                    NULL};
    int status = ask_child(s, argv, &out, &said);
    pthread_mutex_lock(&s->askers->lock);
    free(q->answer);
    free(q->complaint);
    q->answer = out.data;
    q->complaint = said.data;
    q->status = out.cut ? -1 : status;
    q->at_ms = clock_mono_ms();
    q->asking = false;
    pthread_cond_broadcast(&s->askers->answered);
    pthread_mutex_unlock(&s->askers->lock);
}

/* ---- whose turn it is to ask */

static struct question *place_of(struct askers *a, const char *what, const char *env)
{
    struct question *best = NULL;
    for (size_t i = 0; i < QUESTIONS; i++) {
        struct question *q = &a->questions[i];
        if (q->what && strcmp(q->what, what) == 0 && strcmp(q->env, env) == 0)
            return q;
        if (!q->asking && (!best || q->at_ms < best->at_ms))
            best = q;
    }
    if (!best)
        return NULL;
    free(best->answer);
    free(best->complaint);
    *best = (struct question){.what = what};
    snprintf(best->env, sizeof best->env, "%s", env);
    return best;
}

static json_t *lines_json(const char *text, const char *kind)
{
    json_t *list = json_array();
    for (const char *p = text; p && *p;) {
        size_t n = strcspn(p, "\n");
        json_t *o = json_loadb(p, n, 0, NULL);
        const char *got = json_string_value(json_object_get(o, "kind"));
        if (got && strcmp(got, kind) == 0)
            json_array_append(list, o);
        json_decref(o);
        p += n + (p[n] == '\n');
    }
    return list;
}

static void answer(struct request *r, struct reply *reply, const struct question *q)
{
    bool lb = strcmp(q->what, "lb") == 0;
    json_t *list = lines_json(q->answer, lb ? "server" : "drift");
    int64_t age = clock_mono_ms() - q->at_ms;
    if (q->status == 0 || json_array_size(list) > 0) {
        reply_json(reply, 200,
                   json_pack("{s:s, s:I, s:o, s:o}", "env", q->env, "at", (json_int_t)(clock_wall_ms() - age),
                             lb ? "servers" : "nodes", list, "text",
                             json_string(arena_strdup(r->arena, q->status == 0 ? "" : "not all answered"))));
        return;
    }
    json_decref(list);
    reply_error(reply, 502, lb ? "balancer" : "nodes", "%s",
                q->complaint ? q->complaint : "no answer in time");
}

static void ask(struct request *r, struct reply *reply, const char *what, int64_t holds_ms)
{
    struct askers *a = r->serve->askers;
    if (!api_env_known(r, reply))
        return;
    pthread_mutex_lock(&a->lock);
    struct question *q;
    while ((q = place_of(a, what, r->vars[0])) && q->asking)
        pthread_cond_wait(&a->answered, &a->lock);
    if (q && (q->at_ms == 0 || clock_mono_ms() - q->at_ms > holds_ms)) {
        q->asking = true;
        pthread_mutex_unlock(&a->lock);
        ask_world(r->serve, q, r->arena);
        pthread_mutex_lock(&a->lock);
    }
    if (q)
        answer(r, reply, q);
    else
        reply_error(reply, 503, "busy", "too many questions are asked at once; try again");
    pthread_mutex_unlock(&a->lock);
}

static void lb(struct request *r, struct reply *reply)
{
    ask(r, reply, "lb", LB_MS);
}

static void drift(struct request *r, struct reply *reply)
{
    ask(r, reply, "drift", DRIFT_MS);
}

const struct route ask_routes[] = {
    {.method = "GET",
     .pattern = "/api/v1/envs/{env}/lb",
     .right = RIGHT_VIEWER,
     .flags = ROUTE_SLOW,
     .handle = lb},
    {.method = "GET",
     .pattern = "/api/v1/envs/{env}/drift",
     .right = RIGHT_VIEWER,
     .flags = ROUTE_SLOW,
     .handle = drift},
    ROUTE_END,
};
