/* SPDX-License-Identifier: MIT */
/* nginx: the file of servers, and what the script tells of its host. Pure, so that tests can feed it anything. */
#include "drivers/balancer/nginx/nginx.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "drivers/balancer/host.h"

#define SERVERS_MAX 2000
#define LINE_BYTES  1000
/* A worker's start is told in ticks, mostly hundredths of a second, and the file's change by another clock. */
#define SLACK_MS 30

/* ---- addresses ------------------------------------------------------------- */

static bool port_parse(const char *text, int *ret)
{
    size_t n = strspn(text, "0123456789");
    *ret = n > 0 && n <= 5 ? atoi(text) : 0;
    return text[n] == '\0' && *ret >= 1 && *ret <= 65535;
}

bool nginx_addr_parse(const char *text, struct arena *a, const char **ret_host, int *ret_port)
{
    bool six = text[0] == '[';
    size_t n = six ? strcspn(text + 1, "]") : strcspn(text, ":");
    const char *host = arena_strndup(a, text + six, n), *rest = text + six + n;
    struct in6_addr addr;
    if (six && (*rest != ']' || inet_pton(AF_INET6, host, &addr) != 1))
        return false;
    rest += six;
    if (!six && !lb_host_valid(host))
        return false;
    *ret_host = host;
    *ret_port = 80;
    return *rest == '\0' || (*rest == ':' && port_parse(rest + 1, ret_port));
}

bool nginx_name_valid(const char *s)
{
    return word_valid(s, "._:@~[]-", 200);
}

/* ---- one line -------------------------------------------------------------- */

static bool digits_valid(const char *s, long least)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 9 && s[n] == '\0' && atol(s) >= least;
}

/* 10, 10s, 500ms, "1m30s". */
static bool time_valid(const char *s)
{
    static const char *const units[] = {"ms", "s", "m", "h", "d", "w", "M", "y"};
    while (*s) {
        size_t n = strspn(s, "0123456789"), unit = 0, k = 0;
        if (n == 0 || n > 9)
            return false;
        s += n;
        for (; k < sizeof units / sizeof *units && unit == 0; k++)
            unit = strncmp(s, units[k], strlen(units[k])) == 0 ? strlen(units[k]) : 0;
        if (unit == 0 && *s)
            return false;
        s += unit;
    }
    return true;
}

/* NULL: it is fine; else what was wanted. */
static const char *param_wrong(const char *word, bool *io_down)
{
    static const struct {
        const char *name;
        int least; /* -1: a time */
    } values[] = {{"weight=", 1}, {"max_conns=", 0}, {"max_fails=", 0}, {"fail_timeout=", -1}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (!str_starts(word, values[i].name))
            continue;
        const char *value = word + strlen(values[i].name);
        if (values[i].least < 0)
            return *value && time_valid(value) ? NULL : "a time, as 10s";
        return digits_valid(value, values[i].least) ? NULL : "a whole number";
    }
    if (!strcmp(word, "down") && !*io_down) {
        *io_down = true;
        return NULL;
    }
    return !strcmp(word, "backup") || !strcmp(word, "resolve")
               ? NULL
               : "weight=, max_conns=, max_fails=, fail_timeout=, backup, resolve and one down";
}

struct line {
    char *text;
    int number;
    struct arena *a;
    struct err *err;
};

/* Of another's file, so it may be anything. */
static const char *shown(const struct line *l, const char *word)
{
    auto_buf struct buf b = BUF_INIT(100);
    text_visible(&b, word, strlen(word));
    return arena_strdup(l->a, buf_str(&b));
}

static bool line_wrong(const struct line *l, const char *what, const char *word)
{
    return err_set(l->err, E_CONFIG, "line %d: %s \"%s\"; wanted one `server ADDRESS [PARAMETERS];` a line",
                   l->number, what, shown(l, word));
}

/* Behind the ';': nothing, or a comment, whose one word is the server's name. */
static bool rest_of(const struct line *l, char *rest, struct nginx_server *ret)
{
    rest += strspn(rest, " \t");
    if (*rest == '\0')
        return true;
    if (*rest != '#')
        return line_wrong(l, "behind the server stands", rest);
    rest += strspn(rest, "# \t");
    size_t n = strcspn(rest, " \t");
    if (rest[n + strspn(rest + n, " \t")] == '\0' && n > 0) {
        const char *name = arena_strndup(l->a, rest, n);
        ret->name = nginx_name_valid(name) ? name : NULL;
    }
    return true;
}

static bool server_of(const struct line *l, struct nginx_server *ret)
{
    char *end = strchr(l->text, ';'), *save = NULL;
    if (!end)
        return line_wrong(l, "no ';' in", l->text);
    if (!rest_of(l, end + 1, ret))
        return false;
    *end = '\0';
    char *word = strtok_r(l->text, " \t", &save);
    if (!word || strcmp(word, "server") != 0)
        return line_wrong(l, "found", word ? word : ";");
    word = strtok_r(NULL, " \t", &save);
    if (!word || !nginx_addr_parse(word, l->a, &ret->host, &ret->port))
        return line_wrong(l, "no HOST, HOST:PORT or [IPV6]:PORT is", word ? word : "");
    ret->addr = arena_strdup(l->a, word);
    while ((word = strtok_r(NULL, " \t", &save))) {
        const char *wanted = param_wrong(word, &ret->down);
        if (wanted)
            return err_set(l->err, E_CONFIG, "line %d: server %s: parameter \"%s\"; wanted %s", l->number,
                           ret->addr, shown(l, word), wanted);
    }
    return true;
}

/* ---- the file -------------------------------------------------------------- */

static const struct nginx_server *twin_of(const struct nginx_servers *all, const struct nginx_server *s)
{
    for (size_t i = 0; i < all->n; i++) {
        if (!strcmp(all->rows[i].host, s->host) && all->rows[i].port == s->port)
            return &all->rows[i];
    }
    return NULL;
}

/* A comment that stands behind several servers is nobody's name. */
static void names_alone(struct nginx_servers *io)
{
    for (size_t i = 0; i < io->n; i++) {
        const char *name = io->rows[i].name;
        bool alone = true;
        for (size_t k = i + 1; name && k < io->n; k++) {
            if (!io->rows[k].name || strcmp(io->rows[k].name, name) != 0)
                continue;
            io->rows[k].name = NULL;
            alone = false;
        }
        io->rows[i].name = alone ? name : NULL;
    }
}

static bool line_valid(const struct line *l, const char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c < 0x20 && c != '\t')
            return err_set(l->err, E_CONFIG,
                           "line %d: byte 0x%02x; wanted plain text, and lines that end in a newline alone",
                           l->number, c);
    }
    return n <= LINE_BYTES ||
           err_set(l->err, E_CONFIG, "line %d: longer than %d bytes", l->number, LINE_BYTES);
}

static bool line_take(const struct line *l, struct nginx_servers *io)
{
    struct nginx_server s = {.line = l->number};
    const char *first = l->text + strspn(l->text, " \t");
    if (*first == '\0' || *first == '#')
        return true;
    if (!server_of(l, &s))
        return false;
    const struct nginx_server *twin = twin_of(io, &s);
    if (twin)
        return err_set(l->err, E_CONFIG, "line %d: server %s stands in line %d already", l->number, s.addr,
                       twin->line);
    if (io->n == SERVERS_MAX)
        return err_set(l->err, E_LIMIT, "more than %d servers", SERVERS_MAX);
    io->rows[io->n++] = s;
    return true;
}

bool nginx_servers_parse(const char *text, size_t n, struct arena *a, struct nginx_servers *ret,
                         struct err *err)
{
    size_t lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    *ret = (struct nginx_servers){
        .rows = arena_array(a, (lines < SERVERS_MAX ? lines : SERVERS_MAX) + 1, sizeof *ret->rows)};
    for (struct line l = {.number = 1, .a = a, .err = err}; n > 0; l.number++) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline ? (size_t)(newline - text) : n, step = len + (newline != NULL);
        if (!line_valid(&l, text, len))
            return false;
        l.text = arena_strndup(a, text, len);
        if (!line_take(&l, ret))
            return false;
        text += step;
        n -= step;
    }
    names_alone(ret);
    return true;
}

/* ---- what the script tells ------------------------------------------------- */

/* "12.3456" as milliseconds. */
static bool ms_parse(const char *s, int64_t *ret)
{
    char *end;
    int64_t whole = strtoll(s, &end, 10), part = 0, unit = 100;
    if (!isdigit((unsigned char)*s) || whole > INT64_MAX / 2000)
        return false;
    if (*end == '.')
        for (end++; isdigit((unsigned char)*end); end++, unit /= 10)
            part += unit * (*end - '0');
    *ret = whole * 1000 + part;
    return *end == '\0';
}

struct telling {
    int64_t now_ms, changed_ms; /* of the wall's clock */
    int64_t now_ticks, ticks,
        oldest;      /* of the clock of starts, `ticks` a second; oldest: the start of that worker */
    bool known_same; /* what the workers have, written down when it was put back */
};

static bool worker_take(const char *words, struct telling *t, struct nginx_look *io)
{
    long long pid, start;
    char is[16];
    if (sscanf(words, "%lld %lld %15s", &pid, &start, is) != 3 || start < 0)
        return false;
    if (!strcmp(is, "leaving")) {
        io->leaving++;
        return true;
    }
    t->oldest = io->current == 0 || start < t->oldest ? start : t->oldest;
    io->current++;
    return !strcmp(is, "current");
}

/* "Active connections: 1 server accepts handled requests 3 3 3 Reading: 0 Writing: 1 Waiting: 0" */
static void status_take(const char *words, struct arena *a, struct nginx_look *io)
{
    unsigned long long active, reading, writing, waiting;
    const char *rest = strstr(words, "Reading:");
    io->unfit_status =
        sscanf(words, "Active connections: %llu", &active) != 1 || !rest ||
        sscanf(rest, "Reading: %llu Writing: %llu Waiting: %llu", &reading, &writing, &waiting) != 3;
    io->status = io->unfit_status
                     ? "its answer is not that of stub_status"
                     : arena_printf(a, "%llu connections: %llu reading, %llu writing, %llu waiting", active,
                                    reading, writing, waiting);
}

static bool word_take(const char *line, struct arena *a, struct telling *t, struct nginx_look *io)
{
    const char *value = strchr(line, ' ');
    value = value ? value + 1 : "";
    if (str_starts(line, "worker "))
        return worker_take(value, t, io);
    if (str_starts(line, "now "))
        return ms_parse(value, &t->now_ms);
    if (str_starts(line, "started "))
        return sscanf(value, "%" SCNd64, &t->now_ticks) == 1 && t->now_ticks >= 0;
    if (str_starts(line, "ticks "))
        return digits_valid(value, 1) && (t->ticks = atol(value)) > 0;
    if (str_starts(line, "changed ")) {
        t->known_same = !strcmp(value, "-");
        return t->known_same || ms_parse(value, &t->changed_ms);
    }
    if (str_starts(line, "status "))
        status_take(value, a, io);
    else if (str_starts(line, "nostatus ")) {
        io->unfit_status = true;
        io->status = arena_strdup(a, value);
    } else
        return false;
    return true;
}

/* How long ago both were, each by its own clock. A worker that is yet to start is told by two clocks: nobody knows its age. */
static bool is_stale(const struct telling *t, const struct nginx_look *look)
{
    int64_t worker_age_ms = (t->now_ticks - t->oldest) * 1000 / t->ticks;
    bool older = worker_age_ms > t->now_ms - t->changed_ms + SLACK_MS;
    return !t->known_same && look->current > 0 && (older || worker_age_ms < -SLACK_MS);
}

bool nginx_look_parse(const char *text, size_t n, struct arena *a, struct nginx_look *ret, struct err *err)
{
    struct telling t = {.now_ms = -1, .changed_ms = -1, .now_ticks = -1, .ticks = -1};
    *ret = (struct nginx_look){0};
    while (n > 0) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline ? (size_t)(newline - text) : n, step = len + (newline != NULL);
        const char *line = arena_strndup(a, text, len);
        text += step;
        n -= step;
        if (!strcmp(line, "file")) {
            if (t.now_ms < 0 || t.now_ticks < 0 || t.ticks < 0 || (t.changed_ms < 0 && !t.known_same))
                break;
            ret->stale = is_stale(&t, ret);
            return nginx_servers_parse(text, n, a, &ret->servers, err);
        }
        if (!word_take(line, a, &t, ret))
            break;
    }
    return err_set(err, E_PROTO,
                   "its host's answer cannot be understood; is there a POSIX shell with GNU coreutils?");
}
