/* SPDX-License-Identifier: MIT */
/* For the targets around plans/: a private ROOT in memory, and the round trip that every compiled plan must
 * survive. */
#ifndef RELEASE_TESTS_FUZZ_PLANS_H
#define RELEASE_TESTS_FUZZ_PLANS_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "plans/pillar.h"
#include "plans/value.h"

static char root[64];

static inline void file_put(const char *name, const void *data, size_t n)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, data, n) == (ssize_t)n && close(fd) == 0);
}

static inline void root_remove(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    must(system(command) == 0);
}

static inline void root_make(void)
{
    char path[128];
    (void)snprintf(root, sizeof(root), "%s/release-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(root) != NULL);
    (void)snprintf(path, sizeof(path), "%s/pillar", root);
    must(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/plans", root);
    must(mkdir(path, 0700) == 0);
    must(atexit(root_remove) == 0);
}

static const char good_pillar[] =
    "release:\n"
    "  app: site\n"
    "  repo: https://git.example.org/site.git\n"
    "  branch: main\n"
    "  dir: /srv/site\n"
    "  user: webuser\n"
    "  app_servers:\n"
    "    app1: {host: 10.10.10.11, port: 8080}\n"
    "    app2: {host: 10.10.10.12, port: 8080, lb_server: web2}\n"
    "    app3: {host: 10.10.10.13, port: 8080}\n"
    "    app4: {host: 10.10.10.14, port: 8080}\n"
    "  ssh: {user: deploy, known_hosts: /k}\n"
    "  balancer: {haproxy: {sockets: [\"tcp://lb1:9999\"], backend: web}}\n"
    "  supervisor: {programs: [site]}\n"
    "  build: [{cmd.run: {cmd: make}}, {cmd.run: {cmd: migrate, once: first}}]\n"
    "  check: {url: \"http://{host}:{port}/health\", expect: ok, stable: 2}\n"
    "  stages: [1, 50%, 100%]\n"
    "  min_up: 1\n";

static inline void problems_check(const struct problems *p)
{
    must(p->n > 0);
    for (size_t i = 0; i < p->n; i++)
        must(p->lines[i][0] != '\0');
}

/* Frozen, read back and frozen again it is the same, digest and all: a resume goes on from the very same
 * plan. */
static inline void plan_survives(struct plan *plan)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct plan *again = NULL;
    char *json = plan_encode(plan);
    must(plan_decode(&arena, json, &again, &err));
    char *json_again = plan_encode(again);
    must(strcmp(json, json_again) == 0 && strcmp(plan->digest, again->digest) == 0);
    free(json);
    free(json_again);
}

/* Every argument of every step for every node can be made; so no placeholder is left to fail at dispatch. */
static inline void plan_expands(const struct plan *plan)
{
    for (size_t s = 0; s < plan->n_steps; s++)
        for (size_t i = 0; i < plan->n_nodes && i < 4; i++) {
            auto_arena struct arena arena = {0};
            size_t n = 0;
            const struct op_pair *args =
                plan_args(plan, &plan->steps[s], &plan->nodes[i], (i & 1) != 0, &arena, &n);
            for (size_t k = 0; k < n; k++)
                must(args[k].name && args[k].value);
        }
}

/* false: refused, with problems that say why. */
static inline bool root_compile(const char *plan_name, struct arena *arena, struct plan **ret)
{
    auto_problems struct problems problems = {.n = 0};
    struct pillar *pillar = NULL;
    const struct compile_request req = {
        .root = root, .env = "prod", .plan_name = plan_name, .rev_typed = "main"};
    bool fine = pillar_load(root, "prod", NULL, 0, &pillar, &problems);
    if (fine) {
        free(pillar_json(pillar, NULL));
        free(pillar_text(pillar, NULL));
        fine = plan_compile(pillar, &req, arena, ret, &problems);
        must(fine || problems.n > 0);
    }
    if (!fine)
        problems_check(&problems);
    pillar_free(pillar);
    return fine;
}

#endif
