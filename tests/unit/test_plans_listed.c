/* SPDX-License-Identifier: MIT */
/* app_servers that a driver lists ({ec2: ...}): the question as it stands in the pillar, who is asked, and what becomes of the answer.
 * Nobody is asked over a network: whoever runs verbs is the test. */
#include "unit/plans_rig.h"

#include "base/auto.h"

#define BLOCK(servers)                                                                                       \
    "#!yaml\nrelease:\n  app: site\n  repo: /srv/site.git\n  branch: main\n  dir: /srv/site\n"               \
    "  service: site\n" servers "\n"
#define SERVERS(text) BLOCK("  app_servers: " text)
#define EC2           "{region: eu-west-1, filters: {\"tag:Role\": web, n: [1, yes]}}"

/* ---- who is asked */

static struct {
    const char *nodes, *refusal;
    enum err_code code;
    size_t n;
    int64_t timeout_ms;
    char args[1000];
} there;

static bool list(const struct listing *l, struct arena *a, const struct op_pair **ret_facts, size_t *ret_n,
                 struct err *err)
{
    struct op_pair *facts = arena_array(a, 2, sizeof(*facts));
    auto_buf struct buf args = BUF_INIT(1000);
    buf_printf(&args, "%s", l->verb->name);
    for (size_t i = 0; i < l->n_args; i++)
        buf_printf(&args, " %s=%s", l->args[i].name, l->args[i].value);
    (void)snprintf(there.args, sizeof(there.args), "%s", buf_str(&args));
    there.n++;
    there.timeout_ms = l->timeout_ms;
    if (there.refusal != NULL)
        return err_set(err, there.code, "%s", there.refusal);
    facts[0] = (struct op_pair){.name = NODES_FACT, .value = there.nodes};
    facts[1] = (struct op_pair){.name = NODES_FACT_SOURCE, .value = "ec2 eu-west-1 tag:Role=web"};
    *ret_facts = facts;
    *ret_n = 2;
    return true;
}

static int begin(void **state)
{
    memset(&there, 0, sizeof(there));
    there.nodes =
        "{\n\"i-1\": {\"host\": \"10.0.0.1\", \"lb_server\": \"i-1\", \"zone\": \"a\", \"tag:Role\": \"web\", "
        "\"tag:aws:x:y\": \"q\", \"tag:Bad\": null, \"public_ip\": \"192.0.2.1\"},\n"
        "\"i-2\": {\"host\": \"10.0.0.2\", \"lb_server\": \"i-2\", \"zone\": \"b\", \"tag:Role\": \"web\", "
        "\"tag:aws:x:y\": \"r\"}\n}\n";
    pillar_lists_by(list);
    return setup(state);
}

static bool loaded(struct rig *r, const char *pillar)
{
    const struct compile_request req = {.root = dir, .env = "prod", .look = true};
    put_pillar("prod.sls", pillar);
    return pillar_load(dir, "prod", NULL, 0, &r->pillar, &r->problems) &&
           plan_compile(r->pillar, &req, &r->arena, &r->plan, &r->problems);
}

static const char *var(const struct plan_node *n, const char *name)
{
    return op_pair_value(n->vars, n->n_vars, name);
}

/* ---- the answer */

static void a_driver_lists_the_nodes(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    if (!loaded(&r, SERVERS("{ec2: " EC2 ", port: 8080, vars: [zone, \"tag:Role\", \"tag:aws:x:y\"]}")))
        fail_msg("%s", said(&r.problems));
    assert_string_equal(
        there.args,
        "ec2.instances region=eu-west-1 filters={\"tag:Role\": \"web\", \"n\": [\"1\", \"yes\"]}");
    assert_int_equal(there.timeout_ms, 60000);
    assert_int_equal(r.plan->n_nodes, 2);
    const struct plan_node *n = &r.plan->nodes[1];
    assert_string_equal(n->id, "i-2");
    assert_string_equal(n->target.host, "10.0.0.2");
    assert_string_equal(n->where, "answer of ec2:3:1");
    assert_string_equal(var(n, "lb_server"), "i-2");
    assert_string_equal(var(n, "port"), "8080");
    assert_string_equal(var(n, "zone"), "b");
    assert_string_equal(var(n, "Role"), "web");
    assert_string_equal(var(n, "y"), "r");
    assert_null(var(n, "public_ip"));
    /* Who was asked is frozen with the answer's digest. */
    assert_int_equal(r.plan->n_rendered, 1);
    assert_string_equal(r.plan->rendered[0].name, "app_servers by ec2 eu-west-1 tag:Role=web");
    assert_int_equal(strlen(r.plan->rendered[0].value), 64);
    auto_free char *frozen = plan_encode(r.plan), *text = plan_text(r.plan);
    assert_non_null(strstr(frozen, "app_servers by ec2 eu-west-1 tag:Role=web"));
    assert_non_null(strstr(text, "rendered    app_servers by ec2 eu-west-1 tag:Role=web (sha256 "));
}

/* Each role is a question of its own; the same one is asked once. */
static void roles_are_listed_too(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    const char *servers = "  roles:\n"
                          "    one: {app_servers: {ec2: " EC2 ", timeout: 5s}, dir: /srv/one}\n"
                          "    two: {app_servers: [web1], dir: /srv/two}\n";
    auto_buf struct buf text = BUF_INIT(4000);
    buf_printf(&text, BLOCK("%s"), servers);
    if (!loaded(&r, buf_str(&text)))
        fail_msg("%s", said(&r.problems));
    assert_int_equal(there.n, 1);
    assert_int_equal(there.timeout_ms, 5000);
    assert_int_equal(r.plan->n_nodes, 3);
    assert_string_equal(r.plan->nodes[0].id, "i-1");
    assert_string_equal(r.plan->nodes[2].id, "web1");
    assert_int_equal(r.plan->n_rendered, 1);
}

/* Whoever looks for the way back waits a few seconds for anybody else, and no longer. */
static void a_listing_has_no_more_time_than_the_pillar(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    const struct pillar_request req = {.root = dir, .env = "prod", .wait_max_ms = 3000};
    put_pillar("prod.sls", SERVERS("{ec2: " EC2 "}"));
    assert_true(pillar_load_as(&req, &r.pillar, &r.problems));
    assert_int_equal(there.timeout_ms, 3000);
}

static void a_node_may_be_called_as_a_driver(void **state)
{
    (void)state;
    static const char *const names[] = {"{ec2: {host: 10.0.0.9, region: x}, web1: 10.0.0.8}",
                                        "{ec2: 10.0.0.9}", "{ec2: {}}", "{haproxy: {region: x}}"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf text = BUF_INIT(4000);
        buf_printf(&text, SERVERS("%s"), names[i]);
        if (!loaded(&r, buf_str(&text)))
            fail_msg("%s", said(&r.problems));
        assert_int_equal(there.n, 0);
        assert_string_equal(r.plan->nodes[0].id, i == 3 ? "haproxy" : "ec2");
    }
}

/* ---- mistakes */

static void mistakes_in_the_question_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *servers, *said;
    } rows[] = {
        {"{ec2: {region: eu-west-1}}",
         "pillar/prod.sls:8:17: app_servers: ec2: no filters (wanted: EC2's own: "},
        {"{ec2: {regoin: eu-west-1, filters: {a: b}}}",
         "pillar/prod.sls:8:23: app_servers: ec2: unknown key 'regoin' (did you mean 'region'?); 'release help "
         "ec2.instances' lists them\n"
         "pillar/prod.sls:8:17: app_servers: ec2: no region (wanted: eu-central-1)\n"},
        {"{ec2: {region: [a], filters: web, address: home}}",
         "pillar/prod.sls:8:31: app_servers: ec2: region: wanted one plain value, found a list\n"
         "pillar/prod.sls:8:45: app_servers: ec2: filters: wanted a map with plain values, found web\n"
         "pillar/prod.sls:8:59: app_servers: ec2: address: wanted private, public, ipv6, private_dns or public_dns, "
         "found home\n"},
        {"{ec2: {region: eu-west-1, filters: {a: ~}}}",
         "filters: wanted a map with plain values, found a map"},
        {"{ec2: {region: Europe, filters: {a: b}}}",
         "pillar/prod.sls:8:22: app_servers: ec2: 'Europe' cannot be a region of AWS"},
        {"{ec2: {region: eu-west-1, filters: {}}}",
         "pillar/prod.sls:8:22: app_servers: ec2: filters: wanted at least one, in the same place as region"},
        {"{ec2: " EC2 ", group: web}", "app_servers: ec2: group: and ssh: are for a command:"},
        {"{ec2: " EC2 ", command: [bin/x]}", "app_servers: give command or match or ec2, not both"},
        {"{ec2: " EC2 ", web9: 10.0.0.9}", "app_servers: unknown key 'web9'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf text = BUF_INIT(4000);
        buf_printf(&text, SERVERS("%s"), rows[i].servers);
        assert_false(loaded(&r, buf_str(&text)));
        if (strstr(said(&r.problems), rows[i].said) == NULL)
            fail_msg("%s: \"%s\" is not said: %s", rows[i].servers, rows[i].said, said(&r.problems));
        assert_int_equal(there.n, 0);
    }
}

static void what_is_wrong_with_the_answer_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *nodes, *refusal;
        enum err_code code;
        const char *said;
    } rows[] = {
        {"", NULL, "eu-west-1: DescribeInstances: AWS answered ExpiredToken: no", E_AUTH,
         "pillar/prod.sls:8:17: app_servers: ec2: eu-west-1: DescribeInstances: AWS answered ExpiredToken: no\n"},
        {"", NULL, "127.0.0.1: no answer", E_LATE,
         "app_servers: ec2: not done in 1m00s (timeout: beside it sets another time): 127.0.0.1: no answer\n"},
        {", vars: [\"tag:Bad\"]", NULL, NULL, E_NONE,
         "answer of ec2:2:8: app_servers: node 'i-1' has no plain value 'tag:Bad'"},
        {", host: public_ip", NULL, NULL, E_NONE,
         "answer of ec2:3:8: app_servers: node 'i-2' has no plain value 'public_ip'"},
        {", vars: [\"tag:env\"]", "{\n\"i-1\": {\"host\": \"a\", \"lb_server\": \"a\", \"tag:env\": \"x\"}}",
         NULL, E_NONE, "'env' cannot be set"},
        {"", "{\n\"web 1\": {\"host\": \"a\", \"lb_server\": \"a\"}}", NULL, E_NONE,
         "answer of ec2:2:1: app_servers: 'web 1' is not a node id"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf text = BUF_INIT(4000);
        const char *usual = there.nodes;
        there.nodes = rows[i].nodes == NULL ? usual : rows[i].nodes;
        there.refusal = rows[i].refusal;
        there.code = rows[i].code;
        buf_printf(&text, SERVERS("{ec2: " EC2 "%s}"), rows[i].keys);
        assert_false(loaded(&r, buf_str(&text)));
        if (strstr(said(&r.problems), rows[i].said) == NULL)
            fail_msg("\"%s\" is not said: %s", rows[i].said, said(&r.problems));
        there.nodes = usual;
    }
}

static void nobody_is_asked_where_nobody_asks(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    pillar_lists_by(NULL);
    assert_false(loaded(&r, SERVERS("{ec2: " EC2 "}")));
    assert_non_null(strstr(said(&r.problems), "app_servers: ec2: nobody here may ask for nodes"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_driver_lists_the_nodes),
        T(roles_are_listed_too),
        T(a_listing_has_no_more_time_than_the_pillar),
        T(a_node_may_be_called_as_a_driver),
        T(mistakes_in_the_question_are_told),
        T(what_is_wrong_with_the_answer_is_told),
        T(nobody_is_asked_where_nobody_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
