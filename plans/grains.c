/* SPDX-License-Identifier: MIT */
/* Grains and addresses of a node, asked as Salt asks (salt.utils.data.subdict_match, traverse_dict_and_list,
 * the matcher ipcidr): "roles:web" is true when the grain is web, has a member web, or a key web; deeper
 * paths are tried first. A file that lists a node's grains lists those that matter, not all: a grain that is
 * not in it is not known. Where Salt would go by Python's way of writing a map or a list, nothing is known
 * either. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "plans/glob.h"
#include "plans/match.h"
#include "plans/regex.h"

#define PARTS_MAX 16

struct grain_ask {
    const struct grain_pattern *p;
    struct match_node *node;
};

static enum answer unknown(struct match_node *node, const char *why)
{
    node->why = why;
    return ANSWER_UNKNOWN;
}

static bool is_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s > 0x7e)
            return false;
    return true;
}

static char *lower(struct arena *a, const char *s)
{
    char *ret = arena_strdup(a, s);
    for (char *c = ret; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return ret;
}

/* Yes as soon as one says so; else not known when one of them is not. */
static enum answer either(enum answer a, enum answer b)
{
    return a == ANSWER_YES || b == ANSWER_YES           ? ANSWER_YES
           : a == ANSWER_UNKNOWN || b == ANSWER_UNKNOWN ? ANSWER_UNKNOWN
                                                        : ANSWER_NO;
}

static enum answer text_asks(const struct grain_ask *q, const char *text, const char *pattern)
{
    struct arena *a = q->node->arena;
    const char *why;
    if (!is_ascii(text))
        return unknown(q->node, "a grain that is not plain ASCII is not compared here");
    if (!q->p->regex)
        return glob_match(lower(a, pattern), lower(a, text)) ? ANSWER_YES : ANSWER_NO;
    struct regex *re = regex_new(a, lower(a, pattern), &why);
    int n = re == NULL ? -1 : regex_match(re, lower(a, text));
    return n < 0   ? unknown(q->node, "this grain and the expression are not compared here")
           : n > 0 ? ANSWER_YES
                   : ANSWER_NO;
}

/* Python's str(): None, True, 1.5 */
static enum answer value_asks(const struct grain_ask *q, const struct value *v, const char *pattern)
{
    auto_buf struct buf text = BUF_INIT(100000);
    if (v->kind != VALUE_SCALAR)
        return unknown(q->node, "a list or map within a grain is not compared here");
    if (scalar_text(&text, v) == SCALAR_NULL)
        return text_asks(q, "none", pattern);
    return text_asks(q, buf_str(&text), pattern);
}

static const struct value *get_typed(const struct value *map, const char *key, enum scalar_type type)
{
    const struct entry *e = map_entry(map, key);
    return e != NULL && e->type == type ? e->value : NULL;
}

/* A key that is not there as text may be there as the number or word that YAML takes it for. */
static const struct value *get_retyped(struct arena *a, const struct value *map, const char *key)
{
    struct value word = {.kind = VALUE_SCALAR, .plain = true, .text = key};
    auto_buf struct buf text = BUF_INIT(100000);
    if (key[0] == '\0' || (strchr(key, '_') != NULL && strspn(key, "0123456789_") == strlen(key)) ||
        scalar_refused(&word) != NULL)
        return NULL;
    enum scalar_type type = scalar_text(&text, &word);
    return type == SCALAR_STR ? NULL : get_typed(map, arena_strdup(a, buf_str(&text)), type);
}

static const struct value *child_of_list(const struct value *list, const char *part)
{
    bool number = part[0] != '\0' && strspn(part, "0123456789") == strlen(part) && strlen(part) < 7;
    for (size_t i = 0; i < list->n; i++) {
        const struct value *item = list->items[i];
        const struct value *v =
            item->kind != VALUE_MAP ? NULL : get_typed(item, part, number ? SCALAR_INT : SCALAR_STR);
        if (v != NULL)
            return v;
    }
    size_t index = number ? strtoul(part, NULL, 10) : list->n;
    return index < list->n ? list->items[index] : NULL;
}

static const struct value *child_of(struct arena *a, const struct value *v, const char *part)
{
    if (v->kind == VALUE_SCALAR)
        return NULL;
    if (v->kind == VALUE_LIST)
        return child_of_list(v, part);
    const struct value *child = get_typed(v, part, SCALAR_STR);
    return child != NULL ? child : get_retyped(a, v, part);
}

static enum answer path_asks(const struct grain_ask *q, const struct value *data, const char *expr,
                             char delimiter);

/* `*:` looks a level deeper in everything. */
static enum answer below_asks(const struct grain_ask *q, const struct value *map, const char *pattern);

static enum answer map_asks(const struct grain_ask *q, const struct value *map, const char *pattern)
{
    bool wildcard = strncmp(pattern, "*:", 2) == 0;
    enum answer ret = ANSWER_NO;
    if (wildcard)
        pattern += 2;
    if (strcmp(pattern, "*") == 0 || get_typed(map, pattern, SCALAR_STR) != NULL)
        return ANSWER_YES;
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        ret = either(ret, text_asks(q, e->type == SCALAR_NULL ? "none" : e->key, pattern));
    }
    ret = either(ret, path_asks(q, map, pattern, ':'));
    return wildcard ? either(ret, below_asks(q, map, pattern)) : ret;
}

static enum answer below_asks(const struct grain_ask *q, const struct value *map, const char *pattern)
{
    enum answer ret = ANSWER_NO;
    for (size_t i = 0; i < map->n; i++) {
        const struct value *v = map->entries[i].value;
        if (v->kind == VALUE_MAP)
            ret = either(ret, map_asks(q, v, pattern));
        else if (v->kind == VALUE_SCALAR)
            ret = either(ret, value_asks(q, v, pattern));
        for (size_t k = 0; v->kind == VALUE_LIST && k < v->n; k++)
            ret = either(ret, value_asks(q, v->items[k], pattern));
    }
    return ret;
}

static enum answer found_asks(const struct grain_ask *q, const struct value *v, const char *pattern)
{
    enum answer ret = ANSWER_NO;
    if (v->kind == VALUE_MAP)
        return v->n == 0 ? ANSWER_NO : map_asks(q, v, pattern);
    if (v->kind == VALUE_SCALAR)
        return value_asks(q, v, pattern);
    for (size_t i = 0; i < v->n; i++) {
        if (v->items[i]->kind == VALUE_MAP)
            ret = either(ret, map_asks(q, v->items[i], pattern));
        ret = either(ret, value_asks(q, v->items[i], pattern));
    }
    return ret;
}

/* How many parts; 0: more than are read. */
static size_t split(struct arena *a, const char *expr, char delimiter, const char *parts[PARTS_MAX],
                    const char *rests[PARTS_MAX])
{
    size_t n = 0;
    for (const char *s = expr;; s++) {
        const char *end = strchr(s, delimiter);
        if (n == PARTS_MAX)
            return 0;
        rests[n] = s;
        parts[n++] = end == NULL ? s : arena_strndup(a, s, (size_t)(end - s));
        if (end == NULL)
            return n;
        s = end;
    }
}

static enum answer path_asks(const struct grain_ask *q, const struct value *data, const char *expr,
                             char delimiter)
{
    const char *parts[PARTS_MAX], *rests[PARTS_MAX];
    size_t n = split(q->node->arena, expr, delimiter, parts, rests);
    enum answer ret = ANSWER_NO;
    if (n == 0)
        return unknown(q->node, "a path of more than 16 parts is not compared here");
    for (size_t i = n - 1; i > 0; i--) {
        const struct value *v = data;
        const char *rest = rests[i];
        if (i == 1 && strcmp(parts[0], "*") == 0)
            rest = expr;
        else
            for (size_t k = 0; v != NULL && k < i; k++)
                v = child_of(q->node->arena, v, parts[k]);
        if (v != NULL)
            ret = either(ret, found_asks(q, v, rest));
    }
    return ret;
}

bool grain_pattern_ok(struct match_reader *r, const struct grain_pattern *p, struct place at)
{
    const char *parts[PARTS_MAX], *rests[PARTS_MAX], *why = "";
    size_t n = split(r->arena, p->text, p->delimiter, parts, rests);
    bool ok = n >= 2 && strcmp(parts[0], "*") != 0 && is_ascii(p->text);
    if (!ok)
        problem_at(r->problems, at, "'%s' is no plain question for a grain (wanted: GRAIN%cPATTERN)", p->text,
                   p->delimiter);
    for (size_t i = 1; ok && i < n; i++) {
        ok = p->regex ? regex_new(r->arena, lower(r->arena, rests[i]), &why) != NULL : glob_plain(rests[i]);
        if (!ok && p->regex)
            problem_at(r->problems, at, "expression '%s' has %s: Python and PCRE may not mean the same",
                       rests[i], why);
        else if (!ok)
            problem_at(r->problems, at, "glob '%s' has a '[...]' that is not read here", rests[i]);
    }
    return ok;
}

enum answer grain_asks(const struct grain_pattern *p, struct match_node *node)
{
    struct grain_ask q = {.p = p, .node = node};
    const char *parts[PARTS_MAX], *rests[PARTS_MAX];
    if (split(node->arena, p->text, p->delimiter, parts, rests) < 2)
        return unknown(node, "no GRAIN:PATTERN");
    const struct value *grains = node->grains;
    if (strcmp(parts[0], "id") == 0 && map_entry(grains, "id") == NULL) {
        struct value *own = value_map(node->arena, (struct place){.file = NULL});
        (void)map_add(node->arena, own, "id", own->at, value_scalar(node->arena, own->at, node->id));
        grains = own;
    }
    if (grains == NULL || child_of(node->arena, grains, parts[0]) == NULL)
        return unknown(node, arena_printf(node->arena, "its grain '%s' is not written down", parts[0]));
    return path_asks(&q, grains, p->text, p->delimiter);
}

/* ---- addresses */

struct cidr {
    int family;
    unsigned char bytes[16];
    int bits; /* -1: an address, no network */
};

static bool prefix_parse(const char *s, int max, int *ret)
{
    if (*s < '0' || *s > '9' || (*s == '0' && s[1] != '\0') || strlen(s) > 3 ||
        strspn(s, "0123456789") != strlen(s))
        return false;
    *ret = atoi(s);
    return *ret <= max;
}

static bool bit(const unsigned char *bytes, int i)
{
    return (bytes[i / 8] & (0x80 >> (i % 8))) != 0;
}

static bool cidr_parse(const char *text, struct cidr *ret)
{
    char address[64];
    const char *slash = strchr(text, '/');
    size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (n >= sizeof(address))
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    *ret = (struct cidr){.family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET, .bits = -1};
    int size = ret->family == AF_INET6 ? 128 : 32;
    if (inet_pton(ret->family, address, ret->bytes) != 1 || (size == 128 && strchr(address, '.') != NULL))
        return false;
    if (slash == NULL)
        return true;
    if (!prefix_parse(slash + 1, size, &ret->bits))
        return false;
    for (int i = ret->bits; i < size; i++) /* a network's own bits alone */
        if (bit(ret->bytes, i))
            return false;
    return true;
}

bool cidr_ok(const char *text)
{
    struct cidr c;
    return cidr_parse(text, &c);
}

static bool is_within(const struct cidr *net, const struct cidr *address)
{
    for (int i = 0; i < net->bits; i++)
        if (bit(net->bytes, i) != bit(address->bytes, i))
            return false;
    return true;
}

enum answer cidr_asks(const char *text, struct match_node *node)
{
    struct cidr wanted, own;
    char normal[INET6_ADDRSTRLEN];
    if (!cidr_parse(text, &wanted))
        return unknown(node, "no address");
    const char *name = wanted.family == AF_INET6 ? "ipv6" : "ipv4";
    const struct value *list = get_typed(node->grains, name, SCALAR_STR);
    if (list == NULL || list->kind != VALUE_LIST)
        return unknown(node, arena_printf(node->arena, "its grain '%s', a list, is not written down", name));
    bool found = false;
    for (size_t i = 0; i < list->n; i++) {
        const struct value *v = list->items[i];
        if (v->kind != VALUE_SCALAR || !cidr_parse(v->text, &own) || own.bits >= 0 ||
            own.family != wanted.family ||
            strcmp(inet_ntop(own.family, own.bytes, normal, sizeof(normal)), v->text) != 0)
            return unknown(node, arena_printf(node->arena,
                                              "its grain '%s' has something that is no plain address", name));
        found |= wanted.bits < 0 ? memcmp(own.bytes, wanted.bytes, sizeof(own.bytes)) == 0
                                 : is_within(&wanted, &own);
    }
    return found ? ANSWER_YES : ANSWER_NO;
}
