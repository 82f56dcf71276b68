/* SPDX-License-Identifier: MIT */
/* What a balancer's program answered, as data. Pure, so that tests can feed it anything. An answer that is
 * not understood is none: nothing is guessed, no field is ignored that is there and wrong. */
#include "drivers/balancer/command/command.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"
#include "drivers/op/auto_json.h"

#define SERVERS_MAX 100000

bool command_name_valid(const char *s)
{
    return word_valid(s, "._:@~-", 200);
}

static json_t *load(const char *text, struct err *err)
{
    json_error_t at;
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &at);
    auto_buf struct buf shown = BUF_INIT(120), why = BUF_INIT(JSON_ERROR_TEXT_LENGTH * 4);
    if (json_is_object(all))
        return all;
    text_visible(&shown, text, strnlen(text, strcspn(text, "\r\n") < 80 ? strcspn(text, "\r\n") : 80));
    if (all) {
        err_set(err, E_PROTO, "its answer \"%s\" is not a JSON object", buf_str(&shown));
    } else {
        text_visible(&why, at.text, strlen(at.text)); /* it quotes the answer */
        err_set(err, E_PROTO, "its answer \"%s\" is not JSON (line %d: %s)", buf_str(&shown), at.line,
                buf_str(&why));
    }
    json_decref(all);
    return NULL;
}

/* ---- list ------------------------------------------------------------------ */

/* A field of a server that is missing is one thing, one of another type is a mistake of the program. */
struct fields {
    const json_t *o;
    struct arena *a;
    const char *wrong; /* the first field that cannot be, and what was wanted of it */
};

static const char *text_at(struct fields *f, const char *key)
{
    const json_t *v = json_object_get(f->o, key);
    if (v && !json_is_string(v) && !f->wrong)
        f->wrong = arena_printf(f->a, "\"%s\" (wanted a text)", key);
    return json_is_string(v) ? arena_strdup(f->a, json_string_value(v)) : NULL;
}

static int64_t number_at(struct fields *f, const char *key, int64_t max)
{
    const json_t *v = json_object_get(f->o, key);
    bool fine = json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= max;
    if (v && !fine && !f->wrong)
        f->wrong = arena_printf(f->a, "\"%s\" (wanted a whole number from 0 to %lld)", key, (long long)max);
    return fine ? json_integer_value(v) : -1;
}

static bool truth_at(struct fields *f, const char *key, bool deflt)
{
    const json_t *v = json_object_get(f->o, key);
    if (v && !json_is_boolean(v) && !f->wrong)
        f->wrong = arena_printf(f->a, "\"%s\" (wanted true or false)", key);
    return json_is_boolean(v) ? json_is_true(v) : deflt;
}

static enum lb_state state_at(struct fields *f, unsigned can)
{
    const char *word = text_at(f, "state");
    enum lb_state s = word ? lb_state_of_word(word, strlen(word)) : LB_UNKNOWN;
    bool ours = word && (!strcmp(word, "ready") || !strcmp(word, "drain") || !strcmp(word, "maint"));
    if ((!ours || (s == LB_MAINT && !(can & LB_CAN_MAINT))) && !f->wrong)
        f->wrong = can & LB_CAN_MAINT
                       ? "\"state\" (wanted \"ready\", \"drain\" or \"maint\")"
                       : "\"state\" (wanted \"ready\" or \"drain\"; \"maint\" only with it in \"can\")";
    return s;
}

static const struct lb_traffic *traffic_at(struct fields *f)
{
    struct lb_traffic *t = arena_alloc(f->a, sizeof *t);
    *t = (struct lb_traffic){.requests = number_at(f, "requests", INT64_MAX),
                             .errors = number_at(f, "errors", INT64_MAX),
                             .answer_ms = number_at(f, "answer_ms", INT64_MAX)};
    return t;
}

static bool server_of(const json_t *o, bool with_counts, struct arena *a, unsigned can, struct lb_server *ret,
                      struct err *err)
{
    struct fields f = {.o = o, .a = a};
    *ret = (struct lb_server){.pool = text_at(&f, "pool"),
                              .name = text_at(&f, "server"),
                              .state = state_at(&f, can),
                              .weight = (int)number_at(&f, "weight", 1000000),
                              .sessions = number_at(&f, "sessions", INT64_MAX / 1000000),
                              .queued = number_at(&f, "queued", INT64_MAX / 1000000),
                              .traffic = traffic_at(&f),
                              .status = text_at(&f, "status"),
                              .check = text_at(&f, "check"),
                              .addr = text_at(&f, "address"),
                              .port = (int)number_at(&f, "port", 65535)};
    ret->serving = truth_at(&f, "serving", false);
    ret->up = truth_at(&f, "up", ret->serving);
    ret->port = ret->addr && ret->port > 0 ? ret->port : 0;
    ret->addr = ret->addr ? ret->addr : "";
    if (!f.wrong && (!ret->pool || !ret->name || !json_object_get(o, "serving")))
        f.wrong = "what it needs (wanted \"pool\", \"server\", \"state\" and \"serving\")";
    if (!f.wrong && (!command_name_valid(ret->pool) || !command_name_valid(ret->name)))
        f.wrong = "\"pool\" or \"server\" (wanted letters, digits and ._:@~-)";
    if (!f.wrong && ret->serving && lb_state_is_out(ret->state))
        f.wrong = "\"serving\" (true, and the state is not \"ready\")";
    if (!f.wrong && (can & LB_CAN_WEIGHT) && ret->weight < 0)
        f.wrong = "\"weight\" (it is in \"can\")";
    if (!f.wrong && (can & LB_CAN_COUNTS) && with_counts && ret->sessions < 0)
        f.wrong = "\"sessions\" (\"counts\" is in \"can\")";
    if (!f.wrong)
        return true;
    return err_set(err, E_PROTO, "its answer has a server%s%s that is wrong in %s", ret->name ? " " : "",
                   ret->name && command_name_valid(ret->name) ? ret->name : "", f.wrong);
}

static bool can_of(const json_t *list, unsigned *io_can, struct err *err)
{
    static const struct {
        unsigned can;
        const char *word;
    } rows[] = {
#define ROW(c, w) {LB_CAN_##c, w},
        LB_CAN_WORDS(ROW)
#undef ROW
    };
    unsigned can = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        unsigned found = 0;
        for (size_t k = 0; word && k < sizeof(rows) / sizeof(rows[0]); k++)
            found |= strcmp(rows[k].word, word) == 0 ? rows[k].can : 0;
        if (!found)
            return err_set(err, E_PROTO,
                           "its answer says in \"can\" what is none of maint, kill, weight, counts, forget, "
                           "membership");
        can |= found;
    }
    *io_can &= can;
    return true;
}

bool command_parse_list(const char *text, bool with_counts, struct arena *a, unsigned *io_can,
                        struct lb_table *ret, struct err *err)
{
    auto_json json_t *all = load(text, err);
    if (!all)
        return false;
    const json_t *list = json_object_get(all, "servers"), *can = json_object_get(all, "can");
    const char *error = json_string_value(json_object_get(all, "error"));
    auto_buf struct buf shown = BUF_INIT(200);
    text_visible(&shown, error ? error : "", error ? strcspn(error, "\r\n") : 0);
    if (error)
        return err_set(err, E_PROTO, "it says: %s", buf_str(&shown));
    if (!json_is_array(list) || (can && !json_is_array(can)) || json_array_size(list) > SERVERS_MAX)
        return err_set(err, E_PROTO,
                       "its answer has no list \"servers\" of at most %d, or a \"can\" that is no list",
                       SERVERS_MAX);
    unsigned mine = LB_CAN_ALL;
    if (!can_of(can, &mine, err))
        return false;
    *ret = (struct lb_table){.rows = arena_array(a, json_array_size(list) + 1, sizeof *ret->rows)};
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct lb_server *s = &ret->rows[ret->n];
        if (!server_of(json_array_get(list, i), with_counts, a, mine, s, err))
            return false;
        if (lb_table_find(ret, s->pool, s->name))
            return err_set(err, E_PROTO, "its answer has a server twice in one pool");
        ret->n++;
    }
    *io_can &= mine | LB_TELLS_ALL; /* of those the rows tell, each for itself */
    return true;
}

/* ---- put ------------------------------------------------------------------- */

bool command_parse_done(const char *text, struct arena *a, const char **ret_refusal, struct err *err)
{
    auto_json json_t *all = load(text, err);
    if (!all)
        return false;
    const json_t *ok = json_object_get(all, "ok"), *refused = json_object_get(all, "refused");
    auto_buf struct buf shown = BUF_INIT(200);
    *ret_refusal = NULL;
    if (json_is_true(ok) && !refused)
        return true;
    if (!json_is_string(refused) || ok)
        return err_set(err, E_PROTO, "its answer is neither {\"ok\": true} nor {\"refused\": \"why\"}");
    text_visible(&shown, json_string_value(refused), strcspn(json_string_value(refused), "\r\n"));
    *ret_refusal = arena_strdup(a, shown.len ? buf_str(&shown) : "nothing");
    return true;
}
