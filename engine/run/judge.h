/* SPDX-License-Identifier: MIT */
/* The judge of stages, for the loop: each answer of ROLE_JUDGE goes in, its verdict comes out. The loop's thread. */
#ifndef RELEASE_RUN_JUDGE_H
#define RELEASE_RUN_JUDGE_H

#include "base/judge.h"
#include "core/core.h"
#include "drivers/op/op.h"
#include "plans/pillar.h"
#include "plans/plan.h"

/* Of the release as a whole: the words of the last look, and its numbers behind JUDGE_FACT. */
#define JUDGE_FACT_WHY "judge.why"

struct facts;
struct job;
struct judge;
struct judge *judge_new(const struct plan *plan);
void judge_free(struct judge *j);
/* What can be known of its program before it runs. */
void judge_program_fits(const struct plan_judge *judge, struct problems *problems);
/* r: what the judge's step told. Would it know all that its limits are about? */
void judge_fits(const struct plan *plan, uint32_t role, const struct op_result *r, struct problems *problems);
/* job: whoever was asked, each by itself. One that could not be asked has nothing to say, and hides nobody else's word. */
enum judged judge_take(struct judge *j, const struct core *core, const struct job *job, struct facts *facts);

#endif
