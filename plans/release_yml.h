/* SPDX-License-Identifier: MIT */
/* ROOT/release.yml: what the pillar cannot say of itself - which environments there are beside top.sls and
 * the files ENV.*, where each one's pillar comes from, who renders it, and what Salt's matchers ask about
 * nodes. Ours, beside pillar/. Private to plans/.
 *
 *     environments:
 *       staging: {pillarenv: base, nodes: '*-staging'}
 *       prod: {roots: [pillar/prod, pillar/base]}
 *       qa: {command: [bin/pillar-of, --site, eu]}
 *     pillar: {renderer: salt}
 *     grains: {app1: {roles: [web]}}
 *     nodegroups: {web: 'L@app1,app2'}
 *     state: /var/lib/release/journal.db
 *
 * Everything lives in the arena that was given, read-only. */
#ifndef RELEASE_PLANS_RELEASE_YML_H
#define RELEASE_PLANS_RELEASE_YML_H

#include "plans/value.h"

/* Who turns the files into each node's pillar. */
enum renderer {
    RENDERER_OWN,     /* this program reads the files itself */
    RENDERER_SALT,    /* the Salt that is installed here */
    RENDERER_COMMAND, /* a program that prints {node: pillar} as JSON */
};
struct render_rule {
    enum renderer renderer;
    const char *const *argv;     /* RENDERER_COMMAND: program and arguments as written, NULL-terminated */
    struct place at;             /* where it was chosen */
    const char *python, *config; /* RENDERER_SALT: Salt's interpreter and configuration directory, or NULL */
    bool masterless;             /* RENDERER_SALT: as `salt-call --local` does it */
    int64_t timeout_ms;          /* 0 = the usual one */
};

/* One entry of `environments:`. What was not written is NULL or 0. */
struct env_rule {
    const char *name;
    struct place at; /* of its key */
    const char *pillarenv;
    struct place pillarenv_at;
    const char *
        *roots; /* as Salt's pillar_roots, in order: the first that has a file gives it. Ready to open */
    size_t n_roots;
    struct place roots_at;
    const char **nodes; /* globs; a node of the environment matches one of them */
    size_t n_nodes;
    struct place nodes_at;
    struct render_rule render; /* its own, else the whole file's */
};

struct release_yml {
    const char *path; /* ROOT/release.yml, whether or not it is there */
    bool found;
    struct env_rule *envs; /* in the order written */
    size_t n_envs;
    struct render_rule render;
    const struct value *grains; /* map: node id -> map of its grains, or NULL */
    const struct value
        *nodegroups;   /* map: name -> text or list of texts, as in Salt's master file, or NULL */
    const char *state; /* the journal's file, absolute, or NULL */
    struct place state_at;
};

/* A file that is not there is an empty one. false: problems has why, every mistake of it. */
bool release_yml_load(struct arena *a, const char *root, struct release_yml *ret, struct problems *problems);
/* NULL: it has no entry. */
const struct env_rule *release_yml_env(const struct release_yml *yml, const char *env);
/* [PROGRAM, ARGUMENT, ...] */
struct schema_reader;
bool render_command_read(struct schema_reader *r, const struct value *v, const char *what,
                         struct render_rule *ret);
/* ROOT/PATH, unless PATH is absolute or begins with ~/. */
const char *root_path(struct arena *a, const char *root, const char *path);

#endif
