/* top.sls: which files make up an environment, and which of them only some nodes get. Private to plans/. */
#ifndef RELEASE_PLANS_TOP_H
#define RELEASE_PLANS_TOP_H

#include "plans/sls.h"

struct top_layer {
    const char *target; /* glob, or comma-separated list of globs */
    struct place at;    /* of the target */
    const struct value *tree;
};
struct top {
    struct top_layer *layers; /* in the order of the file */
    size_t n, cap;
};

bool target_matches(const char *target, const char *node);
/* The layers of one section. false: problems has why, a section that is not there among it. */
bool top_load(struct sls_reader *r, const char *path, const char *section, struct top *ret);
/* The sections of a top file into `names` (arena of r), for the list of known environments. */
size_t top_sections(const struct value *top, const char **names, size_t max);

#endif
