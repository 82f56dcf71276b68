/* SPDX-License-Identifier: MIT */
/* Roles while they are compiled: roles.c makes a plan of each, roles_join.c one of all. */
#ifndef RELEASE_PLANS_ROLES_PRIV_H
#define RELEASE_PLANS_ROLES_PRIV_H

#include "plans/compile_priv.h"

struct part {
    const struct entry *e;
    struct problems problems; /* its own, until all are known */
    struct compiler c;
};

struct joining {
    struct compiler *c;
    struct part roles[PLAN_ROLES_MAX];
    size_t n;
    struct plan *from[PLAN_ROLES_MAX]; /* plans of those roles that have nodes in it */
    const char *names[PLAN_ROLES_MAX];
    size_t n_from;
};

/* The release: block as the pillar has it. */
const struct value *release_block_of(const struct pillar *p);
/* Into j->c->plan; problems where they are too much for one. */
void roles_join(struct joining *j);

#endif
