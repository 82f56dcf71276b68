/* SPDX-License-Identifier: MIT */
/* Preflight: a node may stand in more than one backend of a balancer. Drained in those alone that the pillar
 * names, it goes on getting requests through the others, also while it is stopped. */
#include "run/preflight_priv.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct op_pair *)a)->name, ((const struct op_pair *)b)->name);
}

/* Is this server among those that the node's drains take out? lb.before has one entry for each. */
static bool is_drained(const struct asked *a, const char *socket, size_t n_socket, const char *server,
                       size_t n_server)
{
    for (size_t k = 0; k < a->n_balancers; k++) {
        const char *before = preflight_fact(a->balancer[k], LB_FACT_BEFORE);
        struct lb_entry e;
        while (lb_entry_next(&before, &e))
            if (e.n_balancer == n_socket && memcmp(e.balancer, socket, n_socket) == 0 &&
                e.n_server == n_server && memcmp(e.server, server, n_server) == 0)
                return true;
    }
    return false;
}

static void add_shared(struct preflight *p, const char *node, const char *socket, size_t n_socket,
                       const char *server)
{
    /* Whoever goes back must not be held up by it: it was so when the release was made. */
    bool back = p->plan->kind == KIND_ROLLBACK;
    struct problems *to = back ? p->opt->warnings : p->problems;
    int n_backend = (int)strcspn(server, "/");
    if (to)
        problems_add(
            to,
            "%s: backend %.*s of %.*s sends to this node, too, by a server that the pillar does not name: "
            "drained elsewhere alone, the node would go on getting its requests. Add a block for backend "
            "%.*s to balancer:, or let it be with 'ignore_backends: [%.*s]'",
            node, n_backend, server, (int)n_socket, socket, n_backend, server, n_backend, server);
}

/* The pillar may call servers by their addresses. at: "SOCKET ADDRESS:PORT". */
static bool is_drained_by_address(struct preflight *p, size_t i, const char *server, const char *at, size_t n)
{
    size_t n_socket = strcspn(at, " ");
    const char *name = arena_printf(p->arena, "%.*s/%.*s", (int)strcspn(server, "/"), server,
                                    (int)(n - n_socket - 1), at + n_socket + 1);
    return is_drained(&p->asked[i], at, n_socket, name, strlen(name));
}

/* at: "SOCKET ADDRESS:PORT;...", where each balancer sends what the node gets. */
static void check_addresses(struct preflight *p, size_t i, const char *at, const struct op_pair *shared,
                            size_t n_shared)
{
    for (; *at; at += strcspn(at, ";"), at += *at == ';') {
        int n = (int)strcspn(at, ";");
        size_t n_socket = strcspn(at, " ");
        const struct op_pair key = {.name = arena_printf(p->arena, LB_FACT_SHARED "%.*s", n, at)};
        const struct op_pair *found = n_shared ? bsearch(&key, shared, n_shared, sizeof(key), by_name) : NULL;
        for (const char *s = found ? found->value : ""; *s; s += strcspn(s, " "), s += *s == ' ')
            if (!is_drained(&p->asked[i], at, n_socket, s, strcspn(s, " ")) &&
                !is_drained_by_address(p, i, s, at, (size_t)n))
                add_shared(p, p->plan->nodes[i].id, at, n_socket, s);
    }
}

/* Several blocks of one balancer see the same things. */
static size_t shared_addresses(struct preflight *p, size_t role, struct op_pair **ret)
{
    const struct op_result *r = p->survey[role]->result;
    struct op_pair *pairs = arena_array(p->arena, r->n_facts + 1, sizeof(*pairs));
    size_t n = 0, used = 0;
    for (size_t i = 0; i < r->n_facts; i++)
        if (str_starts(r->facts[i].name, LB_FACT_SHARED))
            pairs[n++] = r->facts[i];
    qsort(pairs, n, sizeof(*pairs), by_name);
    for (size_t i = 0; i < n; i++)
        if (used == 0 || by_name(&pairs[used - 1], &pairs[i]) != 0)
            pairs[used++] = pairs[i];
    *ret = pairs;
    return used;
}

static void shared_of_role(struct preflight *p, size_t role)
{
    struct op_pair *shared;
    if (!p->survey[role])
        return;
    if (!preflight_good(p->survey[role])) {
        if (preflight_good(p->capacity[role])) /* else it has been said */
            problems_add(p->problems, "balancer: %s", p->survey[role]->result->err.text);
        return;
    }
    size_t n = shared_addresses(p, role, &shared);
    for (size_t i = 0; i < p->plan->n_nodes; i++)
        for (size_t k = 0; p->plan->nodes[i].role == role && k < p->asked[i].n_balancers; k++) {
            const char *at = preflight_fact(p->asked[i].balancer[k], LB_FACT_AT);
            if (at)
                check_addresses(p, i, at, shared, n);
        }
}

void preflight_shared(struct preflight *p)
{
    for (size_t r = 0; r < plan_n_roles(p->plan); r++)
        shared_of_role(p, r);
}
