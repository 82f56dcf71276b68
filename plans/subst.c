/* SPDX-License-Identifier: MIT */
/* {name} in texts: proved when a plan is made, filled in at dispatch (subst.h). */
#include "plans/subst.h"

#include <string.h>

#define NAME_MAX_LEN 200

/* Length of the name in "{name}" at s, 0 when it is none. */
static size_t name_len(const char *s)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
    size_t n = strspn(s + 1, chars);
    bool letter = (s[1] >= 'a' && s[1] <= 'z') || (s[1] >= 'A' && s[1] <= 'Z') || s[1] == '_';
    return letter && n < NAME_MAX_LEN && s[n + 1] == '}' ? n : 0;
}

static const char *name_at(const char *s, size_t n, char *ret)
{
    memcpy(ret, s + 1, n);
    ret[n] = '\0';
    return s + n + 2;
}

void subst_canonical(struct buf *out, const char *written, subst_fn on_name, void *ctx)
{
    char name[NAME_MAX_LEN + 1];
    const char *s = written;
    while (*s != '\0') {
        bool shell = s > written && s[-1] == '$'; /* ${HOME} is the shell's */
        size_t n = *s == '{' && s[1] != '{' && !shell ? name_len(s) : 0;
        if (n > 0) {
            s = name_at(s, n, name);
            on_name(ctx, name, out);
        } else if (*s == '{' || *s == '}') {
            char twice[2] = {*s, *s};
            buf_add(out, twice, 2);
            s += s[1] == *s ? 2 : 1;
        } else {
            buf_add(out, s++, 1);
        }
    }
}

void subst_expand(struct buf *out, const char *canonical, subst_fn on_name, void *ctx)
{
    char name[NAME_MAX_LEN + 1];
    const char *s = canonical;
    while (*s != '\0') {
        size_t plain = strcspn(s, "{}");
        buf_add(out, s, plain);
        s += plain;
        size_t n = *s == '{' && s[1] != '{' ? name_len(s) : 0;
        if (n > 0) {
            s = name_at(s, n, name);
            on_name(ctx, name, out);
        } else if (*s != '\0') {
            buf_add(out, s, 1);
            s += s[1] == *s ? 2 : 1;
        }
    }
}

void subst_literal(struct buf *out, const char *text)
{
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '{' || *s == '}')
            buf_add(out, s, 1);
        buf_add(out, s, 1);
    }
}

bool subst_has_names(const char *canonical)
{
    for (const char *s = canonical; (s = strpbrk(s, "{}")) != NULL; s += 2)
        if (s[1] != *s)
            return true;
    return false;
}
