/* SPDX-License-Identifier: MIT */
/* Summing up pillar trees as Salt merges them. Private to plans/; value_merge (value.h) is the same for two.
 */
#ifndef RELEASE_PLANS_MERGE_H
#define RELEASE_PLANS_MERGE_H

#include "plans/value.h"

struct merging {
    struct arena *arena;
    struct problems *problems; /* or NULL: what would be refused is merged as well as may be */
    const void *token;         /* owner of the maps that this sum made */
    const struct value *sum;
    bool exact, ok;
};

/* `first` may be NULL. It is never changed, nor is what is added. */
void merge_start(struct merging *m, struct arena *a, struct problems *problems, const struct value *first);
void merge_add(struct merging *m, const struct value *over);

#endif
