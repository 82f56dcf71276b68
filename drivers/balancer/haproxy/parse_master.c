/* SPDX-License-Identifier: MIT */
/* What HAProxy's master and its old workers answer, as data: which workers there are, and which sessions of an old one
 * are on a server. Pure, as parse.c. */
#include "drivers/balancer/haproxy/parse_priv.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/str.h"

#define WORKERS "# workers"
#define OLD     "# old workers"

bool hap_is_whole(const char *text)
{
    size_t n = strlen(text);
    return n >= 2 && strcmp(text + n - 2, "\n\n") == 0;
}

/* The first word of a line, cut off in place. */
static const char *first_word(char *line)
{
    line[strcspn(line, " \t")] = '\0';
    return line;
}

bool hap_parse_old_workers(const char *text, struct arena *a, struct hap_pids *ret, struct err *err)
{
    char *pos = arena_strdup(a, text);
    bool old = false, workers = false;
    char *line = hap_line(&pos);
    *ret = (struct hap_pids){.n = 0};
    if (!line || !str_starts(line, "#<PID>"))
        return hap_strange(err, "`show proc`", text);
    for (; (line = hap_line(&pos)) && *line;) {
        int pid;
        if (*line == '#') {
            old = !strcmp(line, OLD);
            workers = workers || !strcmp(line, WORKERS);
            continue;
        }
        if (!old)
            continue;
        if (!hap_number(first_word(line), 1, INT_MAX, &pid) || ret->n == HAP_OLD_MAX)
            return hap_strange(err, "`show proc`", line);
        ret->pids[ret->n++] = pid;
    }
    return workers || hap_strange(err, "`show proc`", text);
}

static bool is_id(const char *s, size_t n)
{
    if (n < 3 || n > 18 || s[0] != '0' || s[1] != 'x')
        return false;
    for (size_t i = 2; i < n; i++) {
        if (!isxdigit((unsigned char)s[i]))
            return false;
    }
    return true;
}

/* Does the line have this word, as one of its own? */
static bool has_word(const char *line, const char *key, const char *value)
{
    size_t n_key = strlen(key), n_value = strlen(value);
    for (const char *p = line; (p = strchr(p, ' ')) != NULL;) {
        p++;
        if (!strncmp(p, key, n_key) && !strncmp(p + n_key, value, n_value) &&
            (p[n_key + n_value] == ' ' || p[n_key + n_value] == '\0'))
            return true;
    }
    return false;
}

bool hap_parse_sessions(const char *text, struct hap_key of, struct arena *a, struct hap_ids *ret,
                        struct err *err)
{
    char *pos = arena_strdup(a, text);
    size_t max = 1;
    if (!hap_is_whole(text))
        return hap_strange(err, "`show sess`", text);
    for (const char *s = text; *s; s++)
        max += *s == '\n';
    *ret = (struct hap_ids){.ids = arena_array(a, max, sizeof *ret->ids)};
    for (char *line; (line = hap_line(&pos)) && *line;) {
        size_t len = strcspn(line, ":");
        if (!is_id(line, len) || !has_word(line, "be=", of.backend) || !has_word(line, "srv=", of.server))
            continue;
        line[len] = '\0';
        ret->ids[ret->n++] = line;
    }
    return true;
}
