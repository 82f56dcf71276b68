/* SPDX-License-Identifier: MIT */
/* What the end of a release names: what it ended by. Not what was allowed to fail before, nor what failed on the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plans/judge.h"
#include "run/run_priv.h"

static struct plan_step steps[] = {{.verb = "cmd.run", .label = "build", .phase = PHASE_CHANGE},
                                   {.verb = "cmd.run", .label = "look", .phase = PHASE_VERIFY}};
static struct plan_node nodes[] = {{.id = "w1", .rev = "", .rev_before = ""},
                                   {.id = "w2", .rev = "", .rev_before = ""}};

struct story {
    struct plan_judge judge;
    struct plan plan;
    struct facts *facts;
    struct ledger ledger;
};

static void story_begin(struct story *s, bool passes)
{
    static const struct run_options opt = {.wake_fd = -1};
    s->judge = (struct plan_judge){.passes = passes};
    s->plan = (struct plan){.env = "prod",
                            .app = "shop",
                            .rev = "",
                            .steps = steps,
                            .n_steps = 2,
                            .nodes = nodes,
                            .n_nodes = 2,
                            .n_stages = 2,
                            .stage_end = {1, 2},
                            .judge = &s->judge,
                            .max_failed = 1};
    s->facts = facts_new(&s->plan);
    ledger_init(&s->ledger, &s->plan, 1, &opt);
}

static void tell(struct story *s, enum note code, uint32_t node, int64_t a, int64_t b)
{
    uint16_t of_phase = code == NOTE_GANG_BAD ? 1 : 0;
    const struct record note = {.kind = ROW_NOTE,
                                .code = (uint8_t)code,
                                .node = node,
                                .step = node < 2 ? of_phase : CORE_NO_STEP,
                                .a = a,
                                .b = b};
    ledger_record(&s->ledger, &note, s->facts, NULL);
}

/* The last line of the release. */
static void ends_with(struct story *s, enum why why, const char *text)
{
    tell(s, NOTE_END, 2, 1, why);
    assert_string_equal(s->ledger.rows[s->ledger.n_rows - 1].text, text);
    ledger_fini(&s->ledger);
    facts_free(s->facts);
}

static void a_judge_that_lets_pass_is_no_failure(void **state)
{
    (void)state;
    struct story s;
    story_begin(&s, true);
    tell(&s, NOTE_JUDGED, 2, 0, JUDGED_NOT);
    tell(&s, NOTE_NODE_FAILED, 0, 0, 0);
    tell(&s, NOTE_NODE_FAILED, 1, 0, 0);
    tell(&s, NOTE_LIFE, 2, LIFE_BACK, WHY_FAILED);
    ends_with(&s, WHY_FAILED,
              "release ended: more nodes failed than max_failed allows (max_failed 1): w1: failed at build");
    story_begin(&s, false);
    tell(&s, NOTE_JUDGED, 2, 0, JUDGED_NOT);
    tell(&s, NOTE_STOPPING, 2, 0, WHY_UNJUDGED);
    ends_with(&s, WHY_UNJUDGED,
              "release ended: a stage could not be judged: stage 1: its judge has seen too little");
}

/* The first that failed was allowed to. */
static void the_end_names_what_it_ended_by(void **state)
{
    (void)state;
    struct story s;
    story_begin(&s, false);
    tell(&s, NOTE_NODE_FAILED, 0, 0, 0);
    tell(&s, NOTE_JUDGED, 2, 1, JUDGED_BADLY);
    tell(&s, NOTE_LIFE, 2, LIFE_BACK, WHY_JUDGED);
    tell(&s, NOTE_GANG_BAD, 1, PHASE_VERIFY, 0);
    ends_with(&s, WHY_JUDGED, "release ended: its judge failed the stage: stage 2: failed by its judge");
    story_begin(&s, false);
    tell(&s, NOTE_NODE_FAILED, 0, 0, 0);
    tell(&s, NOTE_SOAK_FAILED, 1, 3, 0);
    tell(&s, NOTE_LIFE, 2, LIFE_BACK, WHY_SOAK);
    ends_with(&s, WHY_SOAK,
              "release ended: a finished node became unhealthy: w2: unhealthy while its stage was judged");
}

static void what_fails_on_the_way_back_is_no_reason(void **state)
{
    (void)state;
    struct story s;
    story_begin(&s, false);
    s.plan.max_failed = 0;
    tell(&s, NOTE_NODE_FAILED, 0, 0, 0);
    tell(&s, NOTE_LIFE, 2, LIFE_BACK, WHY_FAILED);
    tell(&s, NOTE_GANG_BAD, 1, PHASE_VERIFY, 0);
    ends_with(&s, WHY_FAILED, "release ended: w1: failed at build");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_judge_that_lets_pass_is_no_failure),
        cmocka_unit_test(the_end_names_what_it_ended_by),
        cmocka_unit_test(what_fails_on_the_way_back_is_no_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
