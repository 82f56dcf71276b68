/* SPDX-License-Identifier: MIT */
/* lvs: addresses, and what ipvsadm lists. Pure, so that tests can feed it anything. */
#include "drivers/balancer/lvs/lvs.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define ROWS_MAX  20000
#define WORDS_MAX 24
#define LINE_MAX  500

/* ---- addresses ------------------------------------------------------------- */

static bool number_parse(const char *text, int64_t most, int64_t *ret)
{
    size_t n = strspn(text, "0123456789");
    *ret = n > 0 && n <= 18 ? strtoll(text, NULL, 10) : -1;
    return n > 0 && n <= 18 && text[n] == '\0' && *ret <= most;
}

bool lvs_address_parse(const char *text, struct arena *a, struct lvs_address *ret)
{
    bool six = text[0] == '[';
    size_t n = six ? strcspn(text + 1, "]") : strcspn(text, ":");
    const char *host = arena_strndup(a, text + six, n), *rest = text + six + n;
    char plain[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    int family = six ? AF_INET6 : AF_INET;
    int64_t port = -1;
    if ((six && *rest++ != ']') || inet_pton(family, host, &addr) != 1 ||
        !inet_ntop(family, &addr, plain, sizeof plain))
        return false;
    if (*rest && (*rest != ':' || !number_parse(rest + 1, 65535, &port)))
        return false;
    *ret = (struct lvs_address){.host = arena_strdup(a, plain), .port = (int)port};
    return true;
}

bool lvs_address_same(const struct lvs_address *asked, const struct lvs_address *listed)
{
    return !strcmp(asked->host, listed->host) && (asked->port < 0 || asked->port == listed->port);
}

static const char *address_text(const struct lvs_address *at, struct arena *a)
{
    return arena_printf(a, strchr(at->host, ':') ? "[%s]:%d" : "%s:%d", at->host, at->port);
}

bool lvs_name_valid(const char *s)
{
    return word_valid(s, "._:[]-", 100);
}

/* ---- services -------------------------------------------------------------- */

static bool mark_parse(const char *text, bool six, struct arena *a, struct lvs_service *ret)
{
    int64_t mark;
    if (!number_parse(text, UINT32_MAX, &mark) || mark == 0)
        return false;
    *ret = (struct lvs_service){.text = arena_printf(a, "fwm%s:%" PRId64, six ? "6" : "", mark),
                                .option = "-f",
                                .address = arena_printf(a, "%" PRId64, mark),
                                .six = six};
    return true;
}

bool lvs_service_parse(const char *text, struct arena *a, struct lvs_service *ret)
{
    bool udp = str_starts(text, "udp:");
    struct lvs_address at;
    if (str_starts(text, "fwm:"))
        return mark_parse(text + strlen("fwm:"), false, a, ret);
    if (str_starts(text, "fwm6:"))
        return mark_parse(text + strlen("fwm6:"), true, a, ret);
    if (!lvs_address_parse(text + (udp ? strlen("udp:") : 0), a, &at) || at.port < 0)
        return false;
    const char *address = address_text(&at, a);
    *ret = (struct lvs_service){.text = udp ? arena_printf(a, "udp:%s", address) : address,
                                .option = udp ? "-u" : "-t",
                                .address = address};
    return true;
}

/* ---- lines ----------------------------------------------------------------- */

struct words {
    const char *w[WORDS_MAX];
    size_t n;
};

/* The next line's words. false: there is none. */
static bool next_line(const char **io, const char *end, struct arena *a, struct words *ret)
{
    const char *line = *io, *stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    if (line >= end)
        return false;
    stop = stop ? stop : end;
    *io = stop + 1;
    ret->n = 0;
    size_t len = (size_t)(stop - line);
    char *p = arena_strndup(a, line, len < LINE_MAX ? len : LINE_MAX), *save = NULL;
    for (p = strtok_r(p, " \t\r", &save); p && ret->n < WORDS_MAX; p = strtok_r(NULL, " \t\r", &save))
        ret->w[ret->n++] = p;
    return true;
}

/* ---- the list -------------------------------------------------------------- */

enum column { COL_WEIGHT, COL_TEMPLATES, COL_ACTIVE, COL_INACTIVE, N_COLUMNS };
static const char *const column_names[N_COLUMNS] = {"Weight", "PersistConn", "ActiveConn", "InActConn"};

struct lvs_reader {
    struct arena *a;
    struct lvs_table *t;
    struct lvs_server *opens; /* address and open only */
    size_t n_opens, room;
    int columns[N_COLUMNS]; /* which word of a real server's line; 0: no title names it */
    int n_titles;
    const struct lvs_service *service;
    bool skipping; /* of a protocol that is not ours */
};

/* Titles stand in one line or in two; those of the columns are in the order of the columns. */
static void take_titles(struct lvs_reader *r, const struct words *w)
{
    static const char *const no_columns[] = {"Prot", "LocalAddress:Port", "Scheduler", "Flags",
                                             "->",   "RemoteAddress:Port"};
    for (size_t i = 0; i < w->n; i++) {
        bool column = true;
        for (size_t k = 0; k < sizeof no_columns / sizeof *no_columns; k++)
            column = column && strcmp(w->w[i], no_columns[k]) != 0;
        for (size_t k = 0; column && k < N_COLUMNS; k++) {
            if (!strcmp(w->w[i], column_names[k]))
                r->columns[k] = 2 + r->n_titles;
        }
        r->n_titles += column;
    }
}

static bool is_title(const struct words *w)
{
    return !strcmp(w->w[0], "Prot") || (w->n > 1 && !strcmp(w->w[1], "RemoteAddress:Port"));
}

static bool titles_fit(const struct lvs_reader *r, struct err *err)
{
    for (size_t k = 0; k < N_COLUMNS; k++) {
        if (!r->columns[k])
            return err_set(err, E_PROTO, "ipvsadm -L -n --persistent-conn lists no column %s",
                           column_names[k]);
    }
    return true;
}

static bool take_service(struct lvs_reader *r, const struct words *w, struct err *err)
{
    struct lvs_service s;
    bool mark = !strcmp(w->w[0], "FWM"), six = mark && w->n > 2 && !strcmp(w->w[2], "IPv6");
    r->skipping = !mark && strcmp(w->w[0], "TCP") != 0 && strcmp(w->w[0], "UDP") != 0;
    if (r->skipping) /* SCTP */
        return true;
    if (w->n < 2)
        return err_set(err, E_PROTO, "ipvsadm lists a service without its address");
    const char *head = six ? "fwm6:" : mark ? "fwm:" : !strcmp(w->w[0], "UDP") ? "udp:" : "";
    if (!lvs_service_parse(arena_printf(r->a, "%s%s", head, w->w[1]), r->a, &s))
        return err_set(err, E_PROTO, "ipvsadm lists a service \"%.100s\" that is no address or mark",
                       w->w[1]);
    for (size_t i = 2; i + 1 < w->n; i++) {
        if (!strcmp(w->w[i], "persistent") && !number_parse(w->w[i + 1], INT32_MAX, &s.persistent_s))
            return err_set(err, E_PROTO, "ipvsadm lists %s as persistent for \"%.40s\"", s.text, w->w[i + 1]);
    }
    struct lvs_service *kept = &r->t->services[r->t->n_services++];
    *kept = s;
    r->service = kept;
    return true;
}

/* A mark's real server has port 0, and each of its connections that of its client's. */
static int64_t open_of(const struct lvs_reader *r, const struct lvs_server *s)
{
    int64_t ret = 0;
    for (size_t i = 0; i < r->n_opens; i++) {
        const struct lvs_address *to = &r->opens[i].address;
        if (!strcmp(to->host, s->address.host) && (s->address.port == 0 || to->port == s->address.port))
            ret += r->opens[i].open;
    }
    return ret;
}

static bool take_server(struct lvs_reader *r, const struct words *w, struct err *err)
{
    int64_t n[N_COLUMNS];
    struct lvs_server *s = &r->t->rows[r->t->n];
    if (r->skipping)
        return true;
    if (!r->service || w->n < 2)
        return err_set(err, E_PROTO, "ipvsadm lists a real server without its service or address");
    *s = (struct lvs_server){.service = r->service, .text = w->w[1]};
    if (!lvs_address_parse(w->w[1], r->a, &s->address) || s->address.port < 0)
        return err_set(err, E_PROTO,
                       "ipvsadm lists a real server \"%.100s\" that is no address with its port", w->w[1]);
    for (size_t k = 0; k < N_COLUMNS; k++) {
        size_t at = (size_t)r->columns[k];
        if (at >= w->n || !number_parse(w->w[at], INT32_MAX, &n[k]))
            return err_set(err, E_PROTO, "ipvsadm lists %s in %s without a number for %s", s->text,
                           r->service->text, column_names[k]);
    }
    s->weight = (int)n[COL_WEIGHT];
    s->templates = n[COL_TEMPLATES], s->active = n[COL_ACTIVE], s->inactive = n[COL_INACTIVE];
    s->open = open_of(r, s);
    r->t->n++;
    return true;
}

static bool list_parse(struct lvs_reader *r, const char **io, const char *end, struct err *err)
{
    struct words w;
    bool known =
        next_line(io, end, r->a, &w) && w.n > 2 && !strcmp(w.w[0], "IP") && !strcmp(w.w[1], "Virtual");
    if (!known)
        return err_set(err, E_PROTO, "answered what is not ipvsadm's list: no line \"IP Virtual Server\"");
    while (next_line(io, end, r->a, &w)) {
        if (r->t->n >= r->room || r->t->n_services >= r->room)
            return err_set(err, E_LIMIT, "lists more than %d real servers or services", ROWS_MAX);
        if (w.n == 0)
            continue;
        if (is_title(&w))
            take_titles(r, &w);
        else if (!titles_fit(r, err) ||
                 !(!strcmp(w.w[0], "->") ? take_server(r, &w, err) : take_service(r, &w, err)))
            return false;
    }
    return titles_fit(r, err);
}

/* ---- what the script says before it ---------------------------------------- */

static size_t count_lines(const char *text, size_t n)
{
    size_t lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static bool take_open(struct lvs_reader *r, const struct words *w, struct err *err)
{
    struct lvs_server *s = &r->opens[r->n_opens];
    if (r->n_opens >= r->room)
        return err_set(err, E_LIMIT, "has connections to more than %d real servers", ROWS_MAX);
    *s = (struct lvs_server){.open = 0};
    r->n_opens++;
    if (!lvs_address_parse(w->w[1], r->a, &s->address) || s->address.port < 0)
        return err_set(err, E_PROTO, "has connections to \"%.100s\", which is no address with its port",
                       w->w[1]);
    return number_parse(w->w[2], INT32_MAX, &s->open) ||
           err_set(err, E_PROTO, "the connections of %.100s are no number", w->w[1]);
}

bool lvs_table_parse(const char *text, size_t n, struct arena *a, struct lvs_table *ret, struct err *err)
{
    const char *at = text, *end = text + n;
    size_t lines = count_lines(text, n);
    struct words w;
    struct lvs_reader r = {.a = a, .t = ret, .room = lines < ROWS_MAX ? lines : ROWS_MAX};
    *ret = (struct lvs_table){.services = arena_array(a, r.room, sizeof *ret->services),
                              .rows = arena_array(a, r.room, sizeof *ret->rows)};
    r.opens = arena_array(a, r.room, sizeof *r.opens);
    while (next_line(&at, end, a, &w)) {
        if (w.n == 1 && !strcmp(w.w[0], "list"))
            return list_parse(&r, &at, end, err);
        if (w.n == 2 && !strcmp(w.w[0], "quiescent"))
            ret->quiescent = !strcmp(w.w[1], "1");
        else if (w.n != 3 || strcmp(w.w[0], "open") != 0)
            break;
        else if (!take_open(&r, &w, err))
            return false;
    }
    return err_set(err, E_PROTO, "its answer has no list");
}
