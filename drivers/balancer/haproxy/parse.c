/* SPDX-License-Identifier: MIT */
/* HAProxy's addresses and `show servers state` as data. Pure, so that the tests and the fuzzer can feed it anything. */
#include "drivers/balancer/haproxy/parse_priv.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* include/haproxy/server-t.h. Bit 4 ("disabled" in the configuration) stays set after the server was made
 * ready, so it says nothing. */
#define ADMIN_MAINT           0x01u
#define ADMIN_DRAIN           0x08u
#define ADMIN_INHERITED_MAINT 0x02u /* by `track`: the other server's */
#define ADMIN_INHERITED_DRAIN 0x10u
#define ADMIN_UNRESOLVED                                                                                     \
    0x20u /* shown as MAINT (resolution), and nobody's word: it ends with the next good answer */

/* struct check's state, of the agent check. */
#define AGENT_CONFIGURED 0x02u
#define AGENT_ENABLED    0x04u

#define ROWS_MAX 100000

enum lb_state hap_state_of(const struct hap_server *s)
{
    if (s->admin_bits & ADMIN_MAINT)
        return LB_MAINT;
    return s->admin_bits & ADMIN_DRAIN ? LB_DRAIN : LB_READY;
}

enum lb_state hap_inherited_of(const struct hap_server *s)
{
    if (s->admin_bits & ADMIN_INHERITED_MAINT)
        return LB_MAINT;
    return s->admin_bits & ADMIN_INHERITED_DRAIN ? LB_DRAIN : LB_UNKNOWN;
}

bool hap_is_out(const struct hap_server *s)
{
    return lb_state_is_out(hap_state_of(s)) || lb_state_is_out(hap_inherited_of(s));
}

bool hap_is_serving(const struct hap_server *s)
{
    return !hap_is_out(s) && !(s->admin_bits & ADMIN_UNRESOLVED) && !s->standby &&
           (s->op_state == 1 || s->op_state == 2) && s->weight > 0;
}

/* "UP 1/2" is a server that the balancer has not made up its mind about: after `ready` on a dead one it shows
 * that, and takes traffic, until one check fails. One that is starting (slowstart) is up and gets its share,
 * ever more of it. Without weight it shows DRAIN, whatever its checks say. */
bool hap_is_up(const struct hap_server *s)
{
    if (hap_is_out(s) || (s->op_state != 1 && s->op_state != 2) || !s->status)
        return false;
    return !strcmp(s->status, "UP") || !strcmp(s->status, "no check") ||
           (s->weight == 0 && !strcmp(s->status, "DRAIN"));
}

bool hap_name_valid(const char *s)
{
    return word_valid(s, "._:-", 200);
}

/* ---- socket addresses ------------------------------------------------------ */

static bool word_of(const char *s, const char *allowed)
{
    if (!*s)
        return false;
    for (; *s; s++) {
        if (!isascii((unsigned char)*s) || !(isalnum((unsigned char)*s) || strchr(allowed, *s)))
            return false;
    }
    return true;
}

bool hap_number(const char *s, long min, long max, int *ret)
{
    char *end;
    if (!isdigit((unsigned char)s[0]) && !(s[0] == '-' && isdigit((unsigned char)s[1])))
        return false;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno || *end || v < min || v > max)
        return false;
    *ret = (int)v;
    return true;
}

static bool parse_tcp(const char *rest, struct arena *a, struct hap_socket *ret)
{
    const char *colon = strrchr(rest, ':');
    if (!colon || !hap_number(colon + 1, 1, 65535, &ret->port))
        return false;
    if (rest[0] == '[') {
        if (colon - rest < 3 || colon[-1] != ']')
            return false;
        ret->host = arena_strndup(a, rest + 1, (size_t)(colon - rest) - 2);
        return word_of(ret->host, ":.%");
    }
    ret->host = arena_strndup(a, rest, (size_t)(colon - rest));
    return ret->host[0] != '-' && word_of(ret->host, ".-_");
}

/* The path also becomes part of a socat address on the balancer's host: no ',' or ':' in it. */
static bool parse_unix(const char *rest, struct arena *a, struct hap_socket *ret)
{
    const char *at = strchr(rest, '@');
    ret->path = at ? arena_strndup(a, rest, (size_t)(at - rest)) : arena_strdup(a, rest);
    ret->host = at ? arena_strdup(a, at + 1) : NULL;
    if (ret->path[0] != '/' || strlen(ret->path) > 107 || !word_of(ret->path, "/._-"))
        return false;
    return !at || (ret->host[0] != '-' && word_of(ret->host, ".-_:"));
}

bool hap_socket_parse(const char *text, struct arena *a, struct hap_socket *ret, struct err *err)
{
    *ret = (struct hap_socket){.text = arena_strdup(a, text)};
    if (str_starts(text, "tcp://") && parse_tcp(text + 6, a, ret))
        return true;
    if (str_starts(text, "unix://") && parse_unix(text + 7, a, ret))
        return true;
    return err_set(err, E_CONFIG,
                   "balancer socket \"%s\" is not an address; wanted tcp://HOST:PORT, unix:///PATH or "
                   "unix:///PATH@HOST",
                   text);
}

/* ---- tables ---------------------------------------------------------------- */

/* The answer's first line, made safe and short, for messages. */
bool hap_strange(struct err *err, const char *wanted, const char *text)
{
    auto_buf struct buf b = BUF_INIT(300);
    text_visible(&b, text, strnlen(text, strcspn(text, "\r\n") < 80 ? strcspn(text, "\r\n") : 80));
    if (!*text)
        return err_set(err, E_PROTO, "the balancer answered nothing to %s", wanted);
    return err_set(err, E_PROTO, "the balancer answered \"%s\" to %s", buf_str(&b), wanted);
}

/* Splits one line in place at `sep`; columns beyond COLUMNS_MAX are dropped. */
static size_t split(char *line, char sep, char **cols)
{
    size_t n = 0;
    while (n < COLUMNS_MAX) {
        cols[n++] = line;
        line = strchr(line, sep);
        if (!line)
            break;
        *line++ = '\0';
    }
    return n;
}

int hap_column(char *const *cols, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(cols[i], name))
            return (int)i;
    }
    return -1;
}

char *hap_line(char **io)
{
    char *line = *io;
    if (!line || !*line)
        return NULL;
    char *end = strchr(line, '\n');
    *io = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    size_t len = strlen(line);
    if (len && line[len - 1] == '\r')
        line[len - 1] = '\0';
    return line;
}

static size_t count_lines(const char *s)
{
    size_t n = 1;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

enum state_col {
    ST_ID,
    ST_BACKEND,
    ST_NAME,
    ST_ADDR,
    ST_OP,
    ST_ADMIN,
    ST_WEIGHT,
    ST_WANTED, /* columns from here on are not in every version */
    ST_AGENT = ST_WANTED,
    ST_PORT,
    ST_COLS
};
static const char *const state_cols[ST_COLS] = {
    [ST_ID] = "be_id",           [ST_BACKEND] = "be_name",       [ST_NAME] = "srv_name",
    [ST_ADDR] = "srv_addr",      [ST_OP] = "srv_op_state",       [ST_ADMIN] = "srv_admin_state",
    [ST_WEIGHT] = "srv_uweight", [ST_AGENT] = "srv_agent_state", [ST_PORT] = "srv_port"};

static bool state_header(char *line, int *at)
{
    char *cols[COLUMNS_MAX];
    if (!line || !str_starts(line, "# "))
        return false;
    size_t n = split(line + 2, ' ', cols);
    for (int i = 0; i < ST_COLS; i++) {
        at[i] = hap_column(cols, n, state_cols[i]);
        if (at[i] < 0 && i < ST_WANTED)
            return false;
    }
    return true;
}

static bool state_row(char **cols, size_t n, const int *at, struct hap_server *ret)
{
    int admin, agent = 0;
    for (int i = 0; i < ST_COLS; i++) {
        if (at[i] >= 0 && (size_t)at[i] >= n)
            return false;
    }
    if (!hap_number(cols[at[ST_ID]], 0, INT_MAX, &ret->backend_id) ||
        !hap_number(cols[at[ST_OP]], 0, 3, &ret->op_state) ||
        !hap_number(cols[at[ST_ADMIN]], 0, 0xffff, &admin) ||
        !hap_number(cols[at[ST_WEIGHT]], 0, 256, &ret->weight))
        return false;
    if (at[ST_AGENT] >= 0 && !hap_number(cols[at[ST_AGENT]], 0, 0xffff, &agent))
        return false;
    if (at[ST_PORT] >= 0 && !hap_number(cols[at[ST_PORT]], 0, 65535, &ret->port))
        return false;
    if (!strcmp(cols[at[ST_ADDR]], "-")) /* not resolved: many have that */
        ret->port = 0;
    ret->admin_bits = (unsigned)admin;
    ret->agent = ((unsigned)agent & AGENT_CONFIGURED) && ((unsigned)agent & AGENT_ENABLED);
    ret->backend = cols[at[ST_BACKEND]];
    ret->name = cols[at[ST_NAME]];
    ret->addr = cols[at[ST_ADDR]];
    return true;
}

bool hap_parse_state(const char *text, const char *backend, struct arena *a, struct hap_table *ret,
                     struct err *err)
{
    char *pos = arena_strdup(a, text);
    int at[ST_COLS];
    char *version = hap_line(&pos);
    if (!version || strcmp(version, "1") != 0 || !state_header(hap_line(&pos), at))
        return hap_strange(err, "`show servers state`", text);
    if (count_lines(text) > ROWS_MAX)
        return err_set(err, E_PROTO, "`show servers state` has more than %d rows", ROWS_MAX);
    *ret = (struct hap_table){.rows = arena_array(a, count_lines(text), sizeof *ret->rows)};
    for (char *line; (line = hap_line(&pos)) && *line;) {
        char *cols[COLUMNS_MAX];
        size_t n = split(line, ' ', cols);
        struct hap_server row = {.sessions = -1, .queued = -1};
        if (!state_row(cols, n, at, &row))
            return hap_strange(err, "`show servers state`", line);
        if (!backend || !strcmp(row.backend, backend))
            ret->rows[ret->n++] = row;
    }
    return true;
}
