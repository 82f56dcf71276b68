/* SPDX-License-Identifier: MIT */
/* Who may answer what, what an environment asks for, and what serve.yml may say about rooms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chat/asks.h"
#include "chat/config.h"
#include "chat/sentences.h"
#include "chat/sinks.h"

#define NOW 1700000000000

static const struct asker ann = {
    .who = "slack:ann", .person = "slack/T1/U1", .via = VIA_SLACK, .place = "", .reply_to = ""};
static const struct asker bob = {
    .who = "slack:bob", .person = "slack/T1/U2", .via = VIA_SLACK, .place = "", .reply_to = ""};
static const struct asker ann_elsewhere = {
    .who = "mattermost:ann", .person = "mattermost/t/m1", .via = VIA_MATTERMOST, .place = "", .reply_to = ""};

static void who_may_answer(void **state)
{
    (void)state;
    static const struct {
        enum ask_state state;
        enum ask_reply answer;
        const struct asker *who;
        int64_t at_ms;
        const char *words; /* NULL: they may */
    } rows[] = {
        {ASK_CONFIRM, ANSWER_CONFIRM, &ann, NOW, NULL},
        {ASK_CONFIRM, ANSWER_CONFIRM, &bob, NOW, "only they can answer"},
        {ASK_CONFIRM, ANSWER_CONFIRM, &ann_elsewhere, NOW, "only they can answer"},
        {ASK_CONFIRM, ANSWER_CONFIRM, &ann, NOW + 300001, "has lapsed"},
        {ASK_CONFIRM, ANSWER_CANCEL, &ann, NOW, NULL},
        {ASK_CONFIRM, ANSWER_CANCEL, &bob, NOW, "is the question of slack:ann"},
        {ASK_CONFIRM, ANSWER_APPROVE, &bob, NOW, "must confirm K7Q2 first"},
        {ASK_APPROVE, ANSWER_APPROVE, &bob, NOW, NULL},
        {ASK_APPROVE, ANSWER_APPROVE, &ann, NOW, "a second person must approve"},
        {ASK_APPROVE, ANSWER_APPROVE, &ann_elsewhere, NOW, "a second person must approve"},
        {ASK_APPROVE, ANSWER_APPROVE, &bob, NOW + 300001, "has lapsed"},
        {ASK_APPROVE, ANSWER_CONFIRM, &ann, NOW, "waits for another person"},
        {ASK_APPROVE, ANSWER_CANCEL, &bob, NOW, NULL},
        {ASK_GOING, ANSWER_CONFIRM, &ann, NOW, "under way already"},
        {ASK_GOING, ANSWER_APPROVE, &bob, NOW, "under way already"},
        {ASK_GOING, ANSWER_CANCEL, &ann, NOW, "`abort prod` stops it"},
        {ASK_PLAN, ANSWER_CONFIRM, &ann, NOW, "still being looked at"},
        {ASK_PLAN, ANSWER_APPROVE, &bob, NOW, "still being looked at"},
        {ASK_PLAN, ANSWER_CANCEL, &ann, NOW, NULL},
        {ASK_PLAN, ANSWER_CANCEL, &bob, NOW, "is the question of slack:ann"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_arena struct arena a = {0};
        const struct ask ask = {.code = "K7Q2",
                                .env = "prod",
                                .who = ann.who,
                                .person = ann.person,
                                .state = rows[i].state,
                                .lapse_ms = NOW + 300000};
        const char *no = answer_refused(&ask, rows[i].answer, rows[i].who, rows[i].at_ms, &a);
        if ((no == NULL) != (rows[i].words == NULL) || (no && !strstr(no, rows[i].words)))
            fail_msg("row %zu: said '%s', wanted '%s'", i, no ? no : "yes",
                     rows[i].words ? rows[i].words : "yes");
    }
}

/* Of two tokens each is somebody; of one token only a bot that names two people is two. */
static void a_token_is_one_person_unless_a_bot_names_two(void **state)
{
    (void)state;
    static const struct {
        const char *asker, *asker_is, *second, *second_is;
        bool may;
    } rows[] = {
        {"api:ann", "token:1", "api:bob", "token:2", true},
        {"api:ann", "token:1", "api:ann", "token:1", false},
        {"api:ann", "token:1", "page:zed", "token:1", false},
        {"api:ann", "token:1", "ann:zed", "token:1/zed", false},
        {"ann:zed", "token:1/zed", "api:ann", "token:1", false},
        {"hubot:ann", "token:3/ann", "hubot:bob", "token:3/bob", true},
        {"hubot:ann", "token:3/ann", "hubot:ann", "token:3/ann", false},
        {"api:hubot", "token:3", "hubot:bob", "token:3/bob", false},
        {"hubot:ann", "token:3/ann", "api:hubot", "token:3", false},
        {"api:ann", "token:1", "api:zed", "token:11", true},
        {"api:ann", "token:1", "page:zed", "proxy/zed", true},
        {"slack:ann", "slack/T1/U1", "api:bob", "token:2", true},
        {"slack:ann", "slack/T1/U1", "api:ann", "token:2", false},
        {"slack:ann", "slack/T1/U1", "api:Ann", "token:2", false},
        {"slack:ann", "slack/T1/U1", "page:ann@corp.example", "proxy/ann@corp.example", false},
        {"hubot:@ann", "token:3/@ann", "page:ANN@corp.example", "proxy/ANN@corp.example", false},
        {"slack:ann", "slack/T1/U1", "page:anna@corp.example", "proxy/anna@corp.example", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_arena struct arena a = {0};
        const struct ask ask = {.code = "K7Q2",
                                .env = "prod",
                                .who = rows[i].asker,
                                .person = rows[i].asker_is,
                                .state = ASK_APPROVE,
                                .lapse_ms = NOW};
        const struct asker second = {.who = rows[i].second, .person = rows[i].second_is};
        const char *no = answer_refused(&ask, ANSWER_APPROVE, &second, NOW, &a);
        if ((no == NULL) != rows[i].may)
            fail_msg("%s, then %s: said '%s'", rows[i].asker, rows[i].second, no ? no : "yes");
    }
}

static void a_wish_comes_back_as_it_went(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    const struct order_wish w = {
        .rev = "main", .stages = "1,100%", .window = "2", .only = "app1", .release = 41};
    struct ask ask = {.verb = WISH_RUN,
                      .env = "prod",
                      .who = "slack:ann",
                      .via = VIA_SLACK,
                      .place = "T1/C1/U1",
                      .wish = wish_text(&w, &a),
                      .rev = "",
                      .digest = "",
                      .approved_by = ""};
    struct order_wish back;
    assert_true(wish_load(&ask, &a, &back));
    assert_string_equal(back.rev, "main");
    assert_string_equal(back.stages, "1,100%");
    assert_string_equal(back.only, "app1");
    assert_int_equal(back.release, 41);
    assert_null(back.plan);
    assert_null(back.digest);
    ask.verb = WISH_ROLLBACK; /* the number that was shown goes with it */
    ask.wish = wish_text(&(const struct order_wish){.release = 41, .digest = "d0"}, &a);
    assert_true(wish_load(&ask, &a, &back));
    assert_int_equal(back.release, 41);
    assert_string_equal(back.digest, "d0");
    ask.rev = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98"; /* the commit that a name meant when it was shown */
    ask.wish = wish_text(&(const struct order_wish){.to = "v7", .exclude = "app3"}, &a);
    assert_true(wish_load(&ask, &a, &back) && ask_wants_look(&back));
    assert_string_equal(back.to, ask.rev);
    assert_string_equal(back.exclude, "app3");
    ask.wish = wish_text(&(const struct order_wish){.before = 41}, &a);
    assert_true(wish_load(&ask, &a, &back) && ask_wants_look(&back));
    assert_int_equal(back.before, 41);
    assert_null(back.to);
    ask.verb = WISH_RUN;
    ask.wish = wish_text(&w, &a);
    /* What was confirmed is what was shown: the commit, not the branch. */
    ask.rev = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98";
    ask.digest = "d1";
    ask.approved_by = "slack:bob";
    assert_true(wish_load(&ask, &a, &back));
    assert_string_equal(back.rev, ask.rev);
    assert_string_equal(back.digest, "d1");
    assert_string_equal(back.approved_by, "slack:bob");
    ask.wish = "no JSON";
    assert_false(wish_load(&ask, &a, &back));
}

static void who_approves_is_told_what(void **state)
{
    (void)state;
    static const struct {
        enum wish verb;
        const char *rev;
        struct order_wish wish;
        const char *words;
    } rows[] = {
        {WISH_RUN,
         "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
         {.rev = "main", .stages = "1,100%", .only = "app1"},
         "run of f5d9859f5d98 (main), stages 1,100%, only app1"},
        {WISH_RUN,
         "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
         {.rev = "f5d9859", .window = "2", .plan = "fast"},
         "run of f5d9859f5d98, plan fast, window 2"},
        {WISH_RUN, "", {.rev = "main"}, "run of main"},
        {WISH_ROLLBACK, "", {.release = 41}, "rollback of release 41"},
        {WISH_ROLLBACK, "", {.to = "v7"}, "rollback to v7"},
        {WISH_ROLLBACK,
         "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
         {.to = "v7", .only = "app1"},
         "rollback to f5d9859f5d98 (v7), only app1"},
        {WISH_ROLLBACK,
         "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
         {.before = 41, .exclude = "app3"},
         "rollback to before release 41, all but app3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_arena struct arena a = {0};
        auto_said struct said out = SAID_INIT;
        const struct ask ask = {.verb = rows[i].verb,
                                .rev = rows[i].rev,
                                .digest = "",
                                .approved_by = "",
                                .wish = wish_text(&rows[i].wish, &a)};
        ask_tell(&out, &ask, &a);
        assert_string_equal(buf_str(&out.text), rows[i].words);
    }
}

static void back_off_doubles_up_to_a_minute(void **state)
{
    (void)state;
    assert_int_equal(back_off_ms(1), 1000);
    assert_int_equal(back_off_ms(2), 2000);
    assert_int_equal(back_off_ms(5), 16000);
    assert_int_equal(back_off_ms(8), 60000);
    assert_int_equal(back_off_ms(4000000000u), 60000);
}

/* ---- files */

static char dir[64];

static int dir_make(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/release-chat-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int dir_remove(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void put(const char *name, const char *text, mode_t mode)
{
    char path[sizeof dir + 200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static bool read_config(const char *text, struct chat_config *ret, struct problems *problems)
{
    static struct serve_config c;
    char path[200], full[4000];
    const char *at;
    size_t n = 0;
    for (; (at = strstr(text, "DIR/")); text = at + 3)
        n += (size_t)snprintf(full + n, sizeof full - n, "%.*s%s", (int)(at - text), text, dir);
    snprintf(full + n, sizeof full - n, "%s", text);
    put("serve.yml", full, 0600);
    snprintf(path, sizeof path, "%s/serve.yml", dir);
    bool ok = config_load(path, true, NULL, &c, problems);
    *ret = (struct chat_config){0};
    ok = ok && chat_config_read(&c, ret, problems);
    config_fini(&c);
    return ok;
}

static void rooms_are_configured(void **state)
{
    (void)state;
    auto_problems struct problems problems = {0};
    struct chat_config c;
    put("secret", "s3cret\n", 0640);
    put("hook", "https://hooks.example.org/services/x\n", 0600);
    if (!read_config(
            "slack: {signing_secret: DIR/secret, bot_token: DIR/secret, channel: C1}\n"
            "mattermost: {token: DIR/secret, site: https://mm.example.org/}\n"
            "webhooks: [{file: DIR/hook, events: [lock, finished]}, {url: http://127.0.0.1:8080/x}]\n"
            "queue: {lapse: 5m}\n"
            "allow: [{env: \"*\", verbs: [status]}, {env: prod, verbs: [\"*\"], via: slack, users: [U1]}]\n",
            &c, &problems))
        fail_msg("%s", problems.n ? problems.lines[0] : "?");
    assert_string_equal(c.slack_secret, "s3cret");
    assert_string_equal(c.slack_api, "https://slack.com/api");
    assert_string_equal(c.slack_hosts[0], "hooks.slack.com");
    assert_string_equal(c.mm_site, "https://mm.example.org");
    assert_int_equal(c.n_hooks, 2);
    assert_int_equal(c.hooks[0].events, EVENT_LOCK | EVENT_FINISHED);
    assert_int_equal(c.hooks[1].events, EVENT_ALL);
    assert_null(strstr(c.hooks[0].name, "example"));
    assert_int_equal(c.queue_lapse_ms, 300000);
    assert_int_equal(c.n_rules, 2);
    chat_config_fini(&c);
}

static void every_mistake_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
#define HOOKS_4                                                                                              \
    "{url: https://x.example/}, {url: https://x.example/}, {url: https://x.example/}, {url: "                \
    "https://x.example/}, "
        {"slack: {signing_secret: DIR/open}\n", "has mode 0644"},
        {"slack: {signing_secret: DIR/nowhere}\n", "cannot be read"},
        {"slack: {signing_secret: DIR/empty}\n", "is empty"},
        {"slack: {bot_token: DIR/secret}\n", "wanted signing_secret:"},
        {"slack: {signing_secret: DIR/secret, bot_token: DIR/secret}\n", "wanted channel:"},
        {"slack: {signing_secert: DIR/secret}\n", "did you mean 'signing_secret'"},
        {"slack: {signing_secret: DIR/secret, api: http://slack.com/api}\n",
         "plain http goes to this machine only"},
        {"mattermost: {token: DIR/secret}\n", "wanted token:"},
        {"webhooks: [{url: ftp://x.example/}]\n", "neither https nor http"},
        {"webhooks: [{url: https://x.example/, events: [finnished]}]\n", "did you mean 'finished'"},
        {"webhooks: {url: https://x.example/}\n", "wanted a list"},
        {"webhooks: [{events: [lock]}]\n", "wanted url:, or file:"},
        {"webhooks: [" HOOKS_4 HOOKS_4 HOOKS_4 HOOKS_4 "{url: https://x.example/}]\n", "at most 16"},
        {"allow: [{verbs: [run]}]\n", "wanted env:"},
        {"allow: [{env: prod, verbs: [rnu]}]\n", "did you mean 'run'"},
        {"allow: [{env: prod, verbs: [run], via: irc}]\n", "via"},
        {"queue: {lapse: 10}\n", "needs a unit"},
        {"queue: {lapse: 10ms}\n", "at least 1s"},
    };
    put("secret", "s3cret\n", 0600);
    put("open", "s3cret\n", 0644);
    put("empty", "\n", 0600);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_problems struct problems problems = {0};
        struct chat_config c;
        if (read_config(rows[i].text, &c, &problems))
            fail_msg("taken: %s", rows[i].text);
        if (problems.n != 1 || !strstr(problems.lines[0], rows[i].words) ||
            !strstr(problems.lines[0], "serve.yml:1:"))
            fail_msg("%s: said '%s' (%zu), wanted '%s'", rows[i].text, problems.n ? problems.lines[0] : "",
                     problems.n, rows[i].words);
        if (strstr(problems.lines[0], "s3cret"))
            fail_msg("the secret is in '%s'", problems.lines[0]);
        chat_config_fini(&c);
    }
}

static void environments_ask_what_their_pillar_says(void **state)
{
    (void)state;
    static const struct {
        const char *env, *text;
        bool confirm, second;
    } rows[] = {{"prod", "", true, false},
                {"production", "", true, false},
                {"test", "", false, false},
                {"prod", "  confirm: no\n", false, false},
                {"test", "  confirm: yes\n", true, false},
                {"test", "  approval: other\n", true, true},
                {"prod", "  confirm: no\n  approval: other\n", true, true},
                {"test", "  approval: no\n", false, false}};
    char path[200], text[300];
    snprintf(path, sizeof path, "%s/pillar", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct consent c;
        struct err err;
        snprintf(path, sizeof path, "pillar/%s.sls", rows[i].env);
        snprintf(text, sizeof text, "release:\n  app: site\n%s", rows[i].text);
        put(path, text, 0600);
        if (!consent_of(dir, rows[i].env, &c, &err))
            fail_msg("row %zu: %s", i, err.text);
        if (c.confirm != rows[i].confirm || c.second != rows[i].second)
            fail_msg("row %zu: confirm %d, second %d", i, c.confirm, c.second);
    }
    struct consent c;
    struct err err;
    assert_false(consent_of(dir, "prdo", &c, &err));
    assert_non_null(strstr(err.text, "there is no environment 'prdo' (there is: "));
}

static void a_brief_becomes_sentences(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    auto_said struct said s = SAID_INIT;
    struct brief b;
    static const char output[] = "a "
                                 "warning\n{\"kind\":\"brief\",\"env\":\"prod\",\"app\":\"site\",\"rev\":"
                                 "\"40827f6f\",\"rev_typed\":\"<!here>\","
                                 "\"digest\":\"d1\",\"nodes\":3,\"ids\":[\"app1\",\"app2\"],\"up\":3,"
                                 "\"window\":1,\"min_up\":2,\"stages\":[1,3],"
                                 "\"left_ms\":61500,\"changes\":[{\"from\":\"94d2da5\",\"nodes\":2,"
                                 "\"direction\":\"backward\",\"count\":1,"
                                 "\"commits\":[\"94d2 Ann <@U1> x\"]},{\"from\":\"\",\"nodes\":1}]}\nmore\n";
    assert_true(tell_brief(&s, output, &a, &b));
    const char *text = buf_str(&s.text);
    assert_string_equal(b.digest, "d1");
    assert_non_null(strstr(text, "3 nodes: app1, app2 ..."));
    assert_non_null(strstr(text, "3 in rotation now, 1 out at once, 2 must stay; stages 1, 3; about 1m01s"));
    assert_non_null(strstr(text, "on 2 of them, BACK to an ancestor"));
    assert_non_null(strstr(text, "from nothing on 1 of them"));
    assert_null(strpbrk(text, "<>"));
    assert_non_null(strstr(text, "a warning"));
    static const char back[] = "{\"kind\":\"brief\",\"env\":\"prod\",\"app\":\"site\",\"what\":\"rollback\","
                               "\"about\":\"every node to v7 <!here>\",\"rev\":\"\",\"nodes\":1,"
                               "\"changes\":[{\"from\":\"94d2da5\",\"to\":\"40827f6f\",\"nodes\":1}]}";
    buf_reset(&s.text);
    assert_true(tell_brief(&s, back, &a, &b));
    text = buf_str(&s.text);
    assert_non_null(strstr(text, "site prod: rollback: every node to v7 &lt;"));
    assert_non_null(strstr(text, "from 94d2da5 to 40827f6f"));
    assert_int_equal(b.nodes, 1);
    static const char roles[] =
        "{\"kind\":\"brief\",\"env\":\"prod\",\"app\":\"site\",\"rev\":\"40827f6f\",\"rev_typed\":\"40827f6f\","
        "\"digest\":\"d1\",\"nodes\":5,\"ids\":[],\"up\":4,\"window\":2,\"min_up\":3,\"stages\":[1,5],\"left_ms\":null,"
        "\"changes\":[],\"roles\":[{\"name\":\"worker\",\"nodes\":1,\"window\":1,\"min_up\":0,\"up\":null},"
        "{\"name\":\"web\",\"nodes\":4,\"window\":2,\"min_up\":3,\"up\":4}]}";
    buf_reset(&s.text);
    assert_true(tell_brief(&s, roles, &a, &b));
    text = buf_str(&s.text);
    assert_non_null(strstr(text, "\ncapacity of worker, 1 node: 1 out at once\n"));
    assert_non_null(
        strstr(text, "\ncapacity of web, 4 nodes: 4 in rotation now, 2 out at once, 3 must stay\n"));
    assert_non_null(strstr(text, "\nstages 1, 5"));
    assert_null(strstr(text, "capacity:")); /* the widest of them hold for no role */
    assert_false(tell_brief(&s, "release: plan: 1 problem\n", &a, &b));
    assert_false(tell_brief(&s, "{\"kind\":\"brief\",", &a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_answer),
        cmocka_unit_test(a_token_is_one_person_unless_a_bot_names_two),
        cmocka_unit_test(a_wish_comes_back_as_it_went),
        cmocka_unit_test(who_approves_is_told_what),
        cmocka_unit_test(back_off_doubles_up_to_a_minute),
        cmocka_unit_test_setup_teardown(rooms_are_configured, dir_make, dir_remove),
        cmocka_unit_test_setup_teardown(every_mistake_is_said_with_its_place, dir_make, dir_remove),
        cmocka_unit_test_setup_teardown(environments_ask_what_their_pillar_says, dir_make, dir_remove),
        cmocka_unit_test(a_brief_becomes_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
