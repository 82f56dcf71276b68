/* SPDX-License-Identifier: MIT */
/* release prepare: what nodes lack, before `check` can ask them anything more. */
#ifndef RELEASE_CLI_PREPARE_H
#define RELEASE_CLI_PREPARE_H

#include "cli/session.h"

/* One thing that is lacking, and on which nodes. */
struct lack {
    const char *kind; /* "host-key", "directory", "user", "git", "application", "node": for programs */
    const char *text; /* what is lacking */
    const char *act;  /* what to do about it, NULL = the text says it */
    const char *nodes;
    bool does; /* --apply does it */
};
struct lacks {
    struct arena *arena;
    struct lack *list;
    size_t n, cap;
};
/* The same lack of another node is one lack. */
void lacks_add(struct lacks *lacks, const char *node, struct lack lack);

/* prepare_keys.c */
struct host_key {
    const char *name, *print, *type, *base64, *file; /* as HOST_KEY_FACT has them */
    const char *node;                                /* who met it */
    bool named;                                      /* by --host-key */
};
struct host_keys {
    struct arena *arena;
    struct host_key *list;
    size_t n;
};
/* Takes the keys out of what was asked, each once. */
void host_keys_take(struct host_keys *keys, const struct probe *probes, size_t n);
/* Appends to the key's file what makes it known. */
bool host_key_write(const struct host_key *key, struct err *err) MUST_CHECK;

/* prepare_look.c */
/* What release.prepared said of each node. dirs[i]: --apply can make its directory. */
void prepare_judge(struct lacks *lacks, const struct plan *plan, const struct probe *probes, bool *dirs);
/* The applications of those nodes that answered. */
int prepare_apps(struct session *s, const struct plan *plan, const struct probe *probes, struct lacks *lacks);
/* The plan of some nodes only, to ask them; in `arena`. */
struct plan *plan_of_nodes(const struct plan *plan, const bool *some, struct arena *arena);

#endif
