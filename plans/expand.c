/* SPDX-License-Identifier: MIT */
/* Templates of a frozen plan -> arguments and variables of one node. Cannot fail: the compiler proved every
 * name; one that is unknown all the same (a plan made by hand in a test) stays as it stands. */
#include "plans/plan.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plans/subst.h"

#define ARG_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define REV_SHORT     8
#define REV_DIR       12

static const char *rev_of(const struct plan *plan, const struct plan_node *node, bool going_back)
{
    const char *rev = plan->rev;
    if (node != NULL && going_back)
        rev = node->rev_before;
    else if (node != NULL && node->rev != NULL && node->rev[0] != '\0')
        rev = node->rev;
    return rev == NULL ? "" : rev;
}

static const char *dir_of(const struct plan *plan, const struct plan_node *node)
{
    const char *dir = node == NULL ? NULL : op_pair_value(node->vars, node->n_vars, "dir");
    return dir != NULL ? dir : plan->dir == NULL ? "" : plan->dir;
}

/* Where the revision is, or will be. What a node ran before may have been made by another recipe: preflight's
 * fact `release.before` names its directory. */
static const char *release_dir_of(const struct plan *plan, const struct plan_node *node, bool going_back,
                                  struct arena *a)
{
    const char *dir = dir_of(plan, node), *rev = rev_of(plan, node, going_back);
    const char *layout = op_pair_value(plan->vars, plan->n_vars, "layout");
    const char *of_role = node == NULL ? NULL : op_pair_value(node->vars, node->n_vars, "recipe");
    const char *recipe = of_role != NULL ? of_role : op_pair_value(plan->vars, plan->n_vars, "recipe");
    const char *before = node == NULL ? NULL : op_pair_value(node->facts, node->n_facts, "release.before");
    const char *own = node == NULL ? NULL : op_pair_value(node->vars, node->n_vars, "release_dir");
    if (layout != NULL && strcmp(layout, LAYOUT_IN_PLACE) == 0)
        return dir;
    if (going_back && before != NULL && before[0] != '\0')
        return before;
    if (!going_back && own != NULL)
        return own; /* a rollback of an older release says where each node's revision is */
    if (rev[0] == '\0' && going_back)
        return "";
    if (rev[0] == '\0')
        return arena_printf(a, "%s/current", dir);
    return arena_printf(a, "%s/releases/%.*s-%s", dir, REV_DIR, rev, recipe == NULL ? "000000" : recipe);
}

struct vars {
    struct op_pair *pairs;
    size_t n;
};

/* The first one of a name stays. */
static void add(struct vars *v, const char *name, const char *value)
{
    if (op_pair_value(v->pairs, v->n, name) == NULL)
        v->pairs[v->n++] = (struct op_pair){.name = name, .value = value == NULL ? "" : value};
}

static struct vars vars_of(const struct plan *plan, const struct plan_node *node, bool going_back,
                           struct arena *arena)
{
    size_t n_node = node == NULL ? 0 : node->n_vars;
    struct vars v = {.pairs = arena_array(arena, plan->n_vars + n_node + 10, sizeof(*v.pairs))};
    const char *rev = rev_of(plan, node, going_back);
    add(&v, "rev", rev);
    add(&v, "rev_short", arena_strndup(arena, rev, strnlen(rev, REV_SHORT)));
    add(&v, "rev_before", node == NULL ? "" : node->rev_before);
    add(&v, "rev_typed", plan->rev_typed);
    add(&v, "release_dir", release_dir_of(plan, node, going_back, arena));
    for (size_t i = 0; i < n_node; i++)
        add(&v, node->vars[i].name, node->vars[i].value);
    for (size_t i = 0; i < plan->n_vars; i++)
        add(&v, plan->vars[i].name, plan->vars[i].value);
    return v;
}

const struct op_pair *plan_vars(const struct plan *plan, const struct plan_node *node, bool going_back,
                                struct arena *arena, size_t *ret_n)
{
    struct vars v = vars_of(plan, node, going_back, arena);
    *ret_n = v.n;
    return v.pairs;
}

static bool is_ipv6(const char *text, size_t n)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr in6;
    size_t len = strcspn(text, "%") < n ? strcspn(text, "%") : n; /* fe80::1%eth0 */
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    return inet_pton(AF_INET6, address, &in6) == 1;
}

/* Does what is written next stand for the host of a URL: behind "SCHEME://" or "SCHEME://USER@"? */
static bool at_host(const char *text, size_t n)
{
    size_t from = n;
    while (from > 0 && !strchr("/ \t\"'?#", text[from - 1]))
        from--;
    return from >= 3 && memcmp(text + from - 3, "://", 3) == 0 && (from == n || text[n - 1] == '@');
}

/* An address of IPv6 is written in brackets in a URL, whoever writes the template. */
static void name_value(void *ctx, const char *name, struct buf *out)
{
    const struct vars *v = ctx;
    const char *value = op_pair_value(v->pairs, v->n, name);
    if (value == NULL)
        buf_printf(out, "{%s}", name);
    else if (is_ipv6(value, strlen(value)) && at_host(buf_str(out), out->len))
        buf_printf(out, "[%s]", value);
    else
        buf_puts(out, value);
}

/* "http://[{host}]/" is harmless where the host has no address of IPv6: the brackets go. */
static char *without_brackets(char *text)
{
    for (char *open = strchr(text, '['); open != NULL; open = strchr(open + 1, '[')) {
        char *close =
            open + 1 + strspn(open + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
        if (close == open + 1 || *close != ']' || !at_host(text, (size_t)(open - text)))
            continue;
        memmove(close, close + 1, strlen(close + 1) + 1);
        memmove(open, open + 1, strlen(open + 1) + 1);
    }
    return text;
}

static const char *expand(const char *template, const struct vars *v, struct arena *arena)
{
    if (strpbrk(template, "{}") == NULL)
        return template;
    auto_buf struct buf out = BUF_INIT(ARG_BYTES_MAX);
    struct vars copy = *v;
    subst_expand(&out, template, name_value, &copy);
    char *text = arena_strdup(arena, buf_str(&out));
    return strstr(template, "[{") ? without_brackets(text) : text;
}

static json_t *expanded(const json_t *item, const struct vars *v, struct arena *arena)
{
    const char *s = json_string_value(item);
    json_t *ret = s == NULL ? NULL : json_string(expand(s, v, arena));
    return ret == NULL ? json_string("") : ret;
}

/* Lists and maps are JSON whose strings are templates, so that a value with quotes cannot break out of its
 * string. */
static const char *expand_json(const char *template, const struct vars *v, struct arena *arena)
{
    json_t *in = json_loads(template, 0, NULL), *out = json_is_array(in) ? json_array() : json_object();
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_array(in))
        json_array_foreach(in, i, item) must(json_array_append_new(out, expanded(item, v, arena)) == 0);
    else
        json_object_foreach(in, key, item) must(json_object_set_new(out, key, expanded(item, v, arena)) == 0);
    char *dumped = json_dumps(out, JSON_COMPACT);
    const char *ret = arena_strdup(arena, dumped);
    free(dumped);
    json_decref(in);
    json_decref(out);
    return ret;
}

static bool is_json(const struct verb *verb, const char *name)
{
    for (const struct param *p = verb == NULL ? NULL : verb->params; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, name) == 0)
            return p->type == PARAM_LIST || p->type == PARAM_MAP;
    return false;
}

const struct op_pair *plan_args(const struct plan *plan, const struct plan_step *step,
                                const struct plan_node *node, bool going_back, struct arena *arena,
                                size_t *ret_n)
{
    struct op_pair *ret = arena_array(arena, step->n_args + 1, sizeof(*ret));
    const struct verb *verb = verb_find(step->verb, NULL);
    struct vars v = vars_of(plan, node, going_back, arena);
    bool takes_own = node != NULL && node->n_own > 0 && plan_verb_takes_own(verb);
    for (size_t i = 0; i < step->n_args; i++) {
        const struct op_pair *arg = &step->args[i];
        const char *own = takes_own ? op_pair_value(node->own, node->n_own, arg->name) : NULL;
        if (own != NULL) {
            ret[i] = (struct op_pair){.name = arg->name, .value = own};
            continue;
        }
        bool json = strpbrk(arg->value, "{}") != NULL && is_json(verb, arg->name);
        ret[i] = (struct op_pair){.name = arg->name,
                                  .value = json ? expand_json(arg->value, &v, arena)
                                                : expand(arg->value, &v, arena)};
    }
    *ret_n = step->n_args;
    return ret;
}

struct plan_step plan_log_between(const struct plan *plan, const char *from, const char *to,
                                  struct arena *arena)
{
    struct plan_step step = plan->log_step;
    struct op_pair *args = arena_array(arena, step.n_args + 2, sizeof *args);
    size_t n = 0;
    for (size_t i = 0; i < step.n_args; i++)
        if (strcmp(step.args[i].name, "from") != 0 && strcmp(step.args[i].name, "rev") != 0)
            args[n++] = step.args[i];
    args[n++] = (struct op_pair){.name = "from", .value = from};
    args[n++] = (struct op_pair){.name = "rev", .value = to};
    step.args = args;
    step.n_args = n;
    return step;
}

void plan_about(struct plan *plan, const char *name, const char *value, struct arena *arena)
{
    struct op_pair *grown = arena_array(arena, plan->n_about + 1, sizeof *grown);
    if (plan->n_about)
        memcpy(grown, plan->about, plan->n_about * sizeof *grown);
    grown[plan->n_about++] = (struct op_pair){.name = name, .value = arena_strdup(arena, value)};
    plan->about = grown;
}
