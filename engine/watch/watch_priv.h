/* SPDX-License-Identifier: MIT */
/* Inside of engine/watch. */
#ifndef RELEASE_WATCH_WATCH_PRIV_H
#define RELEASE_WATCH_WATCH_PRIV_H

#include "watch/watch.h"

/* sink.c: writing that can neither block for ever nor kill. Goes quiet (dead) on the first failure. */
struct sink {
    int fd;
    int stop_fd; /* once it is readable, a reader that does not read gets two more seconds; -1 = none */
    bool dead;
};
void sink_write(struct sink *s, const char *data, size_t n);

/* term.c: the live board on a terminal. */
struct term {
    struct sink *sink;
    int *widths; /* of the lines on the screen, to find the way up after a resize */
    size_t n_lines, cap;
    int64_t drawn_ms;
    bool colour, dirty;
};
void term_open(struct term *t, struct sink *sink, bool colour);
void term_draw(struct term *t, const struct model *m, int64_t now_ms);
void term_close(struct term *t, const struct model *m, int64_t now_ms); /* last frame, cursor back */

/* board.c: bytes of s that fit into `columns`, escape sequences not counted; *ret_columns what they take. */
size_t text_fit(const char *s, int columns, int *ret_columns);

#endif
