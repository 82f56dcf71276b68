/* The past of a release for the timeline: spans of steps, bands of many nodes, capacity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "serve/timeline.h"
#include "unit/watch_fixture.h"

struct past {
    struct model model;
    struct track track;
};

static void past_init(struct past *p, const struct watch_plan *plan)
{
    model_init(&p->model, plan);
    track_init(&p->track, &p->model);
}

static void past_fini(struct past *p)
{
    track_fini(&p->track);
    model_fini(&p->model);
}

static void tell(struct past *p, struct row row)
{
    model_apply(&p->model, &row);
    track_apply(&p->track, &row);
}

static int64_t number(const json_t *list, size_t i, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(list, i), key));
}

static const char *word(const json_t *list, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(list, i), key));
}

/* app1 drains, fails its check, goes back; the other two wait. */
static void failing_walk(struct past *p)
{
    tell(p, NOTE_ROW(0, "", NOTE_LIFE, LIFE_ROLL, 0));
    tell(p, NOTE_ROW(0, "", NOTE_STAGE, 0, 1));
    tell(p, NOTE_ROW(100, "app1", NOTE_ADMIT, 3, 1));
    tell(p, INTENT_ROW(100, "app1", 1));
    tell(p, DONE_ROW(300, "app1", 1));
    tell(p, DONE_ROW(500, "app1", 2));
    tell(p, INTENT_ROW(500, "app1", 3));
    tell(p, DONE_ROW(900, "app1", 3));
    tell(p, NOTE_ROW(2000, "app1", NOTE_NODE_TURN, 3, WHY_FAILED));
    tell(p, INTENT_ROW(2000, "app1", 3));
    tell(p, DONE_ROW(2500, "app1", 3));
    tell(p, NOTE_ROW(3000, "app1", NOTE_NODE_IN, 1, 0));
}

static void steps_become_spans(void **state)
{
    (void)state;
    struct past p;
    past_init(&p, &fixture_plan);
    failing_walk(&p);
    json_t *o = timeline_json(&p.track, 40, 0, 0), *spans = json_object_get(o, "spans");
    static const struct {
        int step;
        int64_t from, to;
        const char *outcome;
        bool back;
    } wanted[] = {{1, 100, 300, "ok", false},      {2, 300, 500, "ok", false},  {3, 500, 900, "ok", false},
                  {4, 900, 2000, "failed", false}, {3, 2000, 2500, "ok", true}, {4, 2500, 3000, "ok", true}};
    assert_int_equal(json_array_size(spans), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(word(spans, i, "node"), "app1");
        assert_int_equal(number(spans, i, "step"), wanted[i].step);
        assert_int_equal(number(spans, i, "from"), T0 + wanted[i].from);
        assert_int_equal(number(spans, i, "to"), T0 + wanted[i].to);
        assert_string_equal(word(spans, i, "outcome"), wanted[i].outcome);
        assert_int_equal(json_is_true(json_object_get(json_array_get(spans, i), "back")), wanted[i].back);
    }
    json_t *up = json_object_get(o, "capacity");
    assert_int_equal(json_array_size(up), 3);
    assert_int_equal(number(up, 0, "up"), 3);
    assert_int_equal(number(up, 1, "up"), 2);
    assert_int_equal(number(up, 2, "up"), 3);
    assert_int_equal(number(json_object_get(o, "stages"), 0, "up_to"), 1);
    json_decref(o);
    o = timeline_json(&p.track, 40, T0 + 2200, T0 + 2400);
    assert_int_equal(json_array_size(json_object_get(o, "spans")), 1);
    json_decref(o);
    past_fini(&p);
}

/* What failed has its end there; what is taken up again later begins anew. */
static void a_node_left_out_has_no_endless_bar(void **state)
{
    (void)state;
    struct past p;
    past_init(&p, &fixture_plan);
    tell(&p, NOTE_ROW(0, "", NOTE_LIFE, LIFE_ROLL, 0));
    tell(&p, NOTE_ROW(100, "app2", NOTE_ADMIT, 3, 1));
    tell(&p, INTENT_ROW(100, "app2", 3));
    tell(&p, NOTE_ROW(700, "app2", NOTE_NODE_LEFT, WHY_UNKNOWN, 0));
    tell(&p, fixture_row(9000, ROW_ORDER, "", -1, "", "resume", 0, 0));
    tell(&p, DONE_ROW(9500, "app2", 3));
    assert_int_equal(p.track.n_spans, 2);
    assert_true(p.track.spans[0].failed && p.track.spans[0].to_ms == T0 + 700);
    assert_true(p.track.spans[1].from_ms == T0 + 9000 && p.track.spans[1].to_ms == T0 + 9500);
    past_fini(&p);
}

#define MANY 1000

static void many_nodes_become_bands(void **state)
{
    (void)state;
    auto_arena struct arena arena = {0};
    const char **ids = arena_array(&arena, MANY, sizeof *ids);
    for (int i = 0; i < MANY; i++)
        ids[i] = arena_printf(&arena, "web%04d", i);
    struct watch_plan plan = fixture_plan;
    plan.nodes = ids;
    plan.n_nodes = MANY;
    struct past p;
    past_init(&p, &plan);
    tell(&p, NOTE_ROW(0, "", NOTE_LIFE, LIFE_ROLL, 0));
    for (int i = 0; i < MANY; i++) {
        tell(&p, NOTE_ROW(i * 100, ids[i], NOTE_ADMIT, 3, 1));
        tell(&p, NOTE_ROW(i * 100 + 90, ids[i], NOTE_NODE_IN, 0, 0));
    }
    json_t *o = timeline_json(&p.track, 40, 0, 0), *bands = json_object_get(o, "bands");
    assert_int_equal(json_array_size(bands), 40);
    size_t moments = 0;
    for (size_t b = 0; b < 40; b++) {
        json_t *list = json_object_get(json_array_get(bands, b), "moments"), *last = NULL;
        int64_t before = 0, sum = 0;
        for (size_t i = 0; i < json_array_size(list); i++) {
            assert_true(number(list, i, "at") >= before && number(list, i, "at") <= T0 + MANY * 100);
            before = number(list, i, "at");
            last = json_object_get(json_array_get(list, i), "counts");
        }
        moments += json_array_size(list);
        assert_int_equal(json_integer_value(json_array_get(last, SHOWN_DONE)), 25);
        for (size_t s = 0; s < SHOWN_COUNT; s++)
            sum += json_integer_value(json_array_get(last, s));
        assert_int_equal(sum, 25);
    }
    assert_true(moments < 40 * 170);
    assert_int_equal(p.track.n_spans, 0);
    assert_null(json_object_get(o, "spans"));
    json_decref(o);
    past_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_become_spans),
        cmocka_unit_test(a_node_left_out_has_no_endless_bar),
        cmocka_unit_test(many_nodes_become_bands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
