/* SPDX-License-Identifier: MIT */
/* What a role says of its own about users and logins, where the release asks and works: nothing of it is another role's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/preflight.c" /* whom it asks for is handed to nobody else */

static struct plan_step steps[] = {
    {.verb = "cmd.run",
     .label = "build",
     .phase = PHASE_PREPARE,
     .role = 1,
     .n_args = 2,
     .args = (const struct op_pair[]){{"cmd", "make"}, {"runas", "builder"}}},
    {.verb = "cmd.run",
     .label = "pack",
     .phase = PHASE_PREPARE,
     .role = 2,
     .n_args = 2,
     .args = (const struct op_pair[]){{"cmd", "make"}, {"runas", "packer"}}},
};
static struct plan_node nodes[] = {
    {.id = "w1", .rev = "", .rev_before = "", .vars = (const struct op_pair[]){{"node", "w1"}}, .n_vars = 1},
    {.id = "a1",
     .rev = "",
     .rev_before = "",
     .role = 1,
     .n_vars = 2,
     .vars = (const struct op_pair[]){{"node", "a1"}, {"user", "web"}}},
};

/* The first role's user is the plan's; who has another says so itself. */
static struct plan two_roles(struct plan_role *roles)
{
    static const struct op_pair vars[] = {{"user", "celery"}, {"dir", "/srv"}};
    roles[0] =
        (struct plan_role){.name = "worker", .ssh_defaults = {.transport = "ssh", .ssh = {.user = "ops"}}};
    roles[1] = (struct plan_role){.name = "web",
                                  .capacity_step = {.verb = "haproxy.capacity"},
                                  .ssh_defaults = {.transport = "ssh", .ssh = {.user = "lb"}}};
    return (struct plan){.env = "prod",
                         .app = "shop",
                         .user = "celery",
                         .rev = "",
                         .steps = steps,
                         .n_steps = 2,
                         .nodes = nodes,
                         .n_nodes = 2,
                         .roles = roles,
                         .n_roles = 2,
                         .vars = vars,
                         .n_vars = 2,
                         .ssh_defaults = {.transport = "ssh", .state_dir = ".release/shop+prod"}};
}

static void every_node_is_asked_for_its_own_users(void **state)
{
    (void)state;
    static const char *const want[2][2] = {{"celery", "builder"}, {"web", "packer"}};
    struct plan_role roles[2];
    struct plan plan = two_roles(roles);
    auto_arena struct arena arena = {.head = NULL};
    for (size_t r = 0; r < 2; r++) {
        size_t n;
        const struct plan_step *probe = probe_step(&plan, r, &arena);
        const struct op_pair *args = plan_args(&plan, probe, &nodes[r], false, &arena, &n);
        assert_int_equal(n, 2);
        for (size_t i = 0; i < 2; i++)
            assert_string_equal(args[i].value, want[r][i]);
    }
}

/* Whose `ssh:` opens the way to a balancer's host? */
static const char *login_of(const struct plan *plan, const struct plan_step *step,
                            const struct plan_node *node)
{
    struct run_options opt = {.who = "ann"};
    const struct job_basis basis = {.plan = plan, .opt = &opt, .waker_fd = -1};
    const struct step_call call = {.step = step, .verb = verb_find(step->verb, NULL), .node = node};
    struct job *job = bridge_probe_job(&basis, &call);
    const char *user = job->spec.ssh_defaults->ssh.user;
    job_free(job);
    return user;
}

static void hosts_of_balancers_are_logged_in_to_as_the_role_says(void **state)
{
    (void)state;
    struct plan_role roles[2];
    struct plan plan = two_roles(roles);
    auto_arena struct arena arena = {.head = NULL};
    plan_role_mark(&roles[1], 1, &arena);
    assert_string_equal(login_of(&plan, &steps[0], &nodes[0]), "ops");
    assert_string_equal(login_of(&plan, &steps[1], &nodes[1]), "lb");
    assert_string_equal(login_of(&plan, &roles[1].capacity_step, NULL), "lb"); /* of no node: its floor */
    const struct plan_step hook = {.verb = "cmd.local", .phase = PHASE_HOOK_AFTER};
    assert_null(login_of(&plan, &hook, NULL)); /* of no role: as the release says */
    plan_roles_reverse(&plan, &arena);
    assert_string_equal(login_of(&plan, &plan.roles[0].capacity_step, NULL), "lb");
    plan.roles[0].ssh_defaults.transport = NULL; /* an older plan */
    assert_null(login_of(&plan, &plan.roles[0].capacity_step, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_is_asked_for_its_own_users),
        cmocka_unit_test(hosts_of_balancers_are_logged_in_to_as_the_role_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
