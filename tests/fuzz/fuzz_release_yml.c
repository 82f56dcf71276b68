/* SPDX-License-Identifier: MIT */
/* ROOT/release.yml: environments, who renders, grains, nodegroups. Only read: what it names is never run
 * here. What is taken must be whole, what is not says why. */
#include "fuzz_plans.h"

#include "plans/release_yml.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    root_make();
    return 0;
}

static void rule_is_whole(const struct render_rule *rule)
{
    must(rule->renderer != RENDERER_COMMAND || (rule->argv != NULL && rule->argv[0] != NULL));
    must(rule->timeout_ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    auto_problems struct problems problems = {.n = 0};
    struct release_yml yml = {.path = NULL};
    file_put("release.yml", data, n);
    if (!release_yml_load(&arena, root, &yml, &problems)) {
        problems_check(&problems);
        return 0;
    }
    must(yml.found && problems.n == 0);
    rule_is_whole(&yml.render);
    must(yml.state == NULL || yml.state[0] == '/');
    for (size_t i = 0; i < yml.n_envs; i++) {
        const struct env_rule *env = &yml.envs[i];
        must(env->name[0] != '\0' && release_yml_env(&yml, env->name) == env);
        rule_is_whole(&env->render);
        for (size_t k = 0; k < env->n_roots; k++)
            must(env->roots[k][0] == '/');
        for (size_t k = 0; k < env->n_nodes; k++)
            must(env->nodes[k][0] != '\0');
    }
    return 0;
}
