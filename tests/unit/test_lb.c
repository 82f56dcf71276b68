/* SPDX-License-Identifier: MIT */
/* The text form of what balancers say: what any version wrote into a journal is read as it was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/lb.h"
#include "drivers/balancer/balancer.h"

#define WORD_STATE(w, s) {w, LB_##s},

static void every_word_has_one_meaning(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum lb_state state;
    } rows[] = {LB_WORDS(WORD_STATE)};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(lb_state_of_word(rows[i].word, strlen(rows[i].word)), rows[i].state);
        assert_true(lb_state_is_out(rows[i].state) != lb_state_is_in(rows[i].state));
    }
    assert_int_equal(lb_state_of_word("asleep", 6), LB_UNKNOWN);
    assert_int_equal(lb_state_of_word("readyish", 5), LB_READY);
    assert_false(lb_state_is_in(LB_UNKNOWN) || lb_state_is_out(LB_UNKNOWN));
}

static void before_is_found_by_balancer_and_server(void **state)
{
    (void)state;
    static const char fact[] = "tcp://a:1 web/w1=ready,w100;tcp://b:1 web/w1=maint,w0;tcp://b:1 "
                               "web/w11=drain;tcp://c:1 varnish/w=sick";
    struct lb_before b;
    assert_true(lb_before_find(fact, "tcp://a:1", "web", "w1", &b));
    assert_true(b.state == LB_READY && b.weight == 100 && !b.agent);
    assert_true(lb_before_find(fact, "tcp://b:1", "web", "w1", &b));
    assert_true(b.state == LB_MAINT && b.weight == 0);
    assert_true(lb_before_find(fact, "tcp://b:1", "web", "w11", &b));
    assert_true(b.state == LB_DRAIN && b.weight == -1);
    assert_true(lb_before_find(fact, "tcp://c:1", "varnish", "w", &b));
    assert_true(b.state == LB_DRAIN);
    assert_false(lb_before_find(fact, "tcp://a:1", "web", "w11", &b));
    assert_false(lb_before_find(NULL, "tcp://a:1", "web", "w1", &b));
    assert_true(lb_before_find("tcp://a:1 web/w1=drain,w7,agent", "tcp://a:1", "web", "w1", &b));
    assert_true(b.agent && b.weight == 7 && b.state == LB_DRAIN && !b.behind);
    assert_true(lb_before_find("tcp://a:1 web/w1=ready,w7,agent,behind", "tcp://a:1", "web", "w1", &b));
    assert_true(b.agent && b.behind && b.weight == 7 && b.state == LB_READY);
    assert_true(lb_before_find("tcp://a:1 web/w1=ready,w7,behind", "tcp://a:1", "web", "w1", &b));
    assert_true(!b.agent && b.behind);
    static const char *const bad[] = {
        "asleep", "ready,x9", "drain,w7,behind,agent", "drain,w7,agents", "drain,w7,", "drain,w", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        auto_buf struct buf text = BUF_INIT(100);
        buf_printf(&text, "tcp://a:1 web/w1=%s", bad[i]);
        assert_false(lb_before_find(buf_str(&text), "tcp://a:1", "web", "w1", &b));
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    auto_buf struct buf text = BUF_INIT(1000);
    struct lb_before b;
    lb_before_add(&text, "tcp://a:1", "web", "w1", "drain", &(struct lb_before){LB_DRAIN, 7, true, false});
    lb_before_add(&text, "tcp://a:1", "web", "w2", "ready", &(struct lb_before){LB_READY, 1, false, true});
    lb_before_add(&text, "tcp://v:1", "varnish", "w1", "healthy",
                  &(struct lb_before){LB_FORCED, -1, false, false});
    assert_string_equal(buf_str(&text), "tcp://a:1 web/w1=drain,w7,agent;tcp://a:1 web/w2=ready,w1,behind;"
                                        "tcp://v:1 varnish/w1=healthy");
    assert_true(lb_before_find(buf_str(&text), "tcp://v:1", "varnish", "w1", &b));
    assert_true(b.state == LB_FORCED && b.weight == -1);
}

/* A word for "out" of a kind that this version does not know is none for "comes back". */
static void only_who_was_in_everywhere_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *fact;
        bool returns;
    } rows[] = {
        {"tcp://a:1 web/w1=ready,w100", true},
        {"tcp://a:1 web/w1=ready,w100,behind", false},
        {"tcp://a:1 web/w1=ready,w100;tcp://v:1 varnish/w1=probe;tcp://v:2 varnish/w1=healthy", true},
        {"tcp://a:1 web/w1=ready,w100;tcp://b:1 web/w1=maint,w1", false},
        {"tcp://a:1 web/drain=ready", true},
        {"tcp://v:1 varnish/w1=sick", false},
        {"f5 pool/w1=disabled", false},
        {"tcp://a:1 web/w1=ready;tcp://b:1 web/w1=ready,x9", false},
        {"UP", false},
        {"", false},
        {NULL, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (lb_before_returns(rows[i].fact) != rows[i].returns)
            fail_msg("%s", rows[i].fact);
}

/* As the first version wrote them into journals; several are put into one line by the store. */
static void debts_of_earlier_versions_are_owed(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    static const char old[] =
        "haproxy.drain: out of rotation by release 41; before: tcp://lb1:9999 web/app1=ready,w100;"
        "tcp://lb2:9999 web/app1=ready,w50,agent; haproxy.maint: maintenance by release 41; "
        "lb.maint=ours; varnish.drain: out of rotation by release 41; before: "
        "tcp://c1:6082 varnish/app1=probe";
    assert_string_equal(lb_debt_before(old, &a),
                        "tcp://lb1:9999 web/app1=ready,w100;tcp://lb2:9999 web/app1=ready,w50,agent;"
                        "tcp://c1:6082 varnish/app1=probe");
    assert_true(lb_debt_is_maint(old));
    assert_string_equal(lb_debt_before("haproxy django/app1 drained by release 2; before: UP", &a), "");
    assert_false(lb_debt_is_maint("haproxy django/app1 drained by release 2; before: UP"));
    assert_string_equal(lb_debt_before("", &a), "");
    assert_true(lb_debt_has_before("haproxy django/app1 drained by release 2; before: UP"));
    assert_false(lb_debt_has_before("haproxy.drain: out of rotation by release 2 (before: the window)"));
    assert_false(lb_debt_has_before(lb_debt_maint(&a, "haproxy.kill", 7)));
    auto_buf struct buf debt = BUF_INIT(200);
    buf_puts(&debt, lb_debt_drain(&a, "haproxy.drain", 41, NULL));
    assert_false(lb_debt_has_before(buf_str(&debt)));
    lb_debt_add_before(&debt, "tcp://lb1:9999 web/app1=ready,w100");
    assert_string_equal(buf_str(&debt),
                        lb_debt_drain(&a, "haproxy.drain", 41, "tcp://lb1:9999 web/app1=ready,w100"));
    assert_string_equal(
        lb_debt_drain(&a, "haproxy.drain", 41, "tcp://lb1:9999 web/app1=ready,w100"),
        "haproxy.drain: out of rotation by release 41; before: tcp://lb1:9999 web/app1=ready,w100");
    assert_string_equal(lb_debt_drain(&a, "haproxy.drain", 41, NULL),
                        "haproxy.drain: out of rotation by release 41");
    assert_string_equal(lb_debt_maint(&a, "haproxy.kill", 7),
                        "haproxy.kill: maintenance by release 7; lb.maint=ours");
}

static void who_says_nothing_can_all(void **state)
{
    (void)state;
    assert_true(lb_can_has(NULL, LB_WORD_KILL));
    assert_true(lb_can_has("counts,kill", LB_WORD_KILL) && lb_can_has("kill,counts", LB_WORD_KILL));
    assert_false(lb_can_has("counts,overkill,kills", LB_WORD_KILL) || lb_can_has("", LB_WORD_KILL));
}

static void who_serves_on_both(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    int64_t n;
    assert_string_equal(lb_serving_both(&a, "1101", "0111", &n), "0101");
    assert_int_equal(n, 2);
    assert_null(lb_serving_both(&a, "11", "111", &n));
}

/* ---- docs/balancers.md --------------------------------------------------------------------------------------
 */

#define MATRIX_HEAD                                                                                          \
    "| block | maint | kill | weight | counts | forgets | membership | requests | errors | times |\n"        \
    "|---|---|---|---|---|---|---|---|---|---|\n"

static void add_row(struct buf *b, const char *name, unsigned can)
{
    static const unsigned columns[] = {LB_CAN_MAINT,      LB_CAN_KILL,     LB_CAN_WEIGHT,
                                       LB_CAN_COUNTS,     LB_CAN_FORGET,   LB_CAN_MEMBERSHIP,
                                       LB_TELLS_REQUESTS, LB_TELLS_ERRORS, LB_TELLS_TIMES};
    buf_printf(b, "| `%s` |", name);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        buf_printf(b, " %s |", can & columns[i] ? "yes" : "-");
    buf_puts(b, "\n");
}

/* Made of the drivers' own tables; test_balancer_kinds.c looks that these are true of the real ones. */
static void the_page_says_what_each_kind_can(void **state)
{
    (void)state;
    auto_buf struct buf file = BUF_INIT(1 << 20), made = BUF_INIT(1 << 16);
    auto_close_file FILE *f = fopen(SOURCE_DIR "/docs/balancers.md", "re");
    char chunk[8192];
    size_t n;
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&file, chunk, n);
    buf_puts(&made, MATRIX_HEAD);
    for (const struct driver *const *d = driver_table; *d; d++) {
        if (driver_verb(*d, DOES_DRAIN))
            add_row(&made, (*d)->name, driver_verb(*d, DOES_DRAIN)->balancer->can);
    }
    buf_puts(&made, "\n"); /* and no further row */
    if (!strstr(buf_str(&file), buf_str(&made)))
        fail_msg("docs/balancers.md does not have this table:\n%s", buf_str(&made));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_says_what_each_kind_can),
        cmocka_unit_test(every_word_has_one_meaning),
        cmocka_unit_test(before_is_found_by_balancer_and_server),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(only_who_was_in_everywhere_comes_back),
        cmocka_unit_test(debts_of_earlier_versions_are_owed),
        cmocka_unit_test(who_says_nothing_can_all),
        cmocka_unit_test(who_serves_on_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
