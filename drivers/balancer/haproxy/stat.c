/* SPDX-License-Identifier: MIT */
/* HAProxy's `show stat` as data: what runs on each server, of this process or of an old one. Pure, as parse.c. */
#include "drivers/balancer/haproxy/parse_priv.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum stat_col {
    SC_PROXY,
    SC_ID,
    SC_NAME,
    SC_QCUR,
    SC_SCUR,
    SC_STATUS,
    SC_CHECK,
    SC_WANTED, /* from here on: what is not there is not told */
    SC_BACKUP = SC_WANTED,
    SC_TRACKED,
    SC_TOTAL,
    SC_5XX,
    SC_ERESP,
    SC_ECON,
    SC_TTIME,
    SC_COLS
};
static const char *const stat_cols[SC_COLS] = {
    [SC_BACKUP] = "bck",         [SC_TRACKED] = "tracked", [SC_PROXY] = "pxname", [SC_ID] = "iid",
    [SC_NAME] = "svname",        [SC_QCUR] = "qcur",       [SC_SCUR] = "scur",    [SC_STATUS] = "status",
    [SC_CHECK] = "check_status", [SC_TOTAL] = "stot",      [SC_5XX] = "hrsp_5xx", [SC_ERESP] = "eresp",
    [SC_ECON] = "econ",          [SC_TTIME] = "ttime"};

/* One field; quoted ones may hold commas and line ends, and what a health check answered stands in one: so a
 * node must not be able to write rows. Returns the byte that ended it. */
static char csv_field(char **io, char **ret)
{
    char *in = *io, *out = *io;
    bool quoted = *in == '"';
    in += quoted;
    *ret = out;
    for (; *in; in++) {
        if (quoted && in[0] == '"' && in[1] == '"')
            in++;
        else if (quoted && in[0] == '"')
            quoted = false;
        else if (!quoted && (*in == ',' || *in == '\n'))
            break;
        else
            *out++ = *in;
        if (!quoted && in[0] == '"' && (in[1] == ',' || in[1] == '\n' || !in[1])) {
            in++;
            break;
        }
    }
    char end = *in;
    *io = end ? in + 1 : in;
    *out = '\0';
    return end;
}

/* Number of columns of the next row, 0 at an empty line or the end. */
static size_t csv_row(char **io, char **cols)
{
    size_t n = 0;
    if (!**io || **io == '\n')
        return 0;
    for (char end = ','; end == ',';) {
        char *field;
        end = csv_field(io, &field);
        if (n < COLUMNS_MAX)
            cols[n++] = field;
    }
    return n;
}

static bool stat_header(char **io, int *at)
{
    char *cols[COLUMNS_MAX];
    if (!str_starts(*io, "# "))
        return false;
    *io += 2;
    size_t n = csv_row(io, cols);
    for (int i = 0; i < SC_COLS; i++) {
        at[i] = hap_column(cols, n, stat_cols[i]);
        if (at[i] < 0 && i < SC_WANTED)
            return false;
    }
    return true;
}

/* A column that is not there, is empty (5xx of a TCP server) or is no number. */
static int64_t counted(char **cols, size_t n, int at)
{
    char *end = NULL;
    if (at < 0 || (size_t)at >= n || !isdigit((unsigned char)cols[at][0]))
        return -1;
    errno = 0;
    long long v = strtoll(cols[at], &end, 10);
    return *end || errno || v > INT64_MAX / 4 ? -1 : v;
}

/* A 5xx of the application, an answer that broke off, a connection that was not taken. */
static struct lb_traffic traffic_of(char **cols, size_t n, const int *at)
{
    int64_t s5 = counted(cols, n, at[SC_5XX]), resp = counted(cols, n, at[SC_ERESP]);
    int64_t con = counted(cols, n, at[SC_ECON]);
    return (struct lb_traffic){.requests = counted(cols, n, at[SC_TOTAL]),
                               .errors = resp >= 0 && con >= 0 ? (s5 > 0 ? s5 : 0) + resp + con : -1,
                               .answer_ms = counted(cols, n, at[SC_TTIME])};
}

/* Both answers have the servers in one order: it is looked for from where the last one was. */
static struct hap_server *row_after(struct hap_table *t, size_t *io_pos, int id, const char *name)
{
    for (size_t k = 0; k < t->n; k++) {
        struct hap_server *s = &t->rows[(*io_pos + k) % t->n];
        if (s->backend_id == id && !strcmp(s->name, name)) {
            *io_pos = (*io_pos + k + 1) % t->n;
            return s;
        }
    }
    return NULL;
}

static const char *text_at(char **cols, size_t n, int at)
{
    return at >= 0 && (size_t)at < n ? cols[at] : "";
}

static bool stat_row(char **cols, size_t n, const int *at, size_t *io_pos, struct hap_table *io)
{
    int scur, qcur = 0, id;
    for (int i = 0; i < SC_WANTED; i++) {
        if ((size_t)at[i] >= n)
            return false;
    }
    if (!hap_number(cols[at[SC_ID]], 0, INT_MAX, &id))
        return false;
    struct hap_server *s = row_after(io, io_pos, id, cols[at[SC_NAME]]);
    if (!s)
        return true; /* another kind of row; a missing server is found out below */
    if (!hap_number(cols[at[SC_SCUR]], 0, INT_MAX, &scur) ||
        (*cols[at[SC_QCUR]] && !hap_number(cols[at[SC_QCUR]], 0, INT_MAX, &qcur)))
        return false;
    s->sessions = scur;
    s->queued = qcur;
    s->traffic = traffic_of(cols, n, at);
    s->backup = !strcmp(text_at(cols, n, at[SC_BACKUP]), "1");
    s->tracked = *text_at(cols, n, at[SC_TRACKED]) ? cols[at[SC_TRACKED]] : NULL;
    s->status = cols[at[SC_STATUS]];
    s->check_status = cols[at[SC_CHECK]];
    return true;
}

/* Names are the balancer's, made safe. */
static bool row_error(struct err *err, const char *backend, const char *server, const char *what)
{
    auto_buf struct buf b = BUF_INIT(300);
    text_visible(&b, backend, strnlen(backend, 100));
    buf_puts(&b, *server ? "/" : "");
    text_visible(&b, server, strnlen(server, 100));
    return err_set(err, E_PROTO, "%s: `show stat` %s", buf_str(&b), what);
}

bool hap_parse_stat(const char *text, const char *backend, struct arena *a, struct hap_table *io,
                    struct err *err)
{
    char *pos = arena_strdup(a, text);
    int at[SC_COLS];
    if (!stat_header(&pos, at))
        return hap_strange(err, "`show stat`", text);
    char *cols[COLUMNS_MAX];
    size_t last = 0;
    for (size_t n; (n = csv_row(&pos, cols)) > 0;) {
        const char *of = text_at(cols, n, at[SC_PROXY]);
        if ((!backend || !strcmp(of, backend)) && !stat_row(cols, n, at, &last, io))
            return row_error(err, of, "",
                             "has a row with too few columns, or an id or count that is no number");
    }
    for (size_t i = 0; i < io->n; i++) {
        if (!io->rows[i].status)
            return row_error(err, io->rows[i].backend, io->rows[i].name,
                             "has no row, and `show servers state` has one");
    }
    return true;
}

/* One backend's rows. */
static void stand_by(struct hap_server *rows, size_t n, bool floor)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += !rows[i].backup && hap_is_serving(&rows[i]);
    for (size_t i = 0; i < n; i++) {
        if (!rows[i].backup || !hap_is_serving(&rows[i]))
            continue;
        rows[i].standby = left > (floor ? 1 : 0);
        if (!rows[i].standby) /* the first; what comes after it waits for that one */
            left = 2;
    }
}

void hap_stand_by(struct hap_table *io, bool floor)
{
    for (size_t from = 0, to; from < io->n; from = to) {
        for (to = from + 1; to < io->n && io->rows[to].backend_id == io->rows[from].backend_id;)
            to++;
        stand_by(io->rows + from, to - from, floor);
    }
}

bool hap_parse_left(const char *text, struct hap_key of, struct arena *a, int64_t *ret, struct err *err)
{
    char *pos = arena_strdup(a, text), *cols[COLUMNS_MAX];
    int at[SC_COLS], scur, qcur = 0;
    *ret = -1;
    if (!hap_is_whole(text) || !stat_header(&pos, at))
        return hap_strange(err, "`show stat` of an old worker", text);
    for (size_t n; (n = csv_row(&pos, cols)) > 0;) {
        if (strcmp(text_at(cols, n, at[SC_PROXY]), of.backend) != 0 ||
            strcmp(text_at(cols, n, at[SC_NAME]), of.server) != 0)
            continue;
        const char *queue = text_at(cols, n, at[SC_QCUR]);
        if (!hap_number(text_at(cols, n, at[SC_SCUR]), 0, INT_MAX, &scur) ||
            (*queue && !hap_number(queue, 0, INT_MAX, &qcur)))
            return row_error(err, of.backend, of.server, "of an old worker has a count that is no number");
        *ret = (*ret < 0 ? 0 : *ret) + scur + qcur;
    }
    return true;
}
