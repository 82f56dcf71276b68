/* SPDX-License-Identifier: MIT */
/* For tests of plans/: a directory with pillar files, a table of drivers that no other folder can change,
 * problems as one text. Each test program includes it once. */
#ifndef RELEASE_TESTS_PLANS_RIG_H
#define RELEASE_TESTS_PLANS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plans/compile_priv.h"

static const char *dir; /* ROOT of the test that runs */

static inline int setup(void **state)
{
    (void)state;
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/release-plans-XXXXXX");
    dir = mkdtemp(path);
    return dir == NULL;
}

static inline int teardown(void **state)
{
    (void)state;
    char cmd[128];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    return system(cmd);
}

static inline void put(const char *name, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static inline void put_pillar(const char *name, const char *text)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "pillar/%s", name);
    put(path, text);
}

/* All problems in one text, the test's directory taken out. */
static inline const char *said(const struct problems *p)
{
    static char text[40000];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < p->n; i++) {
        for (const char *s = p->lines[i]; *s != '\0' && n < sizeof(text) - 3;) {
            if (strncmp(s, dir, strlen(dir)) == 0 && s[strlen(dir)] == '/')
                s += strlen(dir) + 1;
            else
                text[n++] = *s++;
        }
        text[n++] = '\n';
    }
    text[n] = '\0';
    return text;
}

static inline double cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- a table of drivers
 * ---------------------------------------------------------------------------------------- */

static const struct param lb_params[] = {
    {.name = "sockets", .type = PARAM_LIST, .required = true, .help = "where it is"},
    {.name = "backend", .type = PARAM_STR, .required = true, .help = "its backend"},
    {.name = "server", .type = PARAM_STR},
    {.name = "ban", .type = PARAM_STR},
    PARAM_END};
static const struct param fleet_params[] = {{.name = "sockets", .type = PARAM_LIST, .required = true},
                                            {.name = "backend", .type = PARAM_STR, .required = true},
                                            {.name = "servers", .type = PARAM_LIST},
                                            PARAM_END};
static const struct verb haproxy_verbs[] = {
    {.name = "haproxy.observe", .effect = EFFECT_READ, .scope = SCOPE_BALANCER, .params = lb_params},
    {.name = "haproxy.drain",
     .does = DOES_DRAIN,
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.observe",
     .record_before = true,
     .deadline = "",
     .default_timeout_ms = 30000,
     .params = lb_params},
    {.name = "haproxy.wait_idle",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .escalate = "haproxy.maint",
     .does = DOES_IDLE,
     .waits = true,
     .deadline = "drain_timeout",
     .default_timeout_ms = 60000,
     .params = lb_params},
    {.name = "haproxy.enable",
     .does = DOES_ENABLE,
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.observe",
     .params = lb_params},
    {.name = "haproxy.wait_up",
     .does = DOES_WAIT_UP,
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .waits = true,
     .params = lb_params},
    {.name = "haproxy.ban",
     .only_with = "ban",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.observe",
     .params = lb_params},
    {.name = "haproxy.guard", .effect = EFFECT_READ, .scope = SCOPE_BALANCER, .params = lb_params},
    {.name = "haproxy.show", .effect = EFFECT_READ, .scope = SCOPE_FLEET, .params = fleet_params},
    {.name = "haproxy.capacity", .effect = EFFECT_READ, .scope = SCOPE_FLEET, .params = fleet_params},
    {.name = NULL}};
static const struct driver haproxy_fake = {.name = "haproxy", .verbs = haproxy_verbs};

static const struct param sv_params[] = {
    {.name = "programs", .type = PARAM_LIST, .required = true, .help = "which ones"},
    {.name = "conf", .type = PARAM_STR},
    {.name = "password", .type = PARAM_SECRET},
    {.name = "port", .type = PARAM_INT},
    PARAM_END};
static const struct param sv_reload_params[] = {
    {.name = "programs", .type = PARAM_LIST, .required = true, .help = "which ones"},
    {.name = "workers", .type = PARAM_CHOICE, .choices = "any|new", .deflt = "any"},
    PARAM_END};
static const struct verb sv_verbs[] = {
    {.name = "supervisord.reload",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_RELOAD,
     .observe = "supervisord.running",
     .default_timeout_ms = 60000,
     .params = sv_reload_params},
    {.name = "supervisord.stop",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "supervisord.running",
     .default_timeout_ms = 60000,
     .params = sv_params},
    {.name = "supervisord.start",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "supervisord.running",
     .default_timeout_ms = 60000,
     .params = sv_params},
    {.name = "supervisord.running", .effect = EFFECT_READ, .scope = SCOPE_NODE, .params = sv_params},
    {.name = NULL}};
static const struct driver supervisord_fake = {.name = "supervisord", .verbs = sv_verbs};

static const struct param run_params[] = {
    {.name = "cmd", .type = PARAM_STR, .required = true, .help = "shell text"},
    {.name = "cwd", .type = PARAM_STR},
    {.name = "runas", .type = PARAM_STR},
    {.name = "env", .type = PARAM_MAP},
    {.name = "when_changed", .type = PARAM_LIST},
    {.name = "quiet", .type = PARAM_BOOL},
    {.name = "max", .type = PARAM_SIZE},
    {.name = "n", .type = PARAM_INT},
    {.name = "how", .type = PARAM_CHOICE, .choices = "soft|hard"},
    {.name = "pause", .type = PARAM_DURATION},
    PARAM_END};
static const struct verb cmd_verbs[] = {
    {.name = "cmd.run",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .on_controller = "cmd.local",
     .undo_arg = "cmd",
     .observe = "cmd.ran",
     .default_timeout_ms = 600000,
     .params = run_params},
    {.name = "cmd.ran", .effect = EFFECT_READ, .scope = SCOPE_NODE, .params = run_params},
    {.name = "cmd.local",
     .undo_arg = "cmd",
     .effect = EFFECT_ONEWAY,
     .scope = SCOPE_CONTROLLER,
     .params = run_params},
    {.name = NULL}};
static const struct driver cmd_fake = {.name = "cmd", .verbs = cmd_verbs};

static const struct param git_params[] = {
    {.name = "repo", .type = PARAM_STR, .required = true}, {.name = "rev", .type = PARAM_STR}, PARAM_END};
static const struct param resolve_params[] = {{.name = "repo", .type = PARAM_STR, .required = true},
                                              {.name = "rev", .type = PARAM_STR, .required = true},
                                              {.name = "path", .type = PARAM_STR},
                                              PARAM_END};
static const struct verb git_verbs[] = {
    {.name = "git.fetch",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "git.fetched",
     .forward_only = true,
     .params = git_params},
    {.name = "git.checkout",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "git.fetched",
     .params = git_params},
    {.name = "git.running", .effect = EFFECT_READ, .scope = SCOPE_NODE, .waits = true},
    {.name = "git.resolve", .effect = EFFECT_READ, .scope = SCOPE_CONTROLLER, .params = resolve_params},
    {.name = NULL}};
static const struct driver git_fake = {.name = "git", .verbs = git_verbs};

static const struct param dir_params[] = {{.name = "dir", .type = PARAM_STR},
                                          {.name = "shared", .type = PARAM_LIST},
                                          {.name = "content", .type = PARAM_MAP},
                                          PARAM_END};
static const struct param keep_params[] = {{.name = "keep", .type = PARAM_INT, .required = true}, PARAM_END};
static const struct verb release_verbs[] = {
    {.name = "release.unpack",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "release.running",
     .forward_only = true,
     .params = dir_params},
    {.name = "release.seal",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "release.running",
     .forward_only = true,
     .params = dir_params},
    {.name = "release.switch",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "release.running",
     .params = dir_params},
    {.name = "release.clean",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "release.running",
     .params = keep_params},
    {.name = "release.running", .effect = EFFECT_READ, .scope = SCOPE_NODE, .waits = true},
    {.name = NULL}};
static const struct driver release_fake = {.name = "release", .verbs = release_verbs};

static const struct param http_params[] = {
    {.name = "url", .type = PARAM_STR, .required = true, .help = "what to ask for"},
    {.name = "status", .type = PARAM_INT},
    {.name = "expect", .type = PARAM_STR},
    {.name = "warm", .type = PARAM_LIST},
    PARAM_END};
static const struct verb http_verbs[] = {{.name = "http.check",
                                          .does = DOES_HEALTH,
                                          .deadline = "within",
                                          .effect = EFFECT_READ,
                                          .scope = SCOPE_NODE,
                                          .waits = true,
                                          .default_timeout_ms = 60000,
                                          .params = http_params},
                                         {.name = NULL}};
static const struct driver http_fake = {.name = "http", .verbs = http_verbs};

static const struct param hook_params[] = {
    {.name = "url", .type = PARAM_SECRET, .required = true, .help = "the webhook"},
    {.name = "text", .type = PARAM_STR},
    PARAM_END};
static const struct verb notify_verbs[] = {
    {.name = "notify.webhook", .effect = EFFECT_ONEWAY, .scope = SCOPE_CONTROLLER, .params = hook_params},
    {.name = NULL}};
static const struct driver notify_fake = {.name = "notify", .verbs = notify_verbs};

static const struct param measure_cmd_params[] = {{.name = "cmd", .type = PARAM_LIST, .required = true},
                                                  PARAM_END};
static const struct param measure_params[] = {{.name = "url", .type = PARAM_STR, .required = true},
                                              {.name = "query", .type = PARAM_STR, .required = true},
                                              {.name = "max", .type = PARAM_STR, .required = true},
                                              {.name = "user", .type = PARAM_STR},
                                              {.name = "password", .type = PARAM_SECRET},
                                              PARAM_END};
static const struct verb measure_verbs[] = {
    {.name = "measure.cmd", .effect = EFFECT_READ, .scope = SCOPE_CONTROLLER, .params = measure_cmd_params},
    {.name = "measure.prometheus",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .params = measure_params},
    {.name = NULL}};
static const struct driver measure_fake = {.name = "measure", .verbs = measure_verbs};

static const struct driver *const rig_table[] = {&cmd_fake,         &git_fake,     &haproxy_fake,
                                                 &http_fake,        &notify_fake,  &release_fake,
                                                 &supervisord_fake, &measure_fake, NULL};

/* ---- compiling
 * -------------------------------------------------------------------------------------------------- */

struct rig {
    struct arena arena;
    struct problems problems;
    struct pillar *pillar;
    struct plan *plan; /* NULL: problems say why */
};

static inline void rig_fini(struct rig *r)
{
    pillar_free(r->pillar);
    problems_fini(&r->problems);
    arena_fini(&r->arena);
}
#define auto_rig __attribute__((cleanup(rig_fini)))

static inline bool rig_compile(struct rig *r, const struct compile_request *req)
{
    struct compile_request own = *req;
    own.root = dir;
    own.env = "prod";
    return pillar_load(dir, "prod", NULL, 0, &r->pillar, &r->problems) &&
           plan_compile_with(r->pillar, &own, rig_table, &r->arena, &r->plan, &r->problems);
}

static inline const struct plan_step *rig_step(const struct plan *plan, const char *verb)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (strcmp(plan->steps[i].verb, verb) == 0)
            return &plan->steps[i];
    fail_msg("no step %s", verb);
    return NULL;
}

static inline const char *rig_arg(const struct plan_step *step, const char *name)
{
    return op_pair_value(step->args, step->n_args, name);
}

#endif
