/* SPDX-License-Identifier: MIT */
/* A step while it is made: its arguments (args.c) and the engine's own words (words.c). */
#ifndef RELEASE_PLANS_MAKING_H
#define RELEASE_PLANS_MAKING_H

#include "plans/compile_priv.h"

struct making {
    struct compiler *c;
    const struct item *item;
    const struct verb *verb;
    const struct driver_block *block;
    const struct driver_block *from; /* whose value is being read; NULL: the step's own */
    const char *driver;
    const struct value *args; /* a map, or NULL */
    struct template_place where;
    struct op_pair *pairs;
    size_t n;
    bool ok;
};

/* The words that every step may have beside its verb's parameters; ends with FIELD_END. */
extern const struct field step_word_fields[];
bool step_word_is(const char *name);
/* All that these words say of it; m->ok is false where one is wrong. */
void step_words_set(struct making *m, struct plan_step *step);

#endif
