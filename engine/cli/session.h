/* SPDX-License-Identifier: MIT */
/* What the commands share about releases: the environment and its pillar, the journal, and the one way in
 * which a plan becomes a running release (session_*). Each function that can fail for a reason says it and
 * returns the exit status, 0 = go on: a command is then a straight line of `if ((status = ...)) return
 * status;`. */
#ifndef RELEASE_CLI_SESSION_H
#define RELEASE_CLI_SESSION_H

#include "cli/cli.h"
#include "plans/pillar.h"
#include "plans/plan.h"
#include "run/run.h"
#include "state/store.h"

/* ---- environment, pillar, journal (context.c) */

/* --root, else "." when it has a pillar/, else /etc/release. */
const char *cli_root(const struct cli *cli);
/* The word ENV at `index`, else the pillar's only environment. NULL: said why (exit 2). */
const char *cli_env(struct cli *cli, size_t index);
/* The same when no word means all: *ret NULL. */
int cli_env_or_all(struct cli *cli, size_t index, const char **ret);
/* For commands that read no pillar: one whose application the journal cannot tell (never released from here,
 * or by several trees) is looked up in the pillar after all. */
int cli_env_meant(struct cli *cli, struct store *store, const char *env);
/* For commands that need no pillar: an environment of which neither journal nor pillar know is a mistake. */
int cli_env_known(struct cli *cli, struct store *store, const char *env);
/* The release that the first word means: a number, or the newest of that environment (without a word: of all). */
int cli_release_meant(struct cli *cli, struct store *store, struct release_info **ret);
/* Sets cli->app. "shop:prod" is refused where the tree's prod is of another application. */
int cli_pillar(struct cli *cli, const char *env, struct pillar **ret);
bool cli_app_matches(const char *env, const struct pillar *pillar);
/* The real path of cli_root, NULL when there is no such directory. */
const char *cli_tree(struct cli *cli);
/* The journal's file: --state, $RELEASE_STATE, else `state:` of ROOT/release.yml; NULL = the default. To
 * write, a tree that names its journal has that one only. */
int cli_state(struct cli *cli, enum store_mode mode, const char **ret);
int cli_store(struct cli *cli, enum store_mode mode, struct store **ret);
int cli_problems(const struct problems *problems, const char *what, int status);
int cli_compile(struct cli *cli, const struct pillar *pillar, const struct compile_request *req,
                struct plan **ret);
/* The plan of `env` as the options of run, plan and check say. */
int cli_plan(struct cli *cli, const char *env, struct pillar **ret_pillar, struct plan **ret);
/* The same for these nodes only, which that plan has. */
int cli_plan_only(struct cli *cli, const char *env, const struct pillar *pillar, const char *only,
                  struct plan **ret);
/* The same for commands that release nothing: a revision that is nowhere to be found is then no mistake. */
int cli_plan_look(struct cli *cli, const char *env, struct pillar **ret_pillar, struct plan **ret);
const char *cli_who(struct cli *cli);  /* who gives the order: the person behind sudo, else the login */
const char *cli_host(struct cli *cli); /* this controller */
void auto_pillar_fn(struct pillar **p);
#define auto_pillar __attribute__((cleanup(auto_pillar_fn)))

/* Where the pillar comes from, for every command that reads it. */
#define PILLAR_OPTIONS                                                                                       \
    {.name = "pillar", .arg = "JSON", .help = "merged into the pillar, deep", .many = true},                 \
    {                                                                                                        \
        .name = "pillar-command", .arg = "CMD",                                                              \
        .help = "a program that prints {NODE: pillar} as JSON, in the place of what release.yml says"        \
    }
/* Options that run, plan and check have in common; X-macro so that each table names them once. */
#define PLAN_OPTIONS                                                                                         \
    {.name = "rev", .arg = "REV", .help = "commit, branch or tag (default: the pillar's branch)"},           \
        {.name = "plan", .arg = "NAME", .help = "plan to follow (default: the pillar's plan)"},              \
        PILLAR_OPTIONS, {.name = "only", .arg = "NODE,..", .help = "only these nodes"},                      \
        {.name = "exclude", .arg = "NODE,..", .help = "all but these nodes; recorded"},                      \
        {.name = "only-role", .arg = "ROLE,..", .help = "only the nodes of these roles"},                    \
        {.name = "stages", .arg = "LIST", .help = "how far to go before judging, as in 1,25%,100%"},         \
        {.name = "stage", .arg = "LIST", .help = "the same"},                                                \
    {                                                                                                        \
        .name = "window", .arg = "N", .help = "nodes out at once, a number or a percentage"                  \
    }

/* For commands that go on with a release or take one back. */
#define ANY_TREE_OPTION                                                                                      \
    {                                                                                                        \
        .name = "any-tree", .help = "although the release was made from another tree"                        \
    }

/* The second person's name, recorded with the lock; who gives it has checked who that is. */
#define APPROVED_OPTION                                                                                      \
    {                                                                                                        \
        .name = "approved-by", .arg = "NAME", .help = "recorded beside the operator: who else said yes"      \
    }

/* ---- running (session.c) */

struct session {
    struct cli *cli;
    const char *env; /* the shortest name of it here: "prod", of another application's "shop:prod" */
    struct env_key key;
    struct store *store;
    struct lock_info lock;
    bool locked;
    struct pillar *pillar; /* NULL when a frozen plan is used and the pillar cannot be read any more */
    struct secrets *secrets;
    struct run_options opt;
    int64_t order; /* of a server that started us, 0 = none */
    int signal_fd, wake_fd;
};

/* Signals, journal, who. Nothing is locked yet. READ for commands that only look. */
int session_begin(struct session *s, struct cli *cli, const char *env, enum store_mode mode);
/* What only looks: the environment of the first word and its plan (cli_plan, cli_plan_look), a session, `act` in it without a lock; an
 * exit status. */
int session_with_plan(struct cli *cli,
                      int (*plan_of)(struct cli *, const char *env, struct pillar **, struct plan **),
                      enum store_mode mode, int (*act)(struct session *, struct plan *));
/* A release that was made from another tree (`--any-tree` means it all the same). */
int session_refuse_foreign(struct session *s, const struct release_info *r);
/* An unfinished release of the environment stands in the way of a new one. */
int session_refuse_unfinished(struct session *s);
/* Is that release on its way back? */
bool session_has_turned(struct session *s, int64_t release);
int session_lock(struct session *s, const char *why, int64_t release, bool take_over);
int session_secrets(struct session *s, const struct plan *plan);
/* Preflight, lock held; problems are said. */
int session_preflight(struct session *s, struct plan *plan);
/* ---- the lock on the nodes (claim.c) */
/* On the nodes: this journal's identity and the environment, "j:3fa9....1c2d3e4f"; behind a comma, how older
 * versions named the same journal. A journal that was moved is still the same one. Of two copies that both go
 * on, the fence on the nodes lets pass the one that went further. */
const char *session_owner(struct session *s);
/* For a new release: all nodes or none; exit 3 with the holder's line when another journal has one. */
int session_claim(struct session *s, const struct plan *plan);
/* For one that goes on: raises the fence on every node that answers. Exit 5 when another holder was there
 * after us. */
int session_claim_again(struct session *s, const struct plan *plan);
/* Gives the nodes back when nothing of release `id` is left to do (id 0: it never began). */
void session_free(struct session *s, const struct plan *plan, int64_t id);
/* The journal's lock was taken from a running release: said; exit 5. */
int session_superseded(struct session *s, const struct plan *plan, int64_t id, const struct err *err);

/* one_step.c: of the plan only its nodes stay, and this step on all of them at once; `name` is what history calls it. */
void plan_only_step(struct plan *plan, struct plan_step *step, const char *name);
/* Freezes the plan in the journal under a new number, binds the lock to it and runs it. */
int session_start(struct session *s, struct plan *plan, int64_t of_release);
/* Runs release `id` with its frozen plan: START, RESUME or ROLLBACK. */
int session_run(struct session *s, const struct plan *plan, int64_t id, enum order order);
/* Lock taken over from the dead, frozen plan, RESUME or ROLLBACK. */
int session_continue(struct session *s, const struct release_info *r, enum order order);
/* For the secrets of a frozen plan: the pillar of today when it can be read. */
void session_pillar_if_readable(struct session *s);
/* Tells the chat rooms of today's pillar that the lock was taken or freed by hand, when there are any. */
void session_tell_lock(struct session *s, const char *what);
/* Frees lock, journal, descriptors; returns `status`. */
int session_end(struct session *s, int status, const char *why);

/* A frozen plan out of the journal. */
int stored_plan(struct cli *cli, struct store *store, int64_t id, struct plan **ret);
/* Probes for commands that only read: no lock, no journal rows. */
int probe_step(struct session *s, const struct plan *plan, const struct plan_step *step, struct probe **ret,
               size_t *ret_n);

#endif
