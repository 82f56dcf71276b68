/* SPDX-License-Identifier: MIT */
/* Observers of a release: they follow the journal by a cursor on their own read-only connection and never
 * write it. The engine does not know who watches; a watcher that fails, hangs on a slow pipe or loses its
 * terminal only goes quiet.
 *
 *   model   rows -> what each node does now; a fold, no I/O      (model.c)
 *   board   model -> lines of a terminal                          (board.c)
 *   plain   row -> one line for a pipe                            (plain.c)
 *   jsonl   row -> one JSON object, docs/json.md                  (jsonl.c)
 *   follow  the cursor, the loop, the thread                      (follow.c)
 *
 * Text that came from a node goes through text_visible before it reaches a terminal or a line. */
#ifndef RELEASE_WATCH_WATCH_H
#define RELEASE_WATCH_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/notes.h"
#include "base/str.h"
#include "base/words.h"
#include "state/store.h"

/* ---- what is watched: copied out of the plan by the caller, must outlive the watcher */

struct watch_step {
    const char *label, *verb;
    const char *counts; /* what its gauge is: "sessions left"; NULL = it has none */
    enum phase phase;
    uint8_t role;     /* 1 + its number; 0 = of all nodes */
    int64_t usual_ms; /* median of past releases, -1 = not known */
};
struct watch_plan {
    int64_t release;
    enum release_kind kind;
    const char *env, *app, *rev, *plan_name;
    const char *const *nodes; /* ids in release order */
    const char *const *roles; /* names of roles; NULL = nodes are alike */
    const uint8_t *role_of;   /* by node: number of its role */
    const uint32_t *windows;  /* by role */
    size_t n_roles;
    size_t n_nodes;
    const struct watch_step *steps;
    size_t n_steps;
    const uint32_t *stage_end;
    size_t n_stages;
    uint32_t window;
    int64_t soak_ms;
};

/* ---- model */

#define SHOWN_LIST(X)                                                                                        \
    X(WAITING, "waiting")                                                                                    \
    X(PREPARING, "preparing")                                                                                \
    X(PREPARED, "prepared")                                                                                  \
    X(OUT, "out")                                                                                            \
    X(DONE, "done")                                                                                          \
    X(BACK, "going back")                                                                                    \
    X(UNDONE, "back on the old")                                                                             \
    X(FAILED, "failed")                                                                                      \
    X(LEFT, "left out")                                                                                      \
    X(UNTOUCHED, "not touched")
#define SHOWN_ENUM(n, t) SHOWN_##n,
enum shown { SHOWN_LIST(SHOWN_ENUM) SHOWN_COUNT };
const char *shown_name(enum shown s);

struct model_node {
    enum shown state;
    int step;     /* being worked on, -1 = none */
    bool unknown; /* the last outcome was unknown: the engine is finding out */
    bool stays;   /* left, and it has not left its balancer */
    int attempt;
    int64_t since_ms; /* when it entered this state; 0 = not yet */
    int64_t step_ms;  /* when its step began */
    int64_t out_ms;   /* how long it was out of rotation, once it is back; 0 = was not */
    int64_t gauge;    /* sessions left, healthy in a row; -1 = none */
    char text[400];   /* last message for people, safe to show */
};

struct model {
    const struct watch_plan *plan;
    struct model_node *nodes;
    uint32_t *by_name; /* indices, sorted by id */
    int64_t *spent_ms; /* per step: sum over what this release has done */
    uint32_t *spent_n;
    enum life life;
    int64_t started_ms, last_ms, life_ms, soak_until_ms;
    uint32_t stage, counts[SHOWN_COUNT];
    bool ended, stopping;
    enum order told; /* ORDER_STOP or ORDER_ABORT: what the operator ordered last; ORDER_START = neither */
    bool ours;       /* set by whoever renders: ctrl-C here reaches the engine */
    int exit_status; /* once ended */
    enum release_back back;
    int failed_node; /* first that failed, -1 = none */
    int failed_step;
    char failed_text[400]; /* why it failed */
    char text[400];        /* last sentence about the release as a whole */
};
void model_init(struct model *m, const struct watch_plan *plan);
void model_fini(struct model *m);
void model_apply(struct model *m, const struct row *row);
int model_find(const struct model *m, const char *node); /* -1 = none */
/* Time that is left by past releases and by what this one has needed so far; -1 = nothing to go by. */
int64_t model_left_ms(const struct model *m, int64_t now_ms);

/* ---- forms */

/* Lines of a terminal of width x height, each ended by \n, none wider than width. */
void board_render(const struct model *m, int64_t now_ms, int width, int height, bool colour, struct buf *out);
/* Nothing is added for rows that say nothing to people (reads, repeated looks). took_ms: of the step, -1 =
 * not known. */
void plain_row(const struct watch_plan *plan, const struct row *row, int64_t took_ms, bool colour,
               struct buf *out);
/* Captured output, "node | line" for each line, "node ! line" for what went to stderr. Output comes in pieces
 * that end anywhere: the joiner keeps unfinished lines until their rest comes or plain_flush says that none
 * will. */
struct joiner {
    struct open_line *open;
    size_t n, cap;
};
void plain_output(struct joiner *j, const struct watch_plan *plan, const struct output *o, struct buf *out);
void plain_flush(struct joiner *j, const char *node_or_all, struct buf *out);
void joiner_fini(struct joiner *j);
void jsonl_row(const struct watch_plan *plan, const struct row *row, struct buf *out);
void jsonl_output(const struct watch_plan *plan, const struct output *o, struct buf *out);
void jsonl_release(const struct release_info *r, struct buf *out);
const char *watch_label(const struct watch_plan *plan, int step); /* "" when there is none */

/* The row's message without the node and step that it may begin with. */
const char *watch_message(const struct watch_plan *plan, const struct row *row);

/* "done and verified" and the like, for history and messages. */
const char *exit_text(enum release_kind kind, int exit_status);
/* The same of a release that the journal knows: the one wording for all who tell how it ended. */
const char *end_text(const struct release_info *r);

/* What a step counts while it waits: " sessions left"; "" when there is no word for it. */

/* ---- follow */

enum watch_form { WATCH_BOARD, WATCH_PLAIN, WATCH_JSON };
struct watch_spec {
    const char *state_path; /* as for store_open */
    const struct watch_plan *plan;
    enum watch_form form;
    int out_fd;
    int wake_fd; /* eventfd of the engine in this process, -1 = poll only */
    bool output; /* what steps print, too */
    bool colour;
    bool quit_on_death; /* end when the engine that runs the release is gone (an own process watches) */
    int64_t after;      /* rows up to this one are known: they count, but are not shown */
    const char *node;   /* only this node's lines and output; NULL = all */
    int step;           /* only this step; -1 = all */
    bool once;          /* what is there now, then end */
};
/* In a thread of its own: for `release run`. */
struct watcher;
bool watch_start(const struct watch_spec *spec, struct watcher **ret, struct err *err) MUST_CHECK;
/* Shows what is still to be shown, restores the terminal, joins and frees. A reader that does not read any
 * more cannot hold it up for more than two seconds. NULL is fine. */
void watch_stop(struct watcher *w);
/* On this thread until the release has ended, stop_fd is readable, or the reader has gone. */
bool watch_run(const struct watch_spec *spec, int stop_fd, struct err *err) MUST_CHECK;

#endif
