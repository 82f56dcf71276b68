/* SPDX-License-Identifier: MIT */
/* A doc (watch/doc.h) as lines of a terminal. */
#ifndef RELEASE_CLI_DOC_TEXT_H
#define RELEASE_CLI_DOC_TEXT_H

#include "cli/cli.h"
#include "watch/doc.h"

void doc_text(const struct doc *d, struct buf *out);

#endif
