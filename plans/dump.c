/* SPDX-License-Identifier: MIT */
/* Printing a value tree: JSON typed as Salt types it, and YAML with the place of every value behind it. */
#include "plans/value.h"

#include <string.h>

void json_string_add(struct buf *out, const char *s)
{
    buf_puts(out, "\"");
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '\t')
            buf_puts(out, "\\t");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_add(out, s, 1);
    }
    buf_puts(out, "\"");
}

static void json_scalar(struct buf *out, const struct value *v)
{
    int64_t i;
    double f;
    if (scalar_type(v, &i, &f) == SCALAR_STR)
        json_string_add(out, v->text);
    else
        (void)scalar_text(out, v);
}

void value_json(struct buf *out, const struct value *v)
{
    if (v->kind == VALUE_SCALAR) {
        json_scalar(out, v);
        return;
    }
    bool map = v->kind == VALUE_MAP;
    buf_puts(out, map ? "{" : "[");
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            buf_puts(out, ", ");
        if (map) {
            json_string_add(out, v->entries[i].key);
            buf_puts(out, ": ");
        }
        value_json(out, map ? v->entries[i].value : v->items[i]);
    }
    buf_puts(out, map ? "}" : "]");
}

static bool key_is_simple(const char *key)
{
    bool yes;
    return key[0] != '\0' &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(key) &&
           key[0] != '-' && !scalar_bool(key, &yes);
}

static void text_key(struct buf *out, const char *key)
{
    if (key_is_simple(key))
        buf_puts(out, key);
    else
        json_string_add(out, key);
    buf_puts(out, ":");
}

static void text_scalar(struct buf *out, const struct value *v)
{
    size_t from = out->len;
    buf_puts(out, " ");
    if (v->plain && strpbrk(v->text, "\n\t") == NULL)
        text_visible(out, v->text, strlen(v->text));
    else
        json_string_add(out, v->text);
    size_t wide = out->len - from;
    buf_printf(out, "%*s# %s:%d\n", wide < 30 ? (int)(30 - wide) : 2, "", v->at.file, v->at.line);
}

static void indent(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_puts(out, "  ");
}

static void text_value(struct buf *out, const struct value *v, size_t depth, bool inline_first);

static void text_child(struct buf *out, const struct value *v, size_t depth)
{
    if (v->kind == VALUE_SCALAR)
        text_scalar(out, v);
    else if (v->n == 0)
        buf_puts(out, v->kind == VALUE_MAP ? " {}\n" : " []\n");
    else {
        buf_puts(out, "\n");
        text_value(out, v, depth, false);
    }
}

/* inline_first: the first entry goes behind the "- " that is there already. */
static void text_value(struct buf *out, const struct value *v, size_t depth, bool inline_first)
{
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0 || !inline_first)
            indent(out, depth);
        if (v->kind == VALUE_MAP) {
            text_key(out, v->entries[i].key);
            text_child(out, v->entries[i].value, depth + 1);
            continue;
        }
        buf_puts(out, "-");
        const struct value *item = v->items[i];
        if (item->kind == VALUE_MAP && item->n > 0) {
            buf_puts(out, " ");
            text_value(out, item, depth + 1, true);
        } else {
            text_child(out, item, depth + 1);
        }
    }
}

void value_text(struct buf *out, const struct value *v)
{
    if (v->kind == VALUE_SCALAR)
        text_scalar(out, v);
    else
        text_value(out, v, 0, false);
}
