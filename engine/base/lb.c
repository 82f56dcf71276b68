/* SPDX-License-Identifier: MIT */
/* The words of balancers, written and read in one place (lb.h). */
#include "base/lb.h"

#include <ctype.h>
#include <string.h>

#include "base/err.h"

#define WEIGHT_MAX 1000000
#define DEBT_MAINT LB_FACT_MAINT "=" LB_OURS
#define DEBT_WAS   "before: "

static const struct {
    const char *word;
    enum lb_state state;
} words[] = {
#define WORD(w, s) {w, LB_##s},
    LB_WORDS(WORD)
#undef WORD
};

enum lb_state lb_state_of_word(const char *word, size_t n)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, word, n) == 0)
            return words[i].state;
    return LB_UNKNOWN;
}

bool lb_state_is_out(enum lb_state s)
{
    return s == LB_DRAIN || s == LB_MAINT;
}

bool lb_state_is_in(enum lb_state s)
{
    return s == LB_READY || s == LB_FORCED;
}

/* ---- entries ---------------------------------------------------------------------------------------------
 */

static bool weight_of(const char *s, size_t n, int *ret)
{
    int weight = 0;
    if (n < 2 || s[0] != 'w')
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!isdigit((unsigned char)s[i]))
            return false;
        weight = 10 * weight + (s[i] - '0');
        if (weight > WEIGHT_MAX)
            return false;
    }
    *ret = weight;
    return true;
}

static bool cut_word(const char **io, size_t *io_left, const char *word)
{
    size_t n = strlen(word);
    if (*io_left < n || memcmp(*io, word, n) != 0)
        return false;
    *io += n;
    *io_left -= n;
    return true;
}

/* "ready,w100,agent,behind". A word that nobody knows is LB_UNKNOWN, a form that nobody knows is none. */
static bool was_of(const char *s, size_t n, struct lb_before *ret)
{
    size_t word = 0;
    while (word < n && s[word] != ',')
        word++;
    *ret = (struct lb_before){.state = lb_state_of_word(s, word), .weight = -1};
    if (word == n)
        return true;
    const char *more = s + word + 1;
    size_t left = n - word - 1, weight = 0;
    while (weight < left && more[weight] != ',')
        weight++;
    if (!weight_of(more, weight, &ret->weight))
        return false;
    more += weight;
    left -= weight;
    ret->agent = cut_word(&more, &left, ",agent");
    ret->behind = cut_word(&more, &left, ",behind");
    return left == 0;
}

static bool entry_of(const char *text, size_t n, struct lb_entry *ret)
{
    const char *space = memchr(text, ' ', n);
    size_t left = space ? n - (size_t)(space + 1 - text) : 0;
    const char *equals = space ? memchr(space + 1, '=', left) : NULL;
    if (!equals || space == text || equals == space + 1)
        return false;
    *ret = (struct lb_entry){.balancer = text,
                             .n_balancer = (size_t)(space - text),
                             .server = space + 1,
                             .n_server = (size_t)(equals - space) - 1};
    if (!was_of(equals + 1, n - (size_t)(equals + 1 - text), &ret->was))
        ret->was = (struct lb_before){.state = LB_UNKNOWN, .weight = -1};
    return true;
}

bool lb_entry_next(const char **io, struct lb_entry *ret)
{
    while (*io && **io) {
        const char *text = *io;
        size_t n = strcspn(text, ";");
        *io = text + n + (text[n] == ';');
        if (entry_of(text, n, ret))
            return true;
    }
    return false;
}

bool lb_before_find(const char *fact, const char *balancer, const char *pool, const char *server,
                    struct lb_before *ret)
{
    struct lb_entry e;
    size_t n_pool = strlen(pool), n_server = strlen(server);
    while (lb_entry_next(&fact, &e)) {
        if (e.n_balancer != strlen(balancer) || memcmp(e.balancer, balancer, e.n_balancer) != 0 ||
            e.n_server != n_pool + 1 + n_server || memcmp(e.server, pool, n_pool) != 0 ||
            e.server[n_pool] != '/' || memcmp(e.server + n_pool + 1, server, n_server) != 0)
            continue;
        *ret = e.was;
        return e.was.state != LB_UNKNOWN;
    }
    return false;
}

void lb_before_add(struct buf *out, const char *balancer, const char *pool, const char *server,
                   const char *word, const struct lb_before *was)
{
    must(lb_state_of_word(word, strlen(word)) == was->state);
    buf_printf(out, "%s%s %s/%s=%s", out->len ? ";" : "", balancer, pool, server, word);
    if (was->weight >= 0)
        buf_printf(out, ",w%d%s%s", was->weight, was->agent ? ",agent" : "", was->behind ? ",behind" : "");
}

bool lb_can_has(const char *fact, const char *word)
{
    size_t n = strlen(word);
    for (; fact && *fact; fact += strcspn(fact, ","), fact += *fact == ',')
        if (strcspn(fact, ",") == n && memcmp(fact, word, n) == 0)
            return true;
    return !fact;
}

bool lb_before_returns(const char *fact)
{
    struct lb_entry e;
    size_t n = 0;
    for (; lb_entry_next(&fact, &e); n++)
        if (!lb_state_is_in(e.was.state) || e.was.behind)
            return false;
    return n > 0;
}

/* ---- debts -----------------------------------------------------------------------------------------------
 */

const char *lb_debt_drain(struct arena *a, const char *verb, int64_t release, const char *before)
{
    return arena_printf(a, "%s: out of rotation by release %lld%s%s", verb, (long long)release,
                        before ? "; " DEBT_WAS : "", before ? before : "");
}

const char *lb_debt_maint(struct arena *a, const char *verb, int64_t release)
{
    return arena_printf(a, "%s: maintenance by release %lld; " DEBT_MAINT, verb, (long long)release);
}

const char *lb_debt_before(const char *debt, struct arena *a)
{
    auto_buf struct buf entries = BUF_INIT(debt ? strlen(debt) + 1 : 1); /* what was before is never cut */
    while (debt && *debt) {
        size_t n = strcspn(debt, ";"), blank = strspn(debt, " ");
        const char *text = debt + (blank < n ? blank : n);
        struct lb_entry e;
        if (str_starts(text, DEBT_WAS))
            text += strlen(DEBT_WAS);
        size_t len = text < debt + n ? (size_t)(debt + n - text) : 0;
        if (entry_of(text, len, &e))
            buf_printf(&entries, "%s%.*s", entries.len ? ";" : "", (int)len, text);
        debt += n + (debt[n] == ';');
    }
    return arena_strdup(a, buf_str(&entries));
}

bool lb_debt_has_before(const char *debt)
{
    for (; *debt; debt += strcspn(debt, ";"), debt += *debt == ';')
        if (str_starts(debt + strspn(debt, " "), DEBT_WAS))
            return true;
    return false;
}

void lb_debt_add_before(struct buf *debt, const char *before)
{
    buf_printf(debt, "; " DEBT_WAS "%s", before);
}

bool lb_debt_is_maint(const char *debt)
{
    return strstr(debt, DEBT_MAINT) != NULL;
}

/* ---- who serves
 * --------------------------------------------------------------------------------------------
 */

const char *lb_serving_both(struct arena *a, const char *one, const char *other, int64_t *ret_n)
{
    char *both = arena_strdup(a, one);
    *ret_n = 0;
    if (strlen(one) != strlen(other))
        return NULL;
    for (size_t i = 0; both[i]; i++) {
        both[i] = both[i] == '1' && other[i] == '1' ? '1' : '0';
        *ret_n += both[i] == '1';
    }
    return both;
}
