/* SPDX-License-Identifier: MIT */
/* Drawing the board in place on a terminal: up to where the last frame began, clear, draw. The terminal's
 * modes are not touched, only the cursor is hidden and automatic wrapping is off while drawing; both are put
 * back in the same write or in term_close. The last frame stays, and what is printed afterwards follows below
 * it. */
#include "watch/watch_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"

#define FRAME_MAX    (256 * 1024)
#define FRAME_MIN_MS 100 /* at most ten frames a second */

void term_open(struct term *t, struct sink *sink, bool colour)
{
    *t = (struct term){.sink = sink, .colour = colour};
    sink_write(sink, "\x1b[?25l", 6);
}

static void term_size(const struct term *t, int *ret_width, int *ret_height)
{
    struct winsize ws = {0};
    bool known = ioctl(t->sink->fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0;
    *ret_width = known ? ws.ws_col : 80;
    *ret_height = known ? ws.ws_row : 24;
}

/* After the window became narrower the terminal has folded the old lines: they are more lines now. */
static int lines_up(const struct term *t, int width)
{
    int up = 0;
    for (size_t i = 0; i < t->n_lines; i++)
        up += t->widths[i] > width ? (t->widths[i] + width - 1) / width : 1;
    return up;
}

static void remember_lines(struct term *t, const char *frame)
{
    t->n_lines = 0;
    for (const char *p = frame; *p;) {
        size_t n = strcspn(p, "\n");
        if (t->n_lines == t->cap) {
            t->cap = t->cap ? 2 * t->cap : 64;
            t->widths = xrealloc(t->widths, t->cap * sizeof *t->widths);
        }
        int columns = 0;
        for (const char *q = p; q < p + n; q++)
            if (*q == '\x1b')
                q += strcspn(q, "m");
            else
                columns += ((unsigned char)*q & 0xc0) != 0x80;
        t->widths[t->n_lines++] = columns;
        p += n + (p[n] == '\n');
    }
}

static void draw(struct term *t, const struct model *m, int64_t now_ms)
{
    auto_buf struct buf frame = BUF_INIT(FRAME_MAX);
    auto_buf struct buf out = BUF_INIT(FRAME_MAX + 256);
    int width, height;
    term_size(t, &width, &height);
    /* The last line stays free: a newline there would scroll the head out of reach. */
    board_render(m, now_ms, width, height - 1, t->colour, &frame);
    int up = lines_up(t, width);
    buf_puts(&out, "\r");
    if (up > 0)
        buf_printf(&out, "\x1b[%dA", up < height ? up : height - 1);
    buf_puts(&out, "\x1b[J\x1b[?7l");
    buf_puts(&out, buf_str(&frame));
    buf_puts(&out, "\x1b[?7h");
    sink_write(t->sink, buf_str(&out), out.len);
    remember_lines(t, buf_str(&frame));
    t->drawn_ms = now_ms;
    t->dirty = false;
}

void term_draw(struct term *t, const struct model *m, int64_t now_ms)
{
    bool soon = now_ms - t->drawn_ms < FRAME_MIN_MS && now_ms >= t->drawn_ms;
    if (soon) {
        t->dirty = true;
        return;
    }
    draw(t, m, now_ms);
}

void term_close(struct term *t, const struct model *m, int64_t now_ms)
{
    draw(t, m, now_ms);
    sink_write(t->sink, "\x1b[?25h", 6);
    free(t->widths);
    *t = (struct term){.sink = t->sink};
}
