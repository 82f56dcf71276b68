/* SPDX-License-Identifier: MIT */
/* What a command on a node prints, on its way to the log and the result; and the lines in between by which
 * the runner talks to us: "\001NONCE words\n" on stderr. The nonce is new for every call, so no output can
 * imitate it by accident. */
#ifndef RELEASE_DRIVERS_FEED_H
#define RELEASE_DRIVERS_FEED_H

#include "drivers/node/node.h"
#include "drivers/op/inner.h"
#include "drivers/op/scan.h"

#define FEED_LINES_MAX 4096

/* Kept over all calls of one command. `got` is how far each stream has been taken in. */
struct taken {
    struct op *op;
    const struct node_cmd *cmd;
    struct buf keep[2];
    int64_t got[2];
};

/* One call. `pos` is where in the stream its next byte belongs: a re-attached or polled call may begin before
 * what is taken already. */
struct feed {
    struct taken *taken;
    int64_t pos[2];
    char nonce[NONCE_LEN + 1];
    struct scan scan; /* of stderr */
    struct buf lines; /* what the runner said, "words\n" each */
};

void taken_init(struct taken *t, struct op *op, const struct node_cmd *cmd);
void taken_fini(struct taken *t);
void taken_result(struct taken *t, struct node_result *ret);
void feed_init(struct feed *f, struct taken *t);
void feed_fini(struct feed *f);
void feed_output(void *ctx, int stream, const char *data, size_t n); /* call_output_fn */
void feed_end(struct feed *f); /* the call is over: what looked like a marker was none */
/* The words after the first line that begins with `word`, or NULL. Valid until the next output. */
const char *feed_line(const struct feed *f, const char *word, struct arena *arena);

#endif
