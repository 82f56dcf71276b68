/* SPDX-License-Identifier: MIT */
/* Notes of the core as sentences (notes.h). */
#include "base/notes.h"

#include <inttypes.h>
#include <string.h>

#define TEXT2(n, t)       t,
#define TEXT3(n, t, s)    t,
#define SENTENCE(n, t, s) s,
static const char *const names[] = {NOTE_LIST(TEXT3)};
static const char *const sentences[] = {NOTE_LIST(SENTENCE)};
static const char *const lives[] = {LIFE_LIST(TEXT2)};
static const char *const whys[] = {WHY_LIST(TEXT2)};

const char *note_name(enum note n)
{
    return (size_t)n < NOTE_COUNT ? names[n] : "?";
}

int note_from_name(const char *text)
{
    for (int i = 0; i < NOTE_COUNT; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return -1;
}

const char *life_name(enum life l)
{
    return (size_t)l < LIFE_COUNT ? lives[l] : "?";
}

const char *why_name(enum why w)
{
    return (size_t)w < WHY_COUNT ? whys[w] : "?";
}

/* a and b that stand for something else than a number get its word; people count stages from one. */
static void put_a(struct buf *out, enum note n, int64_t a)
{
    if (n == NOTE_LIFE)
        buf_puts(out, life_name((enum life)a));
    else if (n == NOTE_STAGE || n == NOTE_SOAK || n == NOTE_SOAKED || n == NOTE_JUDGED)
        buf_printf(out, "%" PRId64, a + 1);
    else
        buf_printf(out, "%" PRId64, a);
}

/* No number that was not learnt, and nobody leaves a rotation that he is not in. */
static const char *sentence_of(enum note n, int64_t a, int64_t b)
{
    bool stays = b == WHERE_IT_WAS;
    if (n == NOTE_NODE_LEFT && a == WHY_NOTHING_BEFORE) /* as undone as it can be */
        return stays ? "{node}: left out" : "{node}: left out of rotation";
    if (n == NOTE_NODE_LEFT && stays)
        return "{node}: left as it is, needs a person";
    if (n == NOTE_NODE_IN && stays)
        return a ? "{node}: back" : "{node}: done";
    if (n == NOTE_JUDGED && b != JUDGED_WELL)
        return b == JUDGED_BADLY ? "stage {a}: failed by its judge"
                                 : "stage {a}: its judge has seen too little";
    if (n == NOTE_ADMIT && a < 0)
        return a == ADMIT_NO_BALANCER ? "{node}: begins" : "{node}: leaves rotation";
    return sentences[n];
}

void note_text(struct buf *out, enum note n, const char *node, const char *step, int64_t a, int64_t b)
{
    if ((size_t)n >= NOTE_COUNT)
        return;
    char text[DURATION_TEXT_MAX];
    const char *sentence = sentence_of(n, a, b);
    for (const char *p = sentence; *p;) {
        size_t plain = strcspn(p, "{");
        buf_add(out, p, plain);
        p += plain;
        if (str_starts(p, "{node}"))
            buf_puts(out, node && *node ? node : "controller"); /* hooks of the release run there */
        else if (str_starts(p, "{step}"))
            buf_puts(out, step ? step : "");
        else if (str_starts(p, "{da}"))
            buf_puts(out, duration_text(a, text, sizeof(text)));
        else if (str_starts(p, "{db}"))
            buf_puts(out, duration_text(b, text, sizeof(text)));
        else if (str_starts(p, "{a}"))
            put_a(out, n, a);
        else if (str_starts(p, "{b}"))
            buf_printf(out, "%" PRId64, b);
        p += *p ? strcspn(p, "}") + 1 : 0;
    }
    if (n == NOTE_END || n == NOTE_STOPPING || n == NOTE_NODE_TURN) {
        bool own = n == NOTE_NODE_TURN && b == WHY_FAILED; /* the line before said what failed */
        if (b > 0 && b < WHY_COUNT && !own)
            buf_printf(out, ": %s", why_name((enum why)b));
    } else if (n == NOTE_NODE_LEFT && a > 0 && a < WHY_COUNT) {
        buf_printf(out, ": %s", why_name((enum why)a));
    }
}
