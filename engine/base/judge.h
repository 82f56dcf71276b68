/* SPDX-License-Identifier: MIT */
/* Facts of what judges a stage: each judge gives a verdict, JUDGE_FACT "cmd", and what it saw, JUDGE_FACT "cmd" JUDGE_WORDS. */
#ifndef RELEASE_BASE_JUDGE_H
#define RELEASE_BASE_JUDGE_H

#define JUDGE_FACT  "judge."
#define JUDGE_WORDS ".words"

#define JUDGE_WELL    "well"
#define JUDGE_BADLY   "badly"
#define JUDGE_NOTHING "nothing" /* it had nothing to judge by */

#endif
