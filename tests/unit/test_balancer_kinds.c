/* SPDX-License-Identifier: MIT */
/* What every kind of balancer promises, one suite for all, against the real counterparts (kinds.h). A case that a kind cannot do is
 * said in its row, and here it is looked that it is refused, or that the property which docs/balancers.md tells is so.
 *
 *     CASE='*floor*' test_balancer_kinds [KIND...]          all cases of all kinds */
#include "unit/kinds.h"

#include "unit/kind_apache.h"
#include "unit/kind_aws.h"
#include "unit/kind_command.h"
#include "unit/kind_haproxy.h"
#include "unit/kind_lvs.h"
#include "unit/kind_netscaler.h"
#include "unit/kind_nginx.h"
#include "unit/kind_service.h"
#include "unit/kind_nginx_plus.h"
#include "unit/kind_varnish.h"

#define SOON_MS 1500 /* for balancers that cannot be asked: the deadline of a step */
#define LONG_MS 30000

/* ---- one verb -------------------------------------------------------------------------------------------- */

static const struct verb *verb_of(const struct kind *k, const char *verb)
{
    char name[80];
    snprintf(name, sizeof name, "%s.%s", k->name, verb);
    return verb_find(name, NULL);
}

static void run(const struct kind *k, struct call *c, const char *verb, const char *server)
{
    struct op_pair args[KIND_ARGS];
    size_t n = k->args(args);
    n = args_add(
        args, n, server ? k->server_param : "servers",
        server ? server
               : rig_says("echo '[\"%s\",\"%s\",\"%s\"]'", k->servers[0], k->servers[1], k->servers[2]));
    rig_run(c, verb_of(k, verb)->name, args, n);
}

static bool is_ready(const struct kind *k, const char *verb, const char *server)
{
    auto_call struct call c;
    run(k, &c, verb, server);
    assert_ok(&c);
    return c.r->ready;
}

/* As the core does it: what is taken and not shown yet is looked for by the verb that observes it. */
static bool change(const struct kind *k, const char *verb, const char *server)
{
    auto_call struct call c;
    run(k, &c, verb, server);
    assert_ok(&c);
    const char *observe = strchr(verb_of(k, verb)->observe, '.') + 1;
    rig_until(c.r->ready || is_ready(k, observe, server));
    return c.r->changed;
}

static const char *fact_of(const struct kind *k, const char *verb, const char *server, const char *fact)
{
    static char text[2000];
    auto_call struct call c;
    run(k, &c, verb, server);
    assert_ok(&c);
    snprintf(text, sizeof text, "%s", rig_fact(&c, fact) ? rig_fact(&c, fact) : "");
    return text;
}

static enum outcome outcome_of(const struct kind *k, const char *verb, const char *server, const char *says)
{
    auto_call struct call c;
    run(k, &c, verb, server);
    if (says)
        assert_says(c.r->err.text, says);
    return c.r->outcome;
}

/* ---- what others see ------------------------------------------------------------------------------------- */

static bool all_show(const struct kind *k, const char *server, enum seen want)
{
    for (size_t i = 0; i < k->peers; i++) {
        if (k->shows(i, server) != want)
            return false;
    }
    return true;
}

#define assert_all(k, server, want)                                                                          \
    do {                                                                                                     \
        if ((k)->late)                                                                                       \
            rig_until(all_show((k), (server), (want)));                                                      \
        for (size_t peer_ = 0; peer_ < (k)->peers; peer_++)                                                  \
            assert_int_equal((k)->shows(peer_, (server)), (want));                                           \
    } while (0)

/* An operator's word on all of them. */
static void hands(const struct kind *k, const char *server, enum seen want)
{
    for (size_t i = 0; i < k->peers; i++)
        k->hand(i, server, want);
    assert_all(k, server, want);
}

static void leave(const struct kind *k, const char *server)
{
    outcome_of(k, "observe", server, NULL);
    change(k, "drain", server);
    assert_all(k, server, SEEN_OUT);
}

static void come_back(const struct kind *k, const char *server)
{
    change(k, "enable", server);
    rig_until(is_ready(k, "wait_up", server));
    assert_all(k, server, SEEN_IN);
}

/* ---- the cases ------------------------------------------------------------------------------------------- */

static void a_drain_is_read_back_and_what_was_is_given_back(void **state)
{
    const struct kind *k = *state;
    const char *one = k->servers[0];
    assert_string_equal(fact_of(k, "observe", one, "in_rotation"), "yes");
    assert_false(is_ready(k, "observe", one));
    assert_true(change(k, "drain", one));
    assert_all(k, one, SEEN_OUT);
    assert_all(k, k->servers[1], SEEN_IN);
    assert_false(change(k, "drain", one));
    assert_string_equal(fact_of(k, "observe", one, "lb.before"), ""); /* that was our own drain */
    assert_true(is_ready(k, "observe", one));
    rig_until(is_ready(k, "wait_idle", one));
    assert_true(is_ready(k, "guard", one));
    assert_string_equal(fact_of(k, "capacity", NULL, "lb.serving"), "011");
    assert_false(is_ready(k, "enabled", one));
    assert_true(change(k, "enable", one));
    rig_until(is_ready(k, "wait_up", one));
    assert_all(k, one, SEEN_IN);
    assert_false(change(k, "enable", one));
    assert_string_equal(fact_of(k, "capacity", NULL, "lb.serving"), "111");
}

/* Its operators have a maintenance, whether or not we may set it. */
static bool has_maint(const struct kind *k)
{
    return verb_of(k, "drain")->balancer->words[LB_MAINT] != NULL;
}

static void one_that_was_out_stays_out(void **state)
{
    const struct kind *k = *state;
    const char *one = k->servers[0];
    enum seen out = has_maint(k) ? SEEN_MAINT : SEEN_OUT;
    hands(k, one, out);
    if (k->out_is_gone) {
        rig_dies = true; /* nothing of it is recorded, as long as it is still shown to leave */
        rig_until(outcome_of(k, "observe", one, NULL) == OUT_FAILED);
        rig_dies = false;
        assert_int_equal(outcome_of(k, "observe", one, one), OUT_FAILED);
        return;
    }
    assert_string_equal(fact_of(k, "observe", one, "in_rotation"), "no");
    assert_false(change(k, "drain", one));
    rig_until(is_ready(k, "wait_idle", one));
    assert_string_not_equal(fact_of(k, "enable", one, "kept"), "");
    assert_true(is_ready(k, "enabled", one) && is_ready(k, "wait_up", one));
    assert_all(k, one, out);
}

static void is_lost_and_told_again(const struct kind *k, const char *server)
{
    auto_call struct call guard = {0}, idle = {0};
    rig_until((rig_done(&guard), run(k, &guard, "guard", server), guard.r->lost));
    assert_false(guard.r->ready);
    run(k, &idle, "wait_idle", server);
    assert_true(idle.r->lost && !idle.r->ready);
    assert_true(change(k, "drain", server));
    assert_all(k, server, SEEN_OUT);
    come_back(k, server);
}

static void a_drain_that_is_gone_is_noticed(void **state)
{
    const struct kind *k = *state;
    leave(k, k->servers[0]);
    k->hand(k->peers - 1, k->servers[0], SEEN_IN);
    is_lost_and_told_again(k, k->servers[0]);
}

static void a_drain_that_is_forgotten_is_noticed(void **state)
{
    const struct kind *k = *state;
    if (!k->forget) { /* its hand above is all that undoes it */
        assert_false(k->can & LB_CAN_FORGET);
        return;
    }
    leave(k, k->servers[0]);
    k->forget(k->peers - 1);
    is_lost_and_told_again(k, k->servers[0]);
}

static void balancers_that_disagree_are_refused(void **state)
{
    const struct kind *k = *state;
    if (k->peers < 2) {
        assert_int_equal(outcome_of(k, "observe", k->servers[0], NULL), OUT_OK);
        return;
    }
    k->hand(1, k->servers[0], SEEN_OUT);
    rig_until(k->shows(1, k->servers[0]) == SEEN_OUT);
    rig_until(outcome_of(k, "observe", k->servers[0], NULL) == OUT_FAILED);
    assert_int_equal(outcome_of(k, "observe", k->servers[0], k->out_is_gone ? k->servers[0] : "disagree: "),
                     OUT_FAILED);
    assert_int_equal(k->shows(0, k->servers[0]), SEEN_IN);
}

static void one_that_refuses_has_the_others_put_back(void **state)
{
    const struct kind *k = *state;
    k->fault(k->peers - 1, FAULT_REFUSES);
    outcome_of(k, "observe", k->servers[0], NULL);
    assert_int_equal(outcome_of(k, "drain", k->servers[0], "the balancer said: "), OUT_FAILED);
    assert_all(k, k->servers[0], SEEN_IN);
    k->fault(k->peers - 1, FAULT_NONE);
    assert_true(change(k, "drain", k->servers[0]));
    assert_all(k, k->servers[0], SEEN_OUT);
    come_back(k, k->servers[0]);
}

/* Done, and nobody heard it: unknown, the others are put back, and the next look and drain mend it. */
static void an_answer_that_is_lost_is_unknown(void **state)
{
    const struct kind *k = *state;
    k->fault(k->peers - 1, FAULT_LOSES);
    outcome_of(k, "observe", k->servers[0], NULL);
    assert_int_equal(outcome_of(k, "drain", k->servers[0], NULL), k->no_loss ? OUT_OK : OUT_UNKNOWN);
    for (size_t i = 0; i + 1 < k->peers && !k->no_loss; i++) {
        if (k->late)
            rig_until(k->shows(i, k->servers[0]) == SEEN_IN);
        assert_int_equal(k->shows(i, k->servers[0]), SEEN_IN);
    }
    k->fault(k->peers - 1, FAULT_NONE);
    if (!is_ready(k, "observe", k->servers[0]))
        change(k, "drain", k->servers[0]);
    assert_all(k, k->servers[0], SEEN_OUT);
    come_back(k, k->servers[0]);
}

static void is_unknown(const struct kind *k, const char *const *verbs)
{
    for (size_t i = 0; verbs[i]; i++) {
        const char *server = strcmp(verbs[i], "capacity") != 0 ? k->servers[0] : NULL;
        if (outcome_of(k, verbs[i], server, NULL) != OUT_UNKNOWN)
            fail_msg("%s of a balancer that cannot be asked is not unknown", verbs[i]);
    }
}

static void one_that_cannot_be_reached_is_unknown(void **state)
{
    const struct kind *k = *state;
    static const char *const verbs[] = {"observe", "drain",   "guard",    "wait_idle", "enable",
                                        "enabled", "wait_up", "capacity", NULL};
    outcome_of(k, "observe", k->servers[0], NULL);
    rig_deadline_ms = SOON_MS;
    k->fault(k->peers - 1, FAULT_GONE);
    is_unknown(k, verbs);
    rig_deadline_ms = LONG_MS;
    k->fault(k->peers - 1, FAULT_NONE);
    assert_all(k, k->servers[0], SEEN_IN);
    change(k, "drain", k->servers[0]);
    come_back(k, k->servers[0]);
}

static void one_that_hangs_is_unknown(void **state)
{
    const struct kind *k = *state;
    static const char *const before[] = {"drain", NULL}, *const after[] = {"guard", "enable", NULL};
    outcome_of(k, "observe", k->servers[0], NULL);
    rig_deadline_ms = SOON_MS;
    k->fault(k->peers - 1, FAULT_STOPPED);
    is_unknown(k, before);
    k->fault(k->peers - 1, FAULT_NONE);
    rig_deadline_ms = LONG_MS;
    change(k, "drain", k->servers[0]);
    assert_all(k, k->servers[0], SEEN_OUT);
    rig_deadline_ms = SOON_MS;
    k->fault(k->peers - 1, FAULT_STOPPED);
    is_unknown(k, after);
    k->fault(k->peers - 1, FAULT_NONE);
    rig_deadline_ms = LONG_MS;
    come_back(k, k->servers[0]);
}

/* Where there is no maintenance, an operator's word is the same as ours: it is given back what was before. */
static void maintenance_by_hand_meanwhile_stays(void **state)
{
    const struct kind *k = *state;
    const char *one = k->servers[0];
    leave(k, one);
    if (!has_maint(k)) {
        come_back(k, one);
        return;
    }
    k->hand(k->peers - 1, one, SEEN_MAINT);
    assert_string_not_equal(fact_of(k, "enable", one, "kept"), "");
    rig_until(is_ready(k, "enabled", one) && is_ready(k, "wait_up", one));
    assert_int_equal(k->shows(k->peers - 1, one), SEEN_MAINT);
    for (size_t i = 0; i + 1 < k->peers; i++)
        assert_int_equal(k->shows(i, one), SEEN_IN);
}

/* Our own maintenance, also when the controller died before it heard of it. */
static void our_own_maintenance_is_given_back(void **state)
{
    const struct kind *k = *state;
    for (int dies = 0; k->can & LB_CAN_MAINT && dies < 2; dies++) {
        auto_call struct call maint = {0};
        leave(k, k->servers[0]);
        rig_dies = dies;
        run(k, &maint, "maint", k->servers[0]);
        rig_dies = false;
        assert_ok(&maint);
        assert_all(k, k->servers[0], SEEN_MAINT);
        assert_true(is_ready(k, "in_maint", k->servers[0]));
        come_back(k, k->servers[0]);
        rig_forget();
    }
}

/* The effect is there, and what was found with it is in no journal: `dies` says after which change. The next controller asks the
 * verb that observes it, does it again where it is not so, and goes on. */
static void is_restored_after_a_death(const struct kind *k, const char *dies)
{
    static const char *const way[] = {"drain", "enable"};
    rig_forget();
    outcome_of(k, "observe", k->servers[0], NULL);
    for (size_t i = 0; i < 2; i++) {
        if (!strcmp(way[i], dies)) {
            auto_call struct call unheard = {0};
            rig_dies = true;
            run(k, &unheard, way[i], k->servers[0]);
            rig_dies = false;
            assert_ok(&unheard);
            if (is_ready(k, strchr(verb_of(k, way[i])->observe, '.') + 1, k->servers[0]))
                continue;
        }
        change(k, way[i], k->servers[0]);
        assert_all(k, k->servers[0], i == 0 ? SEEN_OUT : SEEN_IN);
    }
    rig_until(is_ready(k, "wait_up", k->servers[0]));
    assert_all(k, k->servers[0], SEEN_IN);
}

static void what_a_dead_controller_did_is_restored(void **state)
{
    is_restored_after_a_death(*state, "drain");
    is_restored_after_a_death(*state, "enable");
}

static void the_floor_is_read_from_all_of_them(void **state)
{
    const struct kind *k = *state;
    auto_call struct call all = {0}, show = {0};
    run(k, &all, "capacity", NULL);
    assert_int_equal(all.r->gauge, 3);
    k->hand(k->peers - 1, k->servers[1], SEEN_OUT);
    rig_until(k->shows(k->peers - 1, k->servers[1]) == SEEN_OUT);
    assert_string_equal(fact_of(k, "capacity", NULL, "lb.serving"), "101");
    run(k, &show, "show", NULL);
    assert_ok(&show);
    assert_true(show.r->n_facts >= 3 * k->peers - 1); /* one that is not a member may not be listed */
}

static void what_is_not_there_is_refused_by_name(void **state)
{
    const struct kind *k = *state;
    assert_int_equal(outcome_of(k, "observe", "nosuch", "nosuch"), OUT_FAILED);
    assert_int_equal(outcome_of(k, "drain", "nosuch", k->servers[0]),
                     OUT_FAILED); /* and it says what there is */
    assert_int_equal(outcome_of(k, "drain", "no;such server", "cannot be the name of"), OUT_FAILED);
    assert_all(k, k->servers[0], SEEN_IN);
}

static void what_runs_is_counted_and_ended(void **state)
{
    const struct kind *k = *state;
    auto_call struct call busy = {0}, kill = {0};
    const struct verb *wait = verb_of(k, "wait_idle");
    if (!k->busy)
        return;
    int fd = k->busy();
    leave(k, k->servers[0]);
    rig_until((rig_done(&busy), run(k, &busy, "wait_idle", k->servers[0]),
               busy.r->outcome == OUT_OK && busy.r->gauge >= 1));
    assert_false(busy.r->ready);
    if (!(k->can & LB_CAN_KILL)) { /* plans refuse `on_timeout: kill` by the first of these */
        assert_null(wait->kill);
        assert_null(verb_of(k, "kill"));
        close(fd);
        k->clear ? k->clear() : (void)0;
        rig_until(is_ready(k, "wait_idle", k->servers[0]));
        come_back(k, k->servers[0]);
        return;
    }
    run(k, &kill, "kill", k->servers[0]);
    assert_ok(&kill);
    assert_int_equal(atoi(rig_fact(&kill, "killed")), busy.r->gauge);
    rig_until(is_ready(k, "killed", k->servers[0]));
    assert_true(is_ready(k, "wait_idle", k->servers[0]));
    close(fd);
    come_back(k, k->servers[0]);
}

static void weights_are_given_back(void **state)
{
    const struct kind *k = *state;
    char before[2000];
    snprintf(before, sizeof before, "%s", fact_of(k, "observe", k->servers[0], "lb.before"));
    if (!(k->can & LB_CAN_WEIGHT)) {
        assert_null(strstr(before, ",w"));
        for (const struct param *p = verb_of(k, "enable")->params; p->name; p++)
            assert_string_not_equal(p->name, "weight_ramp");
        return;
    }
    int was = k->weight(0, k->servers[0]);
    assert_true(was > 1);
    assert_non_null(strstr(before, ",w"));
    change(k, "drain", k->servers[0]);
    auto_call struct call enable = {0};
    struct op_pair args[KIND_ARGS];
    size_t n = args_add(args, k->args(args), k->server_param, k->servers[0]);
    n = args_add(args, args_add(args, n, "weight_ramp", "[\"50%\"]"), "ramp_step", "10ms");
    rig_run(&enable, verb_of(k, "enable")->name, args, n);
    assert_ok(&enable);
    assert_says(enable.said, "at 50 % of its weight");
    rig_until(all_show(k, k->servers[0], SEEN_IN));
    for (size_t i = 0; i < k->peers; i++)
        assert_int_equal(k->weight(i, k->servers[0]), was);
}

/* `release lb --json` has what its kind tells, and not what it does not. */
static void what_it_counts_is_told(void **state)
{
    const struct kind *k = *state;
    static const struct {
        unsigned tells;
        const char *key;
    } rows[] = {{LB_TELLS_REQUESTS, "\"requests\":"},
                {LB_TELLS_ERRORS, "\"errors\":"},
                {LB_TELLS_TIMES, "\"answer_ms\":"}};
    auto_call struct call show = {0};
    bool found = false;
    k->ask ? k->ask() : (void)0;
    run(k, &show, "show", NULL);
    assert_ok(&show);
    for (size_t i = 0; i < show.r->n_facts; i++) {
        const char *name = show.r->facts[i].name, *end = name + strlen(name) - strlen(k->servers[0]);
        if (!str_starts(name, LB_FACT_SHOW) || end < name || strcmp(end, k->servers[0]) != 0)
            continue;
        found = true;
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
            if (!(k->can & rows[r].tells) != !strstr(show.r->facts[i].value, rows[r].key))
                fail_msg("%s%s in %s", rows[r].key, k->can & rows[r].tells ? " is not" : " is",
                         show.r->facts[i].value);
    }
    assert_true(found);
}

/* The row here, the kind's table, and the verbs that there are say the same. */
static void its_table_says_what_it_can(void **state)
{
    const struct kind *k = *state;
    const struct balancer *b = verb_of(k, "drain")->balancer;
    const unsigned known = LB_CAN_ALL | LB_TELLS_ALL;
    assert_int_equal(b->can & known, k->can);
    assert_string_equal(b->server_param, k->server_param);
    assert_int_equal(verb_of(k, "kill") != NULL, (b->can & LB_CAN_KILL) != 0);
    assert_int_equal(verb_of(k, "maint") != NULL, (b->can & LB_CAN_MAINT) != 0);
    assert_int_equal(b->kill != NULL, (b->can & LB_CAN_KILL) != 0);
    assert_int_equal(b->weigh != NULL, (b->can & LB_CAN_WEIGHT) != 0);
}

/* ---- all kinds ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    CMUnitTestFunction run;
} cases[] = {
#define CASE(f)                                                                                              \
    {                                                                                                        \
#f, f                                                                                                \
    }
    CASE(its_table_says_what_it_can),
    CASE(a_drain_is_read_back_and_what_was_is_given_back),
    CASE(one_that_was_out_stays_out),
    CASE(a_drain_that_is_gone_is_noticed),
    CASE(a_drain_that_is_forgotten_is_noticed),
    CASE(balancers_that_disagree_are_refused),
    CASE(one_that_refuses_has_the_others_put_back),
    CASE(an_answer_that_is_lost_is_unknown),
    CASE(one_that_cannot_be_reached_is_unknown),
    CASE(one_that_hangs_is_unknown),
    CASE(maintenance_by_hand_meanwhile_stays),
    CASE(our_own_maintenance_is_given_back),
    CASE(what_a_dead_controller_did_is_restored),
    CASE(the_floor_is_read_from_all_of_them),
    CASE(what_is_not_there_is_refused_by_name),
    CASE(what_runs_is_counted_and_ended),
    CASE(weights_are_given_back),
    CASE(what_it_counts_is_told),
};
#define N_CASES (sizeof cases / sizeof *cases)

static struct kind *const kinds[] = {&apache_kind, &haproxy_kind,    &varnish_kind,   &service_kind,
                                     &nginx_kind,  &nginx_plus_kind, &netscaler_kind, &command_kind,
                                     &elbv2_kind,  &elb_kind,        &asg_kind,       &lvs_kind};

static int each_setup(void **state)
{
    rig_deadline_ms = LONG_MS;
    rig_dies = false;
    ((struct kind *)*state)->fresh();
    rig_forget();
    return 0;
}

static int each_teardown(void **state)
{
    struct kind *k = *state;
    for (size_t i = 0; i < k->peers; i++)
        k->fault(i, FAULT_NONE); /* nobody stays stopped after a case that failed */
    return 0;
}

static bool wanted(const struct kind *k, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], k->name))
            return true;
    }
    return argc < 2;
}

/* 0: all of them passed. */
static int run_kind(struct kind *k)
{
    struct CMUnitTest tests[N_CASES];
    static char names[N_CASES][120];
    const char *why = NULL;
    if (!k->start(&why)) {
        print_message("[  SKIPPED ] %s: %s\n", k->name, why);
        return 0;
    }
    for (size_t i = 0; i < N_CASES; i++) {
        snprintf(names[i], sizeof names[i], "%s: %s", k->name, cases[i].name);
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = cases[i].run,
                                       .setup_func = each_setup,
                                       .teardown_func = each_teardown,
                                       .initial_state = k};
    }
    int64_t began = clock_mono_ms();
    int failed = _cmocka_run_group_tests(k->name, tests, N_CASES, NULL, NULL);
    print_message("%s: %d s\n", k->name, (int)((clock_mono_ms() - began) / 1000));
    k->stop();
    return failed;
}

/* Do the words name every kind, and no other? */
static int check_names(int n, char **names)
{
    size_t known = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int k = 0; k < n; k++)
            known += strcmp(names[k], kinds[i]->name) == 0;
    if (known == sizeof kinds / sizeof *kinds && known == (size_t)n)
        return 0;
    print_error("the parts name %zu of %zu kinds by %d words\n", known, sizeof kinds / sizeof *kinds, n);
    return 1;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc > 1 && !strcmp(argv[1], "--all-of"))
        return check_names(argc - 2, argv + 2);
    if (getenv("CASE"))
        cmocka_set_test_filter(getenv("CASE"));
    rig_open();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (wanted(kinds[i], argc, argv))
            failed += run_kind(kinds[i]);
    }
    rig_forget();
    rig_close();
    return failed != 0;
}
