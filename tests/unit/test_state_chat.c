/* SPDX-License-Identifier: MIT */
/* Asks, seen requests and the queue: what rooms wait for. Turns are judged where the lock is taken. */
#include "unit/state_help.h"

#include <pthread.h>

#include "state/chat.h"

#define NOW 1700000000000

static struct ask_new ask_like(enum ask_state state)
{
    return (struct ask_new){.env = "prod",
                            .verb = WISH_RUN,
                            .who = "slack:ann",
                            .person = "slack/T1/U1",
                            .via = VIA_SLACK,
                            .wish = "{}",
                            .state = state,
                            .made_ms = NOW,
                            .lapse_ms = NOW + 300000};
}

static void an_ask_is_found_by_its_code_until_it_ends(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct ask_new wanted = ask_like(ASK_CONFIRM);
    char code[ASK_CODE_LEN + 1];
    int64_t id;
    bool moved;
    struct ask *ask;
    ok(ask_add(s, &wanted, &id, code, &err));
    assert_true(ask_code_valid(code));
    ok(ask_find(reader(s, &a), code, &ask, &err));
    assert_int_equal(ask->id, id);
    ok(ask_move(s, &(struct ask_step){.id = id, .from = ASK_CONFIRM, .to = ASK_ENDED}, &moved, &err));
    assert_true(moved);
    ok(ask_find(reader(s, &a), code, &ask, &err));
    assert_null(ask);
}

/* A word that no list has was written by something else: the question fails, and names it. */
static void a_word_that_is_in_no_list_is_damage(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct ask_new one = ask_like(ASK_CONFIRM), two = ask_like(ASK_GOING);
    struct ask *asks;
    char code[ASK_CODE_LEN + 1];
    int64_t id;
    size_t n;
    ok(ask_add(s, &one, &id, code, &err));
    ok(ask_add(s, &two, &id, code, &err));
    assert_int_equal(raw_sql("j.db", "UPDATE asks SET via = 'pigeon' WHERE state = 'confirm'"), SQLITE_OK);
    refused(ask_list(reader(s, &a), "prod", &asks, &n, &err), E_JOURNAL, "reads 'pigeon'");
    ok(ask_list(reader(s, &a), "test", &asks, &n, &err)); /* the store itself is well */
}

static void of_two_clicks_one_counts(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db"), *other = store_write("j.db");
    struct ask_new wanted = ask_like(ASK_CONFIRM);
    char code[ASK_CODE_LEN + 1];
    int64_t id;
    bool first, second;
    struct ask *ask;
    ok(ask_add(s, &wanted, &id, code, &err));
    struct ask_step step = {.id = id, .from = ASK_CONFIRM, .to = ASK_GOING, .order = 7, .rev = "f5d9859"};
    ok(ask_move(s, &step, &first, &err));
    step.order = 8;
    ok(ask_move(other, &step, &second, &err));
    assert_true(first && !second);
    ok(ask_get(reader(s, &a), id, &ask, &err));
    assert_int_equal(ask->order, 7);
    assert_string_equal(ask->rev, "f5d9859");
    assert_int_equal(ask->lapse_ms, NOW + 300000);
}

static void a_signature_is_new_once_and_forgotten_late(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    bool is_new;
    ok(seen_add(s, &(struct seen_new){.hash = "v0=aa", .at_ms = NOW, .forget_ms = NOW - 900000}, &is_new,
                &err));
    assert_true(is_new);
    ok(seen_add(s, &(struct seen_new){.hash = "v0=aa", .at_ms = NOW + 299000, .forget_ms = NOW - 601000},
                &is_new, &err));
    assert_false(is_new);
    ok(seen_add(s, &(struct seen_new){.hash = "v0=bb", .at_ms = NOW + 901000, .forget_ms = NOW + 1000},
                &is_new, &err));
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM seen"), 1);
}

static size_t queue_up(struct store *s, const char *who, int64_t now_ms)
{
    struct err err;
    size_t ahead;
    struct waiter p = {
        .env = "prod", .who = who, .person = who, .via = VIA_SLACK, .joined_ms = now_ms, .lapse_ms = 600000};
    ok(queue_join(s, &p, &ahead, &err));
    return ahead;
}

static bool take(struct store *s, const char *who, struct lock_info *ret, struct err *err)
{
    auto_arena struct arena a = {0};
    struct lock_request req = {.env = "prod", .who = who, .why = "test", .in_turn = true};
    return lock_take(s, &req, &a, ret, err);
}

static void a_freed_lock_is_kept_for_the_first_in_line(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    struct notice *notices;
    size_t n;
    ok(take(s, "carl", &l, &err));
    int64_t now = clock_wall_ms();
    assert_int_equal(queue_up(s, "slack:ann", now), 0);
    assert_int_equal(queue_up(s, "slack:bob", now), 1);
    assert_int_equal(queue_up(s, "slack:ann", now), 0);
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = l.fence, .who = "carl", .why = ""}, &err));
    refused(take(s, "slack:bob", &l, &err), E_LOCKED, "turn of slack:ann");
    assert_false(l.held);
    refused(take(s, "slack:bob", &l, &err), E_LOCKED, "turn of slack:ann");
    ok(notice_after(reader(s, &a), &(struct since){.limit = 10}, &notices, &n, &err));
    assert_int_equal(n, 1); /* the refused ones did not offer it again and again */
    assert_int_equal(notices[0].event, NOTICE_TURN);
    ok(take(s, "ann", &l, &err)); /* the same ann, on a terminal */
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = l.fence, .who = "ann", .why = ""}, &err));
    ok(take(s, "slack:bob", &l, &err));
}

static void a_place_that_is_not_taken_lapses(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    struct notice *notices;
    size_t n;
    int64_t now = clock_wall_ms();
    queue_up(s, "slack:ann", now - 700000);
    queue_up(s, "slack:bob", now - 690000);
    refused(take(s, "carl", &l, &err), E_LOCKED, "turn of slack:bob");
    ok(notice_after(reader(s, &a), &(struct since){.limit = 10}, &notices, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(notices[1].event, NOTICE_LAPSED);
    assert_string_equal(notices[2].who, "slack:bob");
    ok(take(s, "slack:bob", &l, &err));
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM queue WHERE ended_ms = 0"), 0);
}

static void a_rollback_does_not_stand_in_line(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    queue_up(s, "slack:ann", clock_wall_ms());
    ok(lock_take(s, &(struct lock_request){.env = "prod", .who = "bob"}, &a, &l, &err));
    struct waiter *places;
    size_t n;
    ok(queue_settle(s, "prod", clock_wall_ms(), &err));
    ok(queue_list(reader(s, &a), "prod", &places, &n, &err));
    assert_int_equal(n, 1); /* she keeps her place and gets a new turn */
    assert_int_equal(places[0].offered_ms, 0);
}

static void who_leaves_gives_the_turn_on(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    bool was;
    int64_t now = clock_wall_ms();
    queue_up(s, "slack:ann", now);
    queue_up(s, "slack:bob", now);
    ok(queue_leave(s, &(struct turn){.env = "prod", .who = "slack:ann", .now_ms = now}, &was, &err));
    assert_true(was);
    ok(queue_leave(s, &(struct turn){.env = "prod", .who = "slack:ann", .now_ms = now}, &was, &err));
    assert_false(was);
    refused(take(s, "slack:ann", &l, &err), E_LOCKED, "turn of slack:bob");
    assert_false(queue_same("slack:ann", "mattermost:ann"));
}

static void a_turn_is_taken_over_and_comes_again(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    const char *over;
    int64_t now = clock_wall_ms();
    struct waiter carl = {.env = "prod",
                          .who = "carl",
                          .person = "carl",
                          .via = VIA_NONE,
                          .joined_ms = now,
                          .lapse_ms = 600000};
    queue_up(s, "slack:ann", now);
    ok(queue_take_turn(s, &carl, &a, &over, &err));
    assert_string_equal(over, "slack:ann");
    refused(take(s, "slack:ann", &l, &err), E_LOCKED, "turn of carl");
    ok(take(s, "carl", &l, &err));
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = l.fence, .who = "carl", .why = ""}, &err));
    refused(take(s, "carl", &l, &err), E_LOCKED, "turn of slack:ann");
    ok(take(s, "slack:ann", &l, &err));
}

static void a_lock_by_hand_passes_and_a_run_keeps_its_own(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    struct lock_event *events;
    size_t n;
    refused(lock_pass(s, &(struct lock_handover){.env = "prod", .from = "ann", .to = "bob", .why = "x"}, &a,
                      &l, &err),
            E_STATE, "not locked");
    ok(lock_pass(s, &(struct lock_handover){.env = "prod", .to = "ann", .why = "database move"}, &a, &l,
                 &err));
    refused(lock_pass(s, &(struct lock_handover){.env = "prod", .from = "carl", .to = "bob", .why = "x"}, &a,
                      &l, &err),
            E_LOCKED, "held by ann");
    ok(lock_pass(s, &(struct lock_handover){.env = "prod", .from = "ann", .to = "bob", .why = "your turn"},
                 &a, &l, &err));
    assert_string_equal(l.who, "bob");
    ok(lock_events_after(reader(s, &a), &(struct since){.limit = 10}, &events, &n, &err));
    assert_int_equal(n, 2);
    assert_true(events[0].by_hand && events[1].by_hand);
    assert_int_equal(events[1].event, LOCK_EVENT_TAKE_OVER);
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = l.fence, .who = "bob", .why = ""}, &err));
    ok(take(s, "carl", &l, &err));
    refused(lock_pass(s, &(struct lock_handover){.env = "prod", .to = "ann", .why = "mine"}, &a, &l, &err),
            E_LOCKED, "held by carl");
    ok(lock_events_after(reader(s, &a), &(struct since){.after = events[1].id, .limit = 10}, &events, &n,
                         &err));
    assert_true(events[0].by_hand && !events[1].by_hand);
}

/* ---- racers */

struct racer {
    pthread_barrier_t *start;
    char who[16];
    bool won;
    enum err_code code;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct err err = {0};
    struct lock_info l;
    struct store *s = NULL;
    pthread_barrier_wait(r->start);
    if (store_open(scratch("j.db"), STORE_WRITE, &s, &err))
        r->won = take(s, r->who, &l, &err);
    r->code = err.code;
    store_close(s);
    return NULL;
}

static void of_forty_racers_for_one_turn_its_owner_wins(void **state)
{
    (void)state;
    enum { N = 40 };
    pthread_barrier_t start;
    pthread_t threads[N];
    struct racer racers[N] = {0};
    struct store *s = store_write("j.db");
    queue_up(s, "slack:p23", clock_wall_ms());
    store_close(s);
    pthread_barrier_init(&start, NULL, N);
    for (int i = 0; i < N; i++) {
        racers[i].start = &start;
        snprintf(racers[i].who, sizeof(racers[i].who), "slack:p%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        if (racers[i].won != (i == 23))
            fail_msg("racer %d: won %d", i, racers[i].won);
        if (i != 23)
            assert_int_equal(racers[i].code, E_LOCKED);
    }
    pthread_barrier_destroy(&start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(an_ask_is_found_by_its_code_until_it_ends),
        in_scratch(a_word_that_is_in_no_list_is_damage),
        in_scratch(of_two_clicks_one_counts),
        in_scratch(a_signature_is_new_once_and_forgotten_late),
        in_scratch(a_freed_lock_is_kept_for_the_first_in_line),
        in_scratch(a_place_that_is_not_taken_lapses),
        in_scratch(a_rollback_does_not_stand_in_line),
        in_scratch(who_leaves_gives_the_turn_on),
        in_scratch(a_turn_is_taken_over_and_comes_again),
        in_scratch(a_lock_by_hand_passes_and_a_run_keeps_its_own),
        in_scratch(of_forty_racers_for_one_turn_its_owner_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
