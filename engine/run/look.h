/* SPDX-License-Identifier: MIT */
/* What is on each node's disk, what its programs do and which revision its processes run: for preflight, for
 * `status --probe` and for releases of outdated nodes only. READ verbs, all nodes in parallel. */
#ifndef RELEASE_RUN_LOOK_H
#define RELEASE_RUN_LOOK_H

#include "run/run.h"

struct job;

struct look {
    const char *node;
    enum outcome
        outcome; /* of the question what is there; not ok: `text` says why, and nothing else is known */
    const char *text;
    const char *disk;     /* 40 hex; "" = nothing was ever deployed */
    const char *states;   /* "site RUNNING, worker STOPPED" or "up", "down"; "" = not asked */
    const char *app_text; /* why the application could not be asked; "" = it could */
    const char *now;      /* "site:123 worker:124": what runs of it */
    const char *config;   /* how the configuration on disk differs from the one that runs; "" = not at all */
    bool brings;          /* the release brings the application's own configuration */
    const char *runs; /* revision that the processes run: 40 hex, "before", "mixed", "none"; "" = not known */
    const char *how;  /* "cwd", "command", ...; "age" and "disk" prove nothing */
    const char *unseen; /* processes that do not come from a release, as far as can be seen; "" = all do */
    const char *old;    /* pids that run another release's code; "" = none */
};

/* All of it. false: the plan knows no way to ask (E_CONFIG). */
bool run_look(const struct plan *plan, struct arena *arena, const struct run_options *opt, struct look **ret,
              struct err *err) MUST_CHECK;

/* In parts, for preflight, which has asked the first two already. */
void look_init(struct look *look, const struct plan_node *node);
void look_take_app(struct look *look, const struct job *app, struct arena *arena);
/* Judges what was found: problems and warnings are added, steps that no node needs leave the plan. */
void look_check(struct plan *plan, struct arena *arena, const struct run_options *opt, struct look *looks,
                struct problems *problems);
/* The step whose driver can be asked what the application does, and its verb; NULL when there is none. */
const struct plan_step *look_app_step(const struct plan *plan, const struct plan_node *node,
                                      const struct verb **ret);

/* Does the node run this revision for certain: on disk, in every process, with all that ran? */
bool look_runs(const struct look *look, const char *rev);
/* Programs that do not run and are no one-shots that ended: "worker STOPPED"; "" = none. In `arena`. */
const char *look_down(const struct look *look, struct arena *arena);

#endif
