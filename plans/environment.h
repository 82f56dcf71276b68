/* SPDX-License-Identifier: MIT */
/* Which environments there are. A name is known only where a person wrote it: a section of top.sls, a file
 * ENV.*, or an entry of release.yml; there is no falling back, for a mistyped name would then release
 * something else. Private to plans/. */
#ifndef RELEASE_PLANS_ENVIRONMENT_H
#define RELEASE_PLANS_ENVIRONMENT_H

#include "plans/pillar_priv.h"

/* Where an environment's pillar is: a section of a top file, or one file for all nodes. */
struct env_source {
    const char *top, *section;
    const char *file;
};

/* Sets the directories of r as release.yml says. false: problems has why - the name is not known, or two
 * places claim it. */
bool env_find(struct pillar *p, struct sls_reader *r, struct env_source *ret);
/* Once the layers are read: false when a file ENV.* with a release: block stands beside the section and is no
 * part of it. */
bool env_all_read(struct pillar *p, const struct sls_reader *r, const struct env_source *source);
/* For an entry whose pillar a command prints: false when ROOT/pillar has an environment of that name as well.
 */
bool env_no_files(struct pillar *p, const struct sls_reader *r);
/* ROOT/pillar */
const char *pillar_dir(const char *root, struct arena *a);

#endif
