/* SPDX-License-Identifier: MIT */
/* A small release for the watcher's tests: three nodes, seven steps, and rows as the engine writes them. */
#ifndef RELEASE_TESTS_WATCH_FIXTURE_H
#define RELEASE_TESTS_WATCH_FIXTURE_H

#include "watch/watch.h"

#define T0 1700000000000 /* wall time of the first row, ms */

static const char *const fixture_nodes[] = {"app1", "app2", "app10"};
static const struct watch_step fixture_steps[] = {
    {.label = "fetch", .verb = "git.fetch", .phase = PHASE_PREPARE, .usual_ms = 2000},
    {.label = "drain", .verb = "haproxy.drain", .phase = PHASE_DRAIN, .usual_ms = 1000},
    {.label = "wait idle",
     .verb = "haproxy.wait_idle",
     .counts = "sessions left",
     .phase = PHASE_DRAIN,
     .usual_ms = 4000},
    {.label = "stop", .verb = "supervisord.stop", .phase = PHASE_CHANGE, .usual_ms = 1000},
    {.label = "check",
     .verb = "http.check",
     .counts = "healthy answers in a row",
     .phase = PHASE_CHECK,
     .usual_ms = 2000},
    {.label = "enable", .verb = "haproxy.enable", .phase = PHASE_ENABLE, .usual_ms = 2000},
    {.label = "running", .verb = "release.running", .phase = PHASE_VERIFY, .usual_ms = 500},
};
static const uint32_t fixture_stages[] = {1, 3};
static const struct watch_plan fixture_plan = {.release = 41,
                                               .env = "prod",
                                               .app = "site",
                                               .kind = KIND_RELEASE,
                                               .rev = "f5d98590000000000000000000000000000000aa",
                                               .plan_name = "rolling",
                                               .nodes = fixture_nodes,
                                               .n_nodes = 3,
                                               .steps = fixture_steps,
                                               .n_steps = 7,
                                               .stage_end = fixture_stages,
                                               .n_stages = 2,
                                               .window = 1,
                                               .soak_ms = 30000};

static inline struct row fixture_row(int64_t at_ms, enum row_kind kind, const char *node, int step,
                                     const char *role, const char *code, int64_t a, int64_t b)
{
    return (struct row){.at_ms = T0 + at_ms,
                        .release = 41,
                        .kind = kind,
                        .node = node,
                        .step = step,
                        .verb = step >= 0 ? fixture_steps[step].verb : "",
                        .role = role,
                        .code = code,
                        .attempt = kind == ROW_INTENT || kind == ROW_OUTCOME ? 1 : 0,
                        .a = a,
                        .b = b,
                        .facts = "",
                        .text = ""};
}
#define NOTE_ROW(at, node, code, a, b) fixture_row(at, ROW_NOTE, node, -1, "", note_name(code), a, b)
#define INTENT_ROW(at, node, step)     fixture_row(at, ROW_INTENT, node, step, "run", "run", 0, 0)
#define DONE_ROW(at, node, step)       fixture_row(at, ROW_OUTCOME, node, step, "run", "ok", 1, 0)

#endif
