/* SPDX-License-Identifier: MIT */
/* --only, --exclude and nodes that left the pillar, on a plan that is frozen (choose.h). */
#include "cli/choose.h"

#include <string.h>

static bool find(const struct plan *plan, const char *id, size_t len, size_t *ret)
{
    for (*ret = 0; *ret < plan->n_nodes; ++*ret)
        if (strlen(plan->nodes[*ret].id) == len && memcmp(plan->nodes[*ret].id, id, len) == 0)
            return true;
    return false;
}

/* A host is all of its instances. */
static bool name_all(const struct plan *plan, const char *id, size_t len, bool *named)
{
    bool any = false;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const char *names[] = {plan->nodes[i].id, plan->nodes[i].of_host};
        for (size_t k = 0; k < 2; k++)
            if (names[k] && strlen(names[k]) == len && memcmp(names[k], id, len) == 0)
                any = named[i] = true;
    }
    return any;
}

/* What is of the directory is done once for all instances of a host: all of them go on, or none. */
static bool hosts_are_whole(struct session *s, const struct plan *plan, const bool *out)
{
    bool of_host = false;
    for (size_t k = 0; k < plan->n_steps; k++)
        of_host |= plan_step_of_host(&plan->steps[k]);
    for (size_t i = 1; of_host && i < plan->n_nodes; i++) {
        const struct plan_node *a = &plan->nodes[i - 1], *b = &plan->nodes[i];
        if (out[i - 1] == out[i] || !plan_same_host(a, b))
            continue;
        say_error(
            "%s: %s is to be left alone and %s is not, but they run in one directory: name the host, %s; "
            "nothing was touched",
            s->cli->command->name, out[i] ? b->id : a->id, out[i] ? a->id : b->id, a->of_host);
        return false;
    }
    return true;
}

/* Sets named[i] for each name of a list with commas. */
static int read_names(struct session *s, const struct plan *plan, const char *option, bool *named)
{
    const char *p = cli_opt(s->cli, option);
    while (p && *p) {
        size_t len = strcspn(p, ",");
        while (len > 0 && *p == ' ') {
            p++;
            len--;
        }
        if (len > 0 && !name_all(plan, p, len, named)) {
            say_error(
                "%s: --%s: '%.*s' is no node of that release; 'release log' names them; nothing was touched",
                s->cli->command->name, option, (int)len, p);
            return EXIT_USAGE;
        }
        p += len + (p[len] == ',');
    }
    return 0;
}

/* Nodes that a person took out of the pillar. A pillar that cannot be read knows of nothing, and one whose nodes somebody else lists
 * says who is there now (a machine that is stopped is not): the frozen list holds. */
static void drop_departed(struct session *s, const struct plan *plan, bool *out)
{
    auto_problems struct problems problems = {0};
    const struct compile_request req = {.root = cli_root(s->cli), .env = s->env, .look = true};
    struct plan *today;
    size_t unused;
    if (!s->pillar || !plan_compile(s->pillar, &req, &s->cli->arena, &today, &problems) ||
        today->n_nodes == 0 || plan_is_listed(today))
        return;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const char *id = plan->nodes[i].id;
        if (out[i] || find(today, id, strlen(id), &unused))
            continue;
        out[i] = true;
        say_note("%s: left the pillar since; it is left as it is", id);
    }
}

int choose_nodes(struct session *s, const struct plan *plan, bool **ret_out)
{
    struct arena *arena = &s->cli->arena;
    bool *out = arena_array(arena, plan->n_nodes + 1, sizeof(bool));
    bool *only = arena_array(arena, plan->n_nodes + 1, sizeof(bool));
    memset(out, 0, plan->n_nodes + 1);
    memset(only, 0, plan->n_nodes + 1);
    int status = read_names(s, plan, "only", only);
    if (!status)
        status = read_names(s, plan, "exclude", out);
    if (status)
        return status;
    for (size_t i = 0; cli_opt(s->cli, "only") && i < plan->n_nodes; i++)
        out[i] |= !only[i];
    drop_departed(s, plan, out);
    if (!hosts_are_whole(s, plan, out))
        return EXIT_USAGE;
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        n += out[i];
    if (n == plan->n_nodes) {
        say_error("%s: no node is left to act on; nothing was touched", s->cli->command->name);
        return EXIT_USAGE;
    }
    *ret_out = n > 0 ? out : NULL;
    return 0;
}
