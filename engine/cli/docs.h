/* SPDX-License-Identifier: MIT */
/* Reference pages made of the program's own tables. */
#ifndef RELEASE_CLI_DOCS_H
#define RELEASE_CLI_DOCS_H

#include "cli/cli.h"

bool help_verb(struct buf *out, const char *name); /* false: no such verb of a driver */
void docs_verbs(struct buf *out);
void docs_cli(struct buf *out);

#endif
