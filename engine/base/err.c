/* SPDX-License-Identifier: MIT */
/* Making, wrapping and printing errors; must() ends here (err.h). */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define TEXT(n, t, s) t,
#define EXIT(n, t, s) s,
static const char *const names[] = {ERR_LIST(TEXT)};
static const int exits[] = {ERR_LIST(EXIT)};

const char *err_code_name(enum err_code code)
{
    return (size_t)code < E_COUNT ? names[code] : "?";
}

int err_code_exit(enum err_code code)
{
    return (size_t)code < E_COUNT ? exits[code] : EXIT_PERSON;
}

/* A message that does not fit ends in "...", so that nobody takes a cut one for the whole. */
static void mark_cut(char *text, size_t size, int wanted)
{
    if (wanted >= 0 && (size_t)wanted >= size)
        memcpy(text + size - 4, "...", 4);
}

bool err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    /* fmt arguments may point into err->text: print aside first. */
    char text[sizeof(err->text)];
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    mark_cut(text, sizeof(text), n);
    err->code = code;
    memcpy(err->text, text, sizeof(text));
    return false;
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_vset(err, code, fmt, ap);
    va_end(ap);
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    auto_buf struct buf whole = BUF_INIT(2 * sizeof(text));
    buf_printf(&whole, "%s: %s", text, err->text);
    size_t len = whole.len < sizeof(text) - 1 ? whole.len : sizeof(text) - 1;
    memcpy(text, buf_str(&whole), len);
    text[len] = '\0';
    mark_cut(text, sizeof(text), n < 0 ? 0 : (int)whole.len);
    memcpy(err->text, text, sizeof(text));
    return false;
}

bool err_errno(struct err *err, enum err_code code, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    err_vset(err, code, fmt, ap);
    va_end(ap);
    return err_set(err, code, "%s: %s", err->text, strerror(saved));
}

void must_fail(const char *file, int line, const char *expr)
{
    fprintf(stderr, "release: internal error at %s:%d: %s does not hold. Please report this.\n", file, line,
            expr);
    abort();
}
