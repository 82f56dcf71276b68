/* SPDX-License-Identifier: MIT */
/* The files that AWS's tools share (~/.aws/credentials, ~/.aws/config), taken apart: sections of keys. */
#ifndef RELEASE_DRIVERS_AWS_INI_H
#define RELEASE_DRIVERS_AWS_INI_H

#include "base/arena.h"
#include "base/err.h"

struct ini_key {
    const char *section, *name, *value;
};
struct ini {
    const char *path; /* for messages */
    struct ini_key *keys;
    size_t n, cap;
    const char **sections; /* every one, with or without keys */
    size_t n_sections, cap_sections;
};

/* As Python's configparser reads them, which AWS's own tool uses: a line that stands deeper than the key above it goes on with that
 * key's value, behind a line's end (`s3 =` has keys of its own there); any other is a key or section, wherever it begins. text is taken
 * apart in the arena. false: err has path and line. */
bool ini_parse(struct arena *a, const char *path, const char *text, struct ini *ret,
               struct err *err) MUST_CHECK;
/* A later line wins. NULL: not there. */
const char *ini_get(const struct ini *ini, const char *section, const char *name);
bool ini_has(const struct ini *ini, const char *section);

#endif
