/* SPDX-License-Identifier: MIT */
/* release init --from: what another tool's files say, and the pillar that is made of it.
 *
 * A reader of a kind fills one `struct import`: each value with the place where it stands, so that the pillar can say where
 * from it has it; and what it could not take along, so that a person is told. Files are read, never run. */
#ifndef RELEASE_CLI_INIT_H
#define RELEASE_CLI_INIT_H

#include "cli/cli.h"

/* place NULL: nobody said it, it is a guess of ours. text NULL: not known. */
struct taken_value {
    const char *text, *place;
};
struct taken_list {
    struct taken_value *list;
    size_t n, cap;
};
struct taken_server {
    const char *name, *host, *user, *port, *place;
};
struct import {
    struct arena *arena;
    const char *env;
    struct taken_value app, repo, branch, dir, user, keep, window, balancer, program, check;
    bool supervisor;                      /* `program` is one of supervisord, else a unit of systemd */
    struct taken_list files, dirs, build; /* shared files and directories; lines of a YAML list */
    struct taken_list left;               /* what was not taken along, and why */
    struct taken_server *servers;
    size_t n_servers, cap_servers;
};

/* A file's text, NULL when it is not there or longer than a person would write. */
const char *init_file(const char *path, struct arena *arena);
struct taken_value taken_at(const char *text, const char *place);
void taken_add(struct import *t, struct taken_list *list, const char *text, const char *place);
void taken_left(struct import *t, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A host that is there already is not added again. */
void taken_server_add(struct import *t, struct taken_server server);
/* The pillar, commented. */
const char *taken_pillar(struct import *t, const char *kind);

/* init_capistrano.c: config/deploy.rb and config/deploy/STAGE.rb. In `stages` all there are, NULL-terminated. */
const char *const *capistrano_stages(struct arena *arena);
bool capistrano_read(struct import *t, const char *stage, struct err *err) MUST_CHECK;

#endif
