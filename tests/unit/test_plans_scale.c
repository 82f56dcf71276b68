/* SPDX-License-Identifier: MIT */
/* Large trees: distinct files are counted, not uses, and the time grows with the tree, not with its square.
 */
#include "plans_rig.h"

#define FILES 700

static void put_files(const char *fmt, int n)
{
    for (int i = 0; i < n; i++) {
        char name[40], text[200];
        (void)snprintf(name, sizeof(name), "n/f%d.sls", i);
        (void)snprintf(text, sizeof(text), fmt, i, i);
        put_pillar(name, text);
    }
}

/* app0-0, app1-1, ...: node i has the target app(i % FILES)-*. */
static char *servers(int n, const char *head)
{
    char *text = malloc((size_t)n * 40 + 200);
    assert_non_null(text);
    char *end = text + sprintf(text, "%s", head);
    for (int i = 0; i < n; i++)
        end += sprintf(end, "     app%d-%d: 10.0.%d.%d\n", i % FILES, i, i / 250, i % 250 + 1);
    return text;
}

static char *top(const char *target)
{
    char *text = malloc(FILES * 60 + 200);
    assert_non_null(text);
    char *end = text + sprintf(text, "prod:\n  '*': [shared, servers]\n");
    for (int i = 0; i < FILES; i++)
        end += sprintf(end, target, i, i);
    return text;
}

static void files_of_nodes(const char *head)
{
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    char *targets = top("  'app%d-*': [n.f%d]\n"), *nodes = servers(FILES * 3, head);
    put_files("include: [shared]\nown%d: %d\n", FILES);
    put_pillar("shared.sls", "a: {b: 1}\n");
    put_pillar("servers.sls", nodes);
    put_pillar("top.sls", targets);
    double from = cpu_ms();
    if (!pillar_load(dir, "prod", NULL, 0, &p, &problems))
        fail_msg("%s", said(&problems));
    double ms = cpu_ms() - from;
    print_message("%d files, %d nodes: %.0f ms CPU\n", FILES, FILES * 3, ms);
    assert_int_equal(map_get(pillar_tree_of(p, "app3-3"), "own3")->text[0], '3');
    assert_null(map_get(pillar_tree_of(p, "app3-3"), "own4"));
    assert_ptr_equal(pillar_tree_of(p, "app3-3"), pillar_tree_of(p, "app3-703"));
    assert_true(ms < 6000); /* under a second without sanitizers; a square of it would be a minute */
    pillar_free(p);
    free(targets);
    free(nodes);
}

static void a_file_counts_once_however_often_it_is_used(void **state)
{
    (void)state;
    files_of_nodes("release:\n  app_servers:\n");
}

/* Nodes of roles, whose trees differ beside the block. */
static void so_does_a_list_of_roles(void **state)
{
    (void)state;
    files_of_nodes("release:\n  roles:\n   web:\n    app_servers:\n");
}

static void one_sum_of_many_files_is_one_walk(void **state)
{
    (void)state;
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p;
    char text[FILES * 20 + 40];
    char *end = text + sprintf(text, "prod:\n  '*':\n");
    for (int i = 0; i < FILES; i++)
        end += sprintf(end, "    - n.f%d\n", i);
    put_files("own%d: 1\nshared: {k%d: 1}\n", FILES);
    put_pillar("top.sls", text);
    double from = cpu_ms();
    if (!pillar_load(dir, "prod", NULL, 0, &p, &problems))
        fail_msg("%s", said(&problems));
    double ms = cpu_ms() - from;
    print_message("%d files for one node: %.0f ms CPU\n", FILES, ms);
    assert_int_equal(p->tree->n, FILES + 1);
    assert_int_equal(map_get(p->tree, "shared")->n, FILES);
    assert_true(ms < 3000);
    pillar_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_counts_once_however_often_it_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(so_does_a_list_of_roles, setup, teardown),
        cmocka_unit_test_setup_teardown(one_sum_of_many_files_is_one_walk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
