/* SPDX-License-Identifier: MIT */
/* Strings: a growable buffer with a hard limit, shell quoting, names, durations, and text made safe to show.
 */
#ifndef RELEASE_BASE_STR_H
#define RELEASE_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Growable buffer that never exceeds max_bytes: what does not fit is dropped and `cut` is set. data is always
 * NUL-terminated once anything was added (data may be NULL before). A zeroed struct with max_bytes set is
 * valid. */
struct buf {
    char *data;
    size_t len, cap, max_bytes;
    bool cut;
};
#define BUF_INIT(max) ((struct buf){.max_bytes = (max)})
void buf_add(struct buf *b, const void *data, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_reset(struct buf *b); /* len = 0, keeps memory */
void buf_fini(struct buf *b);
const char *buf_str(const struct buf *b); /* never NULL */
#define auto_buf __attribute__((cleanup(buf_fini)))

/* One word for any POSIX shell: 'it'\''s'. The only quoting function of the project (docs/promises.md#s4).
 * Bytes are kept as they are; NUL cannot occur. */
void quote_sh(struct buf *out, const char *word);

/* Appends `text` so that a terminal, page or chat shows it and obeys none of it: C0 except \n and \t, DEL,
 * C1, invalid UTF-8, bidi and zero-width controls become \x1b or \u202e as visible text
 * (docs/promises.md#s9). */
void text_visible(struct buf *out, const char *text, size_t n);

/* Copies `text` into dst of n bytes. What does not fit ends in "..." behind a whole word, where there is one.
 */
void str_keep(char *dst, size_t n, const char *text);

/* [A-Za-z0-9._-]{1,max}, not beginning with '-' or '.': names of environments, nodes, servers, programs,
 * plans. */
bool name_valid(const char *s, size_t max);
#define NAME_WANTED "wanted letters, digits, '.', '_' and '-', not beginning with '.' or '-'"
/* ASCII letters, digits and `signs`, 1 to max bytes, not beginning with '-': what other programs call things, fit to be
 * a word of a command or a question to them. */
bool word_valid(const char *s, const char *signs, size_t max);
/* A git revision as typed: [0-9a-f]{4,40}, or a branch/tag by git's own ref rules minus leading '-', "..",
 * "@{", control bytes, spaces, ~^:?*[\ and what is not UTF-8 (docs/promises.md#s1). */
bool rev_valid(const char *s);
/* What is wrong with a path below the root of a repository ("apps/site"), NULL: nothing. It is one way to write that
 * directory, and nothing that git could take for an option or a pattern. */
const char *subdir_trouble(const char *s);
bool is_hex(const char *s, size_t n);
/* Nothing overlong, cut, or a surrogate. */
bool utf8_valid(const char *s);
/* Who gives an order: a name, with the door that they came in by before a colon: "ann", "slack:ann",
 * "api:ci". */
bool operator_valid(const char *text);
bool str_starts(const char *s, const char *prefix);
size_t str_hash(const char *s); /* for tables in memory */

/* "did you mean": index of the nearest of n names within an edit distance of 3 (or a third of the length), or
 * -1. */
int str_nearest(const char *word, const char *const *names, size_t n);

/* "60s", "1500ms", "2m", "1h30m", "7d" -> ms. A bare "0" is allowed; any other number needs its unit. false:
 * not a duration. */
bool duration_parse(const char *s, int64_t *ret_ms);
/* "64K", "10M", "1G", "512" (bytes; powers of 1024). */
bool size_parse(const char *s, int64_t *ret_bytes);
/* 90061000 -> "1d1h", 61000 -> "1m01s", 1500 -> "1.5s", 80 -> "80ms". Writes into buf of n bytes, returns it.
 */
const char *duration_text(int64_t ms, char *buf, size_t n);
#define DURATION_TEXT_MAX 32

#endif
