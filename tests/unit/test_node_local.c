/* SPDX-License-Identifier: MIT */
/* drivers/node/node.h on the transport `local`, with the system's sh (dash on Debian) and with bash in its place.
 */
#include "unit/node_cases.h"

static struct target target = {.id = "app1", .transport = "local"};

static const struct target *the_target(void)
{
    return &target;
}

static int setup(void **state)
{
    (void)state;
    drivers_init();
    scratch_make();
    target.state_dir = strdup(scratch_path("state/prod/app1"));
    if (*state) {
        char path[4096];
        assert_int_equal(symlink(*state, scratch_path("sh")), 0);
        snprintf(path, sizeof(path), "%s:%s", scratch, getenv("PATH"));
        setenv("PATH", path, 1);
    }
    the_conns = conns_new(transport_table);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    conns_free(the_conns);
    free((void *)(uintptr_t)target.state_dir);
    scratch_remove();
    return 0;
}

static int setup_bash(void **state)
{
    static char shell[] = "/bin/bash";
    *state = shell;
    return setup(state);
}

static void sh_is_bash(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "echo ${BASH_VERSION:+bash}"}};
    ask_ok(&a);
    assert_string_equal(a.out, "bash\n");
    ask_free(&a);
}

/* A balancer's host that is named is that machine, wherever the nodes are. */
static void another_host_is_another_machine(void **state)
{
    (void)state;
    static const struct target defaults = {.transport = "local"};
    const struct op_spec spec = {.ssh_defaults = &defaults, .cancel_fd = -1};
    struct op *op = op_new(&spec);
    assert_string_equal(op_target_host(op, "lb1")->transport, "ssh");
    assert_string_equal(op_target_host(op, "lb1")->host, "lb1");
    assert_string_equal(op_target_host(op, "127.0.0.1")->transport, "local");
    assert_string_equal(op_target_host(op, NULL)->transport, "local");
    op_free(op);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {NODE_CASES};
    const struct CMUnitTest with_bash[] = {cmocka_unit_test(sh_is_bash),
                                           cmocka_unit_test(another_host_is_another_machine), NODE_CASES};
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    return failed + cmocka_run_group_tests(with_bash, setup_bash, teardown);
}
