/* SPDX-License-Identifier: MIT */
/* What the journal says of a release, as sentences for a room (sentences.h). */
#include "chat/sentences.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "watch/json.h"

#define NOTES_SHOWN 6 /* lines beside a brief */

const char *tell_time(int64_t wall_ms, struct arena *arena)
{
    char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
    clock_text(wall_ms, at, sizeof at);
    clock_text(clock_wall_ms(), now, sizeof now);
    bool today = strlen(at) == 19 && strncmp(at, now, 11) == 0;
    return arena_strndup(arena, today ? at + 11 : at, today ? 5 : 16);
}

void tell_release(struct said *s, const struct release_info *r)
{
    say_text(s, "%s %" PRId64 " of %s", kind_name(r->kind), r->id, r->env);
    if (r->of_release)
        say_text(s, " (takes back %" PRId64 ")", r->of_release);
    if (r->rev[0])
        say_text(s, " to %.12s", r->rev);
    if (r->rev_typed[0] && !str_starts(r->rev, r->rev_typed)) {
        say_text(s, " (");
        say_quote(s, r->rev_typed);
        say_text(s, ")");
    }
    say_text(s, " by ");
    say_quote(s, r->who);
}

void tell_end(struct said *s, const struct release_info *r)
{
    char took[DURATION_TEXT_MAX];
    if (r->ended_ms == 0) {
        say_text(s, "unfinished");
        return;
    }
    int64_t ms = r->ended_ms - r->started_ms;
    say_text(s, "%s", end_text(r));
    if (ms >= 0)
        say_text(s, " after %s", duration_text(ms, took, sizeof took));
}

/* ---- one environment */

static bool put_lock(struct said *s, struct reader r, const char *env, struct err *err)
{
    struct lock_info lock;
    if (!lock_get(r, env, &lock, err))
        return false;
    if (lock.held)
        say_quote(s, lock_text(&lock, r.arena));
    else
        say_text(s, "free");
    return true;
}

static bool put_last(struct said *s, struct reader r, const char *env, struct err *err)
{
    struct release_info *list, *open;
    size_t n;
    if (!release_list(r, &(struct newest){.env = env, .limit = 1}, &list, &n, err) ||
        !release_unfinished(r, env, &open, err))
        return false;
    if (n == 0)
        say_text(s, "\nnothing was released yet");
    if (n > 0) {
        say_text(s, "\nlast: ");
        tell_release(s, &list[0]);
        say_text(s, ", %s: ", tell_time(list[0].started_ms, r.arena));
        tell_end(s, &list[0]);
    }
    if (open && open->exit_status >= 0)
        say_text(s, "\n%s %" PRId64 " is unfinished: `resume %s` goes on, `rollback %s` goes back",
                 kind_name(open->kind), open->id, env, env);
    return true;
}

/* Who is out through us, also of those that left the pillar since; and who left it. */
static bool put_nodes(struct said *s, struct reader r, const char *env, struct err *err)
{
    struct env_state st;
    size_t owed = 0;
    if (!env_state_read(r.store, env, r.arena, &st, err))
        return false;
    for (size_t i = 0; i < st.n_nodes; i++) {
        if (!st.nodes[i].debt)
            continue;
        say_text(s, "%s", owed++ ? ", " : "\nout of rotation through us: ");
        say_quote(s, st.nodes[i].node);
        if (st.left && st.left[i])
            say_text(s, " (left the pillar)");
    }
    if (st.n_gone) {
        say_text(s, "\n");
        say_quote(s, env_gone_text(&st, r.arena));
    }
    return true;
}

static bool put_queue(struct said *s, struct reader r, const char *env, const char *lead, struct err *err)
{
    struct waiter *places;
    size_t n;
    if (!queue_list(r, env, &places, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        say_text(s, "%s", i ? ", " : lead);
        say_quote(s, places[i].who);
        if (places[i].offered_ms)
            say_text(s, " (it is their turn until %s)",
                     tell_time(places[i].offered_ms + places[i].lapse_ms, r.arena));
    }
    return true;
}

bool tell_status(struct said *s, struct reader r, const char *env, bool apart, struct err *err)
{
    say_text(s, "%s: ", env_title(r.store, env, apart, r.arena));
    return put_lock(s, r, env, err) && put_queue(s, r, env, "\nwaiting: ", err) && put_last(s, r, env, err) &&
           put_nodes(s, r, env, err);
}

bool tell_queue(struct said *s, struct reader r, const char *env, struct err *err)
{
    size_t before = s->text.len;
    if (!put_queue(s, r, env, "", err))
        return false;
    if (s->text.len == before)
        say_text(s, "nobody");
    return true;
}

bool tell_history(struct said *s, struct reader r, const char *env, size_t limit, struct err *err)
{
    struct release_info *list;
    size_t n;
    if (!release_list(r, &(struct newest){.env = env, .limit = limit}, &list, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        say_text(s, "%s%s ", i ? "\n" : "", tell_time(list[i].started_ms, r.arena));
        tell_release(s, &list[i]);
        say_text(s, ": ");
        tell_end(s, &list[i]);
    }
    if (n == 0)
        say_text(s, "nothing was released yet");
    return true;
}

/* ---- what would happen */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static long long number_of(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void put_change(struct said *s, const json_t *change, long long nodes, bool back)
{
    const char *from = text_of(change, "from");
    int direction = direction_from_name(text_of(change, "direction"));
    long long here = number_of(change, "nodes");
    size_t i;
    json_t *commit;
    say_text(s, "\nfrom %.12s", from[0] ? from : "nothing");
    if (back)
        say_text(s, " to %.12s", text_of(change, "to"));
    if (here != nodes)
        say_text(s, " on %lld of them", here);
    if (direction == DIRECTION_BACKWARD)
        say_text(s, ", BACK to an ancestor; it takes away");
    else if (direction == DIRECTION_SIDEWAYS)
        say_text(s, ", another line of history");
    if (json_object_get(change, "count"))
        say_text(s, ", %lld commit%s:", number_of(change, "count"),
                 number_of(change, "count") == 1 ? "" : "s");
    json_array_foreach(json_object_get(change, "commits"), i, commit)
    {
        say_text(s, "\n  ");
        say_quote(s, json_string_value(commit));
    }
    if (text_of(change, "unknown")[0]) {
        say_text(s, " (the commits are not known: ");
        say_quote(s, text_of(change, "unknown"));
        say_text(s, ")");
    }
}

/* Of a plan, or of one of its roles: what has no balancer leaves and is missed by nobody. */
static void put_figures(struct said *s, const json_t *o)
{
    bool balanced = json_is_integer(json_object_get(o, "up"));
    if (balanced)
        say_text(s, "%lld in rotation now, ", number_of(o, "up"));
    say_text(s, "%lld out at once", number_of(o, "window"));
    if (balanced)
        say_text(s, ", %lld must stay", number_of(o, "min_up"));
}

/* With roles each has figures of its own, and those of the plan hold for none. */
static void put_roles(struct said *s, const json_t *roles)
{
    size_t i;
    json_t *role;
    json_array_foreach(roles, i, role)
    {
        say_text(s, "\ncapacity of ");
        say_quote(s, text_of(role, "name"));
        say_text(s, ", %lld node%s: ", number_of(role, "nodes"), number_of(role, "nodes") == 1 ? "" : "s");
        put_figures(s, role);
    }
    say_text(s, "\nstages");
}

static void put_capacity(struct said *s, const json_t *o)
{
    const json_t *roles = json_object_get(o, "roles");
    char time[DURATION_TEXT_MAX];
    size_t i;
    json_t *item;
    say_text(s, "\n%lld nodes", number_of(o, "nodes"));
    json_array_foreach(json_object_get(o, "ids"), i, item)
    {
        say_text(s, "%s", i ? ", " : ": ");
        say_quote(s, json_string_value(item));
    }
    if (number_of(o, "nodes") > (long long)json_array_size(json_object_get(o, "ids")))
        say_text(s, " ...");
    if (roles)
        put_roles(s, roles);
    else {
        say_text(s, "\ncapacity: ");
        put_figures(s, o);
        say_text(s, "; stages");
    }
    json_array_foreach(json_object_get(o, "stages"), i, item)
        say_text(s, "%s %lld", i ? "," : "", (long long)json_integer_value(item));
    if (json_is_integer(json_object_get(o, "left_ms")))
        say_text(s, "; about %s", duration_text(number_of(o, "left_ms") / 1000 * 1000, time, sizeof time));
}

/* "site prod: revision 4082..", or of a way back "every node to v7". */
static void put_what(struct said *s, const json_t *o, const char *rev)
{
    say_text(s, "%s %s: ", text_of(o, "app"), text_of(o, "env"));
    if (text_of(o, "about")[0]) {
        say_text(s, "%s: ", text_of(o, "what"));
        say_quote(s, text_of(o, "about"));
        return;
    }
    say_text(s, "revision %s", rev);
    if (!str_starts(rev, text_of(o, "rev_typed"))) {
        say_text(s, " (");
        say_quote(s, text_of(o, "rev_typed"));
        say_text(s, ")");
    }
}

/* What was said while it was looked at (a warning, a node that is left as it is) belongs to the question. */
static void put_notes(struct said *s, const char *output, const char *end)
{
    auto_arena struct arena arena = {0};
    for (size_t shown = 0; output < end; shown++) {
        size_t n = strcspn(output, "\n");
        say_text(s, "\n");
        if (shown == NOTES_SHOWN) {
            say_text(s, "...");
            return;
        }
        say_quote(s, arena_strndup(&arena, output, n));
        output += n + (output[n] == '\n');
    }
}

bool tell_brief(struct said *s, const char *output, struct arena *arena, struct brief *ret)
{
    const char *from = strstr(output, "{\"kind\":\"brief\"");
    json_t *o = from ? json_loads(from, JSON_DISABLE_EOF_CHECK, NULL) : NULL, *change;
    size_t i;
    if (!o)
        return false;
    *ret = (struct brief){.rev = arena_strdup(arena, text_of(o, "rev")),
                          .digest = arena_strdup(arena, text_of(o, "digest")),
                          .nodes = number_of(o, "nodes")};
    put_what(s, o, ret->rev);
    put_notes(s, output, from);
    if (ret->nodes > 0)
        put_capacity(s, o);
    json_array_foreach(json_object_get(o, "changes"), i, change)
        put_change(s, change, ret->nodes, text_of(o, "about")[0] != '\0');
    json_decref(o);
    return true;
}

void tell_output(struct said *s, const char *output, size_t lines)
{
    size_t len = strlen(output);
    while (len > 0 && output[len - 1] == '\n')
        len--;
    size_t from = len;
    while (from > 0 && lines > 0 && len - from < 1500)
        if (output[--from] == '\n' && --lines == 0)
            from++;
    auto_arena struct arena arena = {0};
    say_output(s, arena_strndup(&arena, output + from, len - from));
}
