/* SPDX-License-Identifier: MIT */
/* Where credentials come from, in the order of AWS's own tools: environment, a profile that assumes a role, a web
 * identity, the shared files, a container's, the instance's. This only finds out which it is, from environment and
 * files; remote.c asks those that have to be asked. Nothing here is ever shown but `from`. */
#ifndef RELEASE_DRIVERS_AWS_CREDS_H
#define RELEASE_DRIVERS_AWS_CREDS_H

#include "base/err.h"
#include "drivers/aws/sigv4.h"

enum creds_kind {
    CREDS_KEYS,      /* keys are there */
    CREDS_ROLE,      /* STS AssumeRole with the keys of `source` */
    CREDS_WEB,       /* STS AssumeRoleWithWebIdentity with the token in token_file */
    CREDS_CONTAINER, /* the container's endpoint */
    CREDS_METADATA,  /* the instance's metadata, version 2 */
};

struct creds {
    enum creds_kind kind;
    const char *from; /* for people: "the environment", "profile shop (/root/.aws/credentials)" */
    struct sigv4_keys keys;
    const char *role, *external_id, *session; /* session NULL: none given */
    int64_t duration_s;                       /* 0: not given */
    const char *token_file;
    const struct creds *source;
    /* What the profile says besides; NULL: nothing. */
    const char *endpoint, *ca;
};

/* profile: of the pillar, or NULL for what the environment says. */
bool creds_find(struct arena *a, const char *profile, struct creds *ret, struct err *err) MUST_CHECK;
/* Environment variable, NULL when it is empty. */
const char *creds_env(const char *name);
/* A small file, trimmed of its last line ends. NULL: err says why. */
char *creds_read(struct arena *a, const char *path, struct err *err);

#endif
