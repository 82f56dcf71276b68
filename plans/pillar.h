/* SPDX-License-Identifier: MIT */
/* Pillar: reading an environment's data as Salt reads its own, with the place of every value
 * (docs/protocols.md#salts-pillar), and compiling it with a plan file into a plan.
 *
 * Every mistake is reported, not the first: functions that can find several fill a struct problems. */
#ifndef RELEASE_PLANS_PILLAR_H
#define RELEASE_PLANS_PILLAR_H

#include "plans/plan.h"

/* A list of "file:line:column: message" lines, at most 100 kept. */
struct problems {
    struct arena arena;
    const char **lines;
    size_t n, cap, dropped;
};
void problems_add(struct problems *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void problems_fini(struct problems *p);
#define auto_problems __attribute__((cleanup(problems_fini)))

/* One value of the tree. Opaque outside plans/ but for the calls here. */
struct value;
struct pillar; /* an environment's merged tree with its arena */

/* The environment ENV of ROOT - a section of pillar/top.sls, a file pillar/ENV.*, or an entry of release.yml
 * - then the --pillar JSON or YAML texts, merged deep in order. The tree is what all its nodes have, with the
 * one release: block that they share. false: problems filled (an unknown environment lists the known ones);
 * nothing else happened. */
bool pillar_load(const char *root, const char *env, const char *const *overrides, size_t n_overrides,
                 struct pillar **ret, struct problems *problems) MUST_CHECK;
/* Called about once a second while another program renders or lists nodes: for whoever waits. NULL: nobody
 * does. */
void pillar_on_progress(void (*say)(const char *text));
/* Who runs a driver's verb that lists nodes (app_servers: {ec2: ...}): plans/ itself talks to nobody. Its facts, in `arena`; called on
 * the thread that loads a pillar. NULL: nobody does. */
struct listing {
    const struct verb *verb;
    const struct op_pair *args; /* as an op's */
    size_t n_args;
    int64_t timeout_ms;
};
typedef bool pillar_list_fn(const struct listing *listing, struct arena *arena,
                            const struct op_pair **ret_facts, size_t *ret_n, struct err *err);
void pillar_lists_by(pillar_list_fn *list);
struct pillar_request {
    const char *root, *env;
    const char *const *overrides; /* --pillar texts */
    size_t n_overrides;
    int64_t wait_max_ms; /* another program has at most this time, whatever release.yml gives it; 0 = that */
    const char *command; /* --pillar-command, in the place of what release.yml says; or NULL */
    const char *node; /* the merged pillar of this one alone, app server or not, whatever the others have; or
                         NULL */
};
bool pillar_load_as(const struct pillar_request *req, struct pillar **ret,
                    struct problems *problems) MUST_CHECK;
/* Whether ENV is known at all; its files are not read. CANNOT_TELL: there is no pillar, or it has mistakes that
 * are in the way. Anything but YES: problems filled. */
enum pillar_known { PILLAR_KNOWN_YES, PILLAR_KNOWN_NO, PILLAR_KNOWN_CANNOT_TELL };
enum pillar_known pillar_known(const char *root, const char *env, struct problems *problems);
/* "role, share:b": what some nodes have otherwise, so that the tree lacks it; NULL: nothing. */
const char *pillar_differs(const struct pillar *p);
/* One file on its own (`release pillar --file F`); what it includes only when there is a root to find it
 * under. */
bool pillar_load_file(const char *path, const char *root_or_null, struct pillar **ret,
                      struct problems *problems) MUST_CHECK;
void pillar_free(struct pillar *p);
/* "release:app_servers" -> value, NULL when there is none. */
const struct value *pillar_get(const struct pillar *p, const char *path);
/* The merged tree, map order kept; as JSON text (free()) or as YAML with "# file:line" at the end of each
 * scalar line. */
char *pillar_json(const struct pillar *p, const char *path_or_null);
char *pillar_text(const struct pillar *p, const char *path_or_null);
/* `state:` of ROOT/release.yml into *ret, NULL when it has none. false: the file has mistakes. */
bool pillar_state(const char *root, struct arena *arena, const char **ret, struct problems *problems);
/* Known environments of ROOT, NULL-terminated, in `arena`. */
const char *const *pillar_envs(const char *root, struct arena *arena);

/* `confirm:`, else whether ENV looks like production: a person has to say yes before it is changed. */
bool pillar_confirms(const struct pillar *p, const char *env);
/* `release: app:`, "" when it says none. */
const char *pillar_app(const struct pillar *p);

/* `approval: other`: a second person has to. */
bool pillar_wants_second(const struct pillar *p);

/* Digest of all that a person says yes to: nodes, what they run, who is in rotation, revision, steps, limits.
 * Unlike plan->digest it leaves out what preflight measured besides (free space): another number a second
 * later. */
void plan_consent(const struct plan *plan, char ret[65]);

struct compile_request {
    const char *root, *env;
    const char
        *plan_name; /* NULL = the pillar's `plan:`; stock plans are compiled in, ROOT/plans/NAME.yml wins */
    const char *rev_typed;       /* NULL = the pillar's `branch:` */
    const char *only;            /* "app1,app3" or NULL */
    const char *exclude;         /* nodes left out, recorded */
    const char *only_role;       /* "worker,web" or NULL */
    const char *stages, *window; /* command line overrides, or NULL */
    bool task;                   /* `release task`: the plan need not have balancer phases or a revision */
    size_t n_rehearsed; /* `release simulate --nodes`: as many nodes, copies of the first; 0 = as they are */
    bool look;          /* nodes, lb, exec: nothing is released, so a missing revision is no problem */
};
/* Everything but what only the world knows (plan->rev, rev_before, was_up, identity: preflight fills them).
 * false: problems filled. */
bool plan_compile(const struct pillar *pillar, const struct compile_request *req, struct arena *arena,
                  struct plan **ret, struct problems *problems) MUST_CHECK;

/* For `release plan`: the whole plan for people, into a heap string. */
char *plan_text(const struct plan *plan);
/* What its nodes ran before it, which is where its way back goes: "1a2b3c4d5e6f (app1, app2 and 4 more),
 * nothing (app7)". */
const char *plan_before_text(const struct plan *plan, struct arena *arena);

/* Values of PARAM_SECRET references for the frozen plan, read now from file:PATH, env:NAME, cmd:COMMAND or
 * the pillar. References stand in PARAM_SECRET arguments, and as values of maps (`env: {NPM_TOKEN:
 * "env:NPM_TOKEN"}`). */
struct secrets;
/* file:PATH, env:NAME, cmd:COMMAND (a shell's, on the controller; what it prints is the secret). */
bool secret_is_reference(const char *text);
bool secrets_load(const struct plan *plan, const struct pillar *pillar_or_null, struct secrets **ret,
                  struct err *err) MUST_CHECK;
void secrets_free(struct secrets *s);                                    /* wipes */
const char *secrets_get(const struct secrets *s, const char *reference); /* NULL when unknown */
const char *const *secrets_values(const struct secrets *s);              /* NULL-terminated, for redaction */

#endif
