/* SPDX-License-Identifier: MIT */
/* top.sls: which files make up an environment, and which of them only some nodes get. Private to plans/. */
#ifndef RELEASE_PLANS_TOP_H
#define RELEASE_PLANS_TOP_H

#include "plans/match.h"
#include "plans/sls.h"

struct top_layer {
    const char *target; /* as written */
    struct place at;    /* of the target */
    const struct matcher *matcher;
    const char *name; /* of the file */
    struct place name_at;
    const struct value *tree; /* the file alone, with what it includes */
};
struct top_target {
    const struct matcher *matcher;
    size_t from, n; /* its layers */
};
struct top {
    struct top_layer *layers; /* in the order in which they merge */
    size_t n, cap;
    struct top_target *targets;
    size_t n_targets;
    const struct value *ignored; /* map: names that may be missing */
};

/* The layers of one section. false: problems has why, a section that is not there among it. */
bool top_load(struct sls_reader *r, const char *path, const char *section, const struct value *nodegroups,
              struct top *ret);

#endif
