/* SPDX-License-Identifier: MIT */
/* XML by expat into a tree in an arena (xml.h). */
#include "drivers/op/xml.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

#include "base/str.h"

struct xml_reading {
    XML_Parser parser;
    struct arena *arena;
    struct xml *open[XML_DEPTH_MAX], *last[XML_DEPTH_MAX]; /* last: the youngest child of open[] */
    struct xml *root;
    struct buf text;
    size_t depth, n_nodes;
    const char *problem;
};

static void give_up(struct xml_reading *r, const char *problem)
{
    r->problem = problem;
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct xml_reading *r = ctx;
    (void)attributes;
    if (r->depth == XML_DEPTH_MAX || r->n_nodes == XML_NODES_MAX) {
        give_up(r, "it is nested too deeply, or has too many elements");
        return;
    }
    struct xml *x = arena_alloc(r->arena, sizeof *x);
    *x = (struct xml){.name = arena_strdup(r->arena, local_name(name)), .text = ""};
    r->n_nodes++;
    if (r->depth == 0)
        r->root = x;
    else if (r->last[r->depth - 1])
        r->last[r->depth - 1]->next = x;
    else
        r->open[r->depth - 1]->child = x;
    if (r->depth > 0)
        r->last[r->depth - 1] = x;
    r->last[r->depth] = NULL;
    r->open[r->depth++] = x;
    buf_reset(&r->text);
}

/* Text of an element that has children is nobody's. */
static void on_end(void *ctx, const XML_Char *name)
{
    struct xml_reading *r = ctx;
    (void)name;
    struct xml *x = r->open[--r->depth];
    if (!x->child) {
        const char *from = buf_str(&r->text);
        size_t n = r->text.len, skip = strspn(from, " \t\r\n");
        while (n > skip && strchr(" \t\r\n", from[n - 1]))
            n--;
        x->text = arena_strndup(r->arena, from + skip, n - skip);
    }
    buf_reset(&r->text);
}

static void on_text(void *ctx, const XML_Char *text, int n)
{
    struct xml_reading *r = ctx;
    buf_add(&r->text, text, (size_t)n);
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                       int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    give_up(ctx, "it has a document type");
}

struct xml *xml_parse(struct arena *a, const char *text, size_t n, struct err *err)
{
    struct xml_reading r = {.arena = a, .text = BUF_INIT(n)};
    if (n > INT_MAX) {
        err_set(err, E_LIMIT, "the answer is too long");
        return NULL;
    }
    must((r.parser = XML_ParserCreate("UTF-8")));
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    bool fine = XML_Parse(r.parser, text, (int)n, 1) == XML_STATUS_OK;
    if (!fine)
        err_set(err, E_PROTO, "the answer is not XML that can be used: %s in line %lu",
                r.problem ? r.problem : XML_ErrorString(XML_GetErrorCode(r.parser)),
                XML_GetCurrentLineNumber(r.parser));
    XML_ParserFree(r.parser);
    buf_fini(&r.text);
    return fine ? r.root : NULL;
}

static const struct xml *child_named(const struct xml *at, const char *name, size_t n)
{
    for (const struct xml *x = at ? at->child : NULL; x; x = x->next) {
        if (strlen(x->name) == n && memcmp(x->name, name, n) == 0)
            return x;
    }
    return NULL;
}

const struct xml *xml_get(const struct xml *at, const char *path)
{
    while (at && *path) {
        size_t n = strcspn(path, "/");
        at = child_named(at, path, n);
        path += n + (path[n] == '/');
    }
    return at;
}

const char *xml_text(const struct xml *at, const char *path)
{
    const struct xml *x = xml_get(at, path);
    return x ? x->text : "";
}

const struct xml *xml_next(const struct xml *at)
{
    for (const struct xml *x = at->next; x; x = x->next) {
        if (!strcmp(x->name, at->name))
            return x;
    }
    return NULL;
}
