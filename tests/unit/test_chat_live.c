/* SPDX-License-Identifier: MIT */
/* The releases that Slack's messages are kept up to date for: many at once, and those that nobody ends. */
#include "state_help.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "chat/context.h"
#include "chat/live_releases.h"
#include "plans/plan.h"
#include "serve/serve_priv.h"

static int64_t begun(struct store *s)
{
    struct plan_node node = {.id = "app1", .rev = "", .rev_before = "", .where = ""};
    struct plan plan = {.env = "prod",
                        .app = "site",
                        .name = "rolling",
                        .kind = KIND_RELEASE,
                        .rev = "",
                        .rev_typed = "",
                        .dir = "",
                        .user = "",
                        .repo = "",
                        .nodes = &node,
                        .n_nodes = 1,
                        .stage_end = {1},
                        .n_stages = 1,
                        .window = 1};
    char *json = plan_encode(&plan);
    struct release_new r = {.env = "prod",
                            .app = "site",
                            .kind = KIND_RELEASE,
                            .plan_name = "rolling",
                            .rev = "",
                            .rev_typed = "",
                            .who = "ann",
                            .host = "ctl1",
                            .plan_json = json,
                            .plan_digest = plan.digest,
                            .at_ms = 1000};
    struct err err;
    int64_t id = 0;
    ok(release_insert(s, &r, &id, &err));
    free(json);
    return id;
}

static void order(struct store *s, int64_t release, enum order order)
{
    row_add(s, (struct row){.at_ms = 1000,
                            .release = release,
                            .kind = ROW_ORDER,
                            .node = "",
                            .step = -1,
                            .verb = "",
                            .role = "",
                            .code = order_name(order),
                            .facts = "",
                            .text = ""});
}

static bool is_final(struct lives *all, struct store *s, int64_t release)
{
    struct arena a = {0};
    struct release_info *r;
    struct err err;
    ok(release_get(reader(s, &a), release, &r, &err));
    const struct model *m = live_model(all, s, release);
    assert_non_null(m);
    assert_int_equal(m->plan->release, release);
    bool final = live_is_final(m, r);
    arena_fini(&a);
    return final;
}

static void more_than_there_are_places(void **state)
{
    (void)state;
    static struct lives all;
    struct store *s = store_write("j");
    int64_t first = begun(s);
    for (int i = 0; i < LIVE_MAX; i++) {
        assert_false(is_final(&all, s, begun(s)));
        assert_false(is_final(&all, s, first)); /* who is asked for often keeps its place */
    }
    uint64_t turn = all.turn;
    assert_non_null(live_model(&all, s, first + 1)); /* went, and comes again */
    assert_int_equal(all.turn, turn + 1);
    assert_null(live_model(&all, s, 9999));
    lives_fini(&all);
    store_close(s);
}

static void what_is_given_up_is_final(void **state)
{
    (void)state;
    static struct lives all;
    struct store *s = store_write("j");
    struct err err;
    int64_t given_up = begun(s), passed_by = begun(s), good = begun(s);
    order(s, given_up, ORDER_START);
    assert_false(is_final(&all, s, given_up));
    order(s, given_up, ORDER_ABANDON);
    assert_true(is_final(&all, s, given_up));
    live_forget(&all, given_up);
    assert_true(is_final(&all, s, given_up));
    assert_false(is_final(&all, s, passed_by));
    ok(release_end(s, &(struct release_end_new){.release = good, .summary = "done", .at_ms = 2000}, &err));
    assert_true(is_final(&all, s, passed_by)); /* it can never be resumed any more */
    lives_fini(&all);
    store_close(s);
}

static void *open_it(void *arg)
{
    return chat_store(arg, "a test");
}

static void the_journal_is_tried_again(void **state)
{
    (void)state;
    struct serve s = {.state_path = (char *)(uintptr_t)scratch("later"), .stop_fd = eventfd(0, EFD_CLOEXEC)};
    assert_int_equal(mkdir(s.state_path, 0700), 0); /* in its place: it cannot be opened */
    pthread_t thread;
    void *got;
    assert_false(serve_wait(&s, 0));
    char line[500];
    int fds[2], stderr_fd = dup(2);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], 2);
    assert_int_equal(pthread_create(&thread, NULL, open_it, &s), 0);
    bool said = read(fds[0], line, sizeof line) > 0; /* it has tried, in vain */
    dup2(stderr_fd, 2);
    assert_true(said);
    assert_int_equal(rmdir(s.state_path), 0);
    assert_int_equal(pthread_join(thread, &got), 0);
    assert_non_null(got);
    store_close(got);
    s.state_path = (char *)(uintptr_t)scratch("never");
    assert_int_equal(mkdir(s.state_path, 0700), 0);
    assert_int_equal(eventfd_write(s.stop_fd, 1), 0);
    assert_null(chat_store(&s, "a test"));
    close(s.stop_fd);
    close(stderr_fd);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(more_than_there_are_places),
        in_scratch(what_is_given_up_is_final),
        in_scratch(the_journal_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
