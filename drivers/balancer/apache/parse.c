/* SPDX-License-Identifier: MIT */
/* What balancer-manager says and is told, as data. Pure, so that tests and the fuzzer can feed it anything. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "drivers/op/xml.h"
#include "drivers/balancer/apache/apache.h"

#define ROWS_MAX 100000
#define SCHEME   "balancer://"

bool apache_name_valid(const char *s)
{
    return word_valid(s, "._:@~[]-", 200);
}

/* ---- a member -------------------------------------------------------------- */

/* mod_proxy writes a member's flags as words, and "Ok" when none of them keeps it from requests. */
static bool has_flag(const char *status, const char *flag)
{
    size_t n = strlen(flag);
    for (const char *p = status; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        if (strcspn(p, " ") == n && !memcmp(p, flag, n))
            return true;
    }
    return false;
}

static enum lb_state state_of(const char *status)
{
    if (has_flag(status, "Dis") || has_flag(status, "Stop"))
        return LB_MAINT;
    return has_flag(status, "Drn") ? LB_DRAIN : LB_READY;
}

/* -1: not there. -2: there, and no number that can be. */
static int64_t number_at(const struct xml *x, const char *name)
{
    const char *text = xml_text(x, name);
    char *end;
    if (!*text)
        return -1;
    if (!isdigit((unsigned char)*text))
        return -2;
    errno = 0;
    int64_t v = strtoll(text, &end, 10);
    return *end || errno || v > INT64_MAX / 1000000 ? -2 : v;
}

/* 1.00 to 100.00; what is no whole number is not told. */
static int factor_of(const char *text)
{
    char *end;
    long v = strtol(text, &end, 10);
    bool whole = end != text && (*end == '\0' || (*end == '.' && strspn(end + 1, "0") == strlen(end + 1)));
    return whole && v >= 0 && v <= 1000 ? (int)v : -1;
}

static const char *host_of(const struct xml *x, struct arena *a)
{
    const char *host = xml_text(x, "hostname");
    size_t n = strlen(host);
    return n > 2 && host[0] == '[' && host[n - 1] == ']' ? arena_strndup(a, host + 1, n - 2) : host;
}

static bool member_parse(const struct xml *x, const struct apache_member *of, struct arena *a,
                         struct lb_server *ret, struct err *err)
{
    const char *status = xml_text(x, "status"), *route = xml_text(x, "route"), *host = host_of(x, a);
    int64_t port = number_at(x, "port"), busy = number_at(x, "busy"), elected = number_at(x, "elected");
    struct apache_member *m = arena_alloc(a, sizeof *m);
    struct lb_traffic *traffic = arena_alloc(a, sizeof *traffic);
    *m = *of;
    m->url = xml_text(x, "name");
    if (!*m->url || !*status)
        return err_set(err, E_PROTO, "a member without its name or status");
    if (port == -2 || port > 65535 || busy == -2 || elected == -2)
        return err_set(err, E_PROTO, "a member whose port, busy or elected is no number that can be");
    m->place = arena_printf(a, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port > 0 ? (int)port : 0);
    *traffic = (struct lb_traffic){.requests = elected, .errors = -1, .answer_ms = -1};
    bool usable = has_flag(status, "Ok");
    *ret = (struct lb_server){.pool = of->balancer,
                              .name = *route ? route : m->place,
                              .label = m->url,
                              .state = state_of(status),
                              .serving = usable && state_of(status) == LB_READY,
                              .up = usable && state_of(status) == LB_READY,
                              .weight = factor_of(xml_text(x, "loadfactor")),
                              .sessions = busy,
                              .queued = -1,
                              .traffic = traffic,
                              .status = status,
                              .addr = host,
                              .port = port > 0 ? (int)port : 0,
                              .own = m};
    return true;
}

/* ---- the list -------------------------------------------------------------- */

static size_t count_members(const struct xml *balancers)
{
    size_t n = 0;
    for (const struct xml *b = xml_get(balancers, "balancer"); b; b = xml_next(b))
        for (const struct xml *w = xml_get(b, "workers/worker"); w; w = xml_next(w))
            n++;
    return n;
}

bool apache_parse(const char *text, size_t n, struct arena *a, struct lb_table *ret, struct err *err)
{
    const struct xml *root = xml_parse(a, text, n, err);
    const struct xml *balancers = xml_get(root, "balancers");
    size_t all = count_members(balancers);
    *ret = (struct lb_table){.n = 0};
    if (!root)
        return false;
    if (strcmp(root->name, "manager") != 0 || !balancers)
        return err_set(err, E_PROTO, "answered XML that is not balancer-manager's");
    if (all > ROWS_MAX)
        return err_set(err, E_LIMIT, "has more than %d members", ROWS_MAX);
    ret->rows = arena_array(a, all + 1, sizeof *ret->rows);
    for (const struct xml *b = xml_get(balancers, "balancer"); b; b = xml_next(b)) {
        const char *name = xml_text(b, "name");
        const struct apache_member of = {.balancer = str_starts(name, SCHEME) ? name + strlen(SCHEME) : name,
                                         .nonce = xml_text(b, "nonce")};
        if (!*of.balancer)
            return err_set(err, E_PROTO, "a balancer without its name");
        for (const struct xml *w = xml_get(b, "workers/worker"); w; w = xml_next(w)) {
            if (!member_parse(w, &of, a, &ret->rows[ret->n], err))
                return false;
            ret->n++;
        }
    }
    return true;
}

bool apache_is_page(const char *text, size_t n)
{
    static const char title[] = "<title>Balancer Manager</title>";
    return memmem(text, n, title, sizeof title - 1) != NULL;
}

/* ---- the form -------------------------------------------------------------- */

static void add_field(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s%s=", out->len ? "&" : "", name);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if (isascii(*p) && (isalnum(*p) || strchr("-._~", *p)))
            buf_add(out, p, 1);
        else
            buf_printf(out, "%%%02X", *p);
    }
}

const char *apache_form(const struct apache_put *put, struct arena *a)
{
    auto_buf struct buf b = BUF_INIT(16384);
    if (put) {
        add_field(&b, "b", put->member->balancer);
        add_field(&b, "w", put->member->url);
        if (*put->member->nonce)
            add_field(&b, "nonce", put->member->nonce);
        add_field(&b, "w_status_N", put->drained ? "1" : "0");
        add_field(&b, "w_status_D", put->disabled ? "1" : "0");
    }
    add_field(&b, "xml", "1");
    return b.cut ? NULL : arena_strdup(a, buf_str(&b));
}
