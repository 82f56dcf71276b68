/* SPDX-License-Identifier: MIT */
/* What was taken from another tool's files, and the pillar that it makes. */
#include "cli/init.h"

#include <stdio.h>
#include <string.h>

#include "base/auto.h"

#define FILE_MAX_BYTES (1024 * 1024)

const char *init_file(const char *path, struct arena *arena)
{
    auto_close_file FILE *f = fopen(path, "re");
    auto_buf struct buf text = BUF_INIT(FILE_MAX_BYTES);
    char piece[8192];
    size_t n;
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&text, piece, n);
    if (!f || text.cut || (text.len && memchr(text.data, '\0', text.len)))
        return NULL;
    return arena_strdup(arena, buf_str(&text));
}

struct taken_value taken_at(const char *text, const char *place)
{
    return (struct taken_value){.text = text, .place = place};
}

void taken_add(struct import *t, struct taken_list *list, const char *text, const char *place)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->list[i].text, text) == 0)
            return;
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 16;
        struct taken_value *more = arena_array(t->arena, list->cap, sizeof *more);
        for (size_t i = 0; i < list->n; i++)
            more[i] = list->list[i];
        list->list = more;
    }
    list->list[list->n++] = taken_at(text, place);
}

void taken_left(struct import *t, const char *place, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(t->arena, fmt, ap);
    va_end(ap);
    taken_add(t, &t->left, text, place);
}

void taken_server_add(struct import *t, struct taken_server server)
{
    for (size_t i = 0; i < t->n_servers; i++)
        if (strcmp(t->servers[i].name, server.name) == 0)
            return;
    if (t->n_servers == t->cap_servers) {
        t->cap_servers = t->cap_servers ? 2 * t->cap_servers : 16;
        struct taken_server *more = arena_array(t->arena, t->cap_servers, sizeof *more);
        for (size_t i = 0; i < t->n_servers; i++)
            more[i] = t->servers[i];
        t->servers = more;
    }
    t->servers[t->n_servers++] = server;
}

/* ---- the pillar */

/* A text of somebody else's file as one scalar that is nothing but text. */
static void put_scalar(struct buf *out, const char *text)
{
    buf_puts(out, "'");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\'')
            buf_puts(out, "''");
        else if (c >= 0x20 && c != 0x7f)
            buf_add(out, text, 1);
    }
    buf_puts(out, "'");
}

/* In a comment: one line. */
static void put_comment(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_add(out, (unsigned char)*text >= 0x20 && *text != 0x7f ? text : " ", 1);
}

static void put_place(struct buf *out, const char *place)
{
    buf_puts(out, "  # ");
    put_comment(out, place ? place : "A GUESS: correct it");
    buf_puts(out, "\n");
}

static void put_key(struct buf *out, const char *key, const struct taken_value *v)
{
    if (!v->text)
        return;
    buf_printf(out, "  %s: ", key);
    put_scalar(out, v->text);
    put_place(out, v->place);
}

/* Plain words of ours: numbers, flow maps. */
static void put_raw(struct buf *out, const char *key, const struct taken_value *v)
{
    if (!v->text)
        return;
    buf_printf(out, "  %s: %s", key, v->text);
    put_place(out, v->place);
}

static void put_servers(struct buf *out, const struct import *t)
{
    buf_puts(out, "  app_servers:\n");
    for (size_t i = 0; i < t->n_servers; i++) {
        const struct taken_server *s = &t->servers[i];
        bool other_user = s->user && (!t->user.text || strcmp(s->user, t->user.text) != 0);
        buf_printf(out, "    '%s': {host: ", s->name);
        put_scalar(out, s->host);
        if (other_user || s->port) {
            buf_puts(out, ", ssh: {");
            if (other_user) {
                buf_puts(out, "user: ");
                put_scalar(out, s->user);
            }
            if (s->port)
                buf_printf(out, "%sport: %s", other_user ? ", " : "", s->port);
            buf_puts(out, "}");
        }
        buf_puts(out, "}");
        put_place(out, s->place);
    }
    if (t->n_servers == 0)
        buf_puts(out, "    app1: {host: 10.10.10.11}  # A GUESS: no server was found\n");
}

static void put_shared(struct buf *out, const struct import *t)
{
    if (t->files.n + t->dirs.n == 0)
        return;
    buf_puts(out, "  shared:\n");
    for (size_t i = 0; i < t->files.n; i++) {
        buf_puts(out, "    - {path: ");
        put_scalar(out, t->files.list[i].text);
        buf_puts(out, ", file: yes}");
        put_place(out, t->files.list[i].place);
    }
    for (size_t i = 0; i < t->dirs.n; i++) {
        buf_puts(out, "    - ");
        put_scalar(out, arena_printf(t->arena, "%s/", t->dirs.list[i].text));
        put_place(out, t->dirs.list[i].place);
    }
}

static void put_build(struct buf *out, const struct import *t)
{
    buf_puts(out, t->build.n ? "  build:  # beside what runs, before anything leaves rotation\n" : "");
    for (size_t i = 0; i < t->build.n; i++) {
        buf_printf(out, "    - %s", t->build.list[i].text);
        put_place(out, t->build.list[i].place);
    }
}

static void put_rest(struct buf *out, const struct import *t)
{
    if (t->balancer.text)
        put_raw(out, "balancer", &t->balancer);
    else
        buf_puts(
            out,
            "  # FILL IN what sends requests to the servers; without it they are restarted while users are on them:\n"
            "  # balancer: {haproxy: {sockets: ['unix:///run/haproxy/admin.sock@lb1'], backend: site}}\n");
    buf_puts(out, t->supervisor ? "  supervisor: {programs: [" : "  service: {name: ");
    put_scalar(out, t->program.text);
    buf_puts(out, t->supervisor ? "]}" : "}");
    put_place(out, t->program.place);
    if (t->check.text)
        put_key(out, "check", &t->check);
    else
        buf_puts(out, "  # FILL IN how a server shows that it is healthy; without it nobody looks:\n"
                      "  # check: {url: 'http://{host}:8080/', status: 200}\n");
    buf_puts(out,
             "  stages: [1, 100%]  # one server first, judged for `soak`, then the others\n  soak: 30s\n");
    if (!t->window.text)
        buf_puts(out, "  window: 1\n");
    put_raw(out, "window", &t->window);
    buf_puts(out, "  on_failure: rollback\n");
}

const char *taken_pillar(struct import *t, const char *kind)
{
    auto_buf struct buf out = BUF_INIT(4 * FILE_MAX_BYTES);
    buf_printf(
        &out,
        "#!yaml\n# The %s environment, made from the files of %s. Behind each value stands where it was found.\n"
        "# What each key means: docs/pillar.md. 'release doctor %s' reads it, 'release check %s' asks the servers; neither "
        "changes anything.\n",
        t->env, kind, t->env, t->env);
    for (size_t i = 0; i < t->left.n; i++) {
        buf_puts(&out, i ? "" : "#\n# Not taken along:\n");
        buf_puts(&out, "#   ");
        put_comment(&out, t->left.list[i].place);
        buf_puts(&out, ": ");
        put_comment(&out, t->left.list[i].text);
        buf_puts(&out, "\n");
    }
    buf_puts(&out, "release:\n");
    put_key(&out, "app", &t->app);
    put_key(&out, "repo", &t->repo);
    put_key(&out, "branch", &t->branch);
    put_key(&out, "dir", &t->dir);
    put_raw(&out, "keep", &t->keep);
    if (t->user.text) {
        buf_puts(&out, "  ssh: {user: ");
        put_scalar(&out, t->user.text);
        buf_puts(&out, "}");
        put_place(&out, t->user.place);
    }
    put_servers(&out, t);
    put_shared(&out, t);
    put_build(&out, t);
    put_rest(&out, t);
    return out.cut ? NULL : arena_strdup(t->arena, buf_str(&out));
}
