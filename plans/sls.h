/* SPDX-License-Identifier: MIT */
/* Reading pillar files: names and include (sls.c), shebang lines and permissions (sls_read.c). Private to
 * plans/. */
#ifndef RELEASE_PLANS_SLS_H
#define RELEASE_PLANS_SLS_H

#include "plans/value.h"

#define SLS_FILES_MAX 10000
#define SLS_CHAIN_MAX 32

struct sls_reader {
    struct arena *arena;
    struct problems *problems;
    const char *dir;         /* ROOT/pillar; with `more` the first of several, as Salt's pillar_roots */
    const char *const *more; /* the others, in order: the first that has a file gives it */
    size_t n_more;
    bool salt;                   /* a tree with a top.sls: what Salt does not read is not there */
    const struct value *ignored; /* map of the names that may be missing, or NULL */
    /* Below: the reader's own. */
    struct value *trees, *owns;       /* map: path -> the file's tree, the same without `include` */
    struct value *seen;               /* map: name -> own values, of what this session has rendered */
    const char *chain[SLS_CHAIN_MAX]; /* files that include each other, for cycles */
    size_t n_chain;
};

/* The file that holds the sls "a.b": dir/a/b.sls, .yml, .yaml, .json or dir/a/b/init.*; NULL when there is
 * none. */
const char *sls_find(const struct sls_reader *r, const char *name);
/* The same, which ending after which: skips the first *ret_from, which comes back behind the one found. For
 * those who must know whether there are several. */
const char *sls_find_next(const struct sls_reader *r, const char *name, size_t *ret_from);
/* "pillar/" or "pillar/prod/, pillar/base/" */
const char *sls_dirs(const struct sls_reader *r);
/* The file's tree with its includes merged under it. NULL: problems has why. */
const struct value *sls_load(struct sls_reader *r, const char *path);
/* The file itself, `include` as it stands. */
const struct value *sls_load_alone(struct sls_reader *r, const char *path);
/* sls_find and sls_load; `at` is where it was named. A missing one that may be missing is an empty map. */
const struct value *sls_load_named(struct sls_reader *r, const char *name, struct place at);
/* A node's files, one after another: begin a session, then load each. What one of them included is not
 * rendered again for the next. NULL also when there is no such file. */
void sls_session(struct sls_reader *r);
const struct value *sls_load_next(struct sls_reader *r, const char *name, struct place at);
/* Whether a name without a file may be passed over; else problems has it. */
bool sls_missing(struct sls_reader *r, const char *name, struct place at);
/* One file as YAML, no include. Also for plan files. NULL: problems has why. */
const struct value *yaml_load_file(struct arena *a, const char *path, struct problems *problems);
/* The whole file, at most max bytes, refused when group or world may write it. NULL: problems has why. */
char *config_read(struct arena *a, const char *path, size_t max, size_t *ret_n, struct problems *problems);

#endif
