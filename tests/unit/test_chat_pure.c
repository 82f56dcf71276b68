/* SPDX-License-Identifier: MIT */
/* What comes from a room: the grammar, who sent it, what is said back; all without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "chat/config.h"
#include "chat/grammar.h"
#include "chat/https.h"
#include "chat/message.h"
#include "chat/signatures.h"

/* ---- grammar */

static const struct row_ok {
    const char *text;
    enum chat_verb verb;
    const char *env, *rev,
        *more; /* more: whichever of plan, stages, window, only, reason, code, person is there */
    int64_t release;
} rows_ok[] = {
    {"run f5d9859 prod", CHAT_RUN, "prod", "f5d9859", NULL, 0},
    {"  run   f5d9859   prod  ", CHAT_RUN, "prod", "f5d9859", NULL, 0},
    {"run --rev f5d9859 prod", CHAT_RUN, "prod", "f5d9859", NULL, 0},
    {"run prod --rev=release/2.4", CHAT_RUN, "prod", "release/2.4", NULL, 0},
    {"run main prod --stages 1,25%,100%", CHAT_RUN, "prod", "main", "1,25%,100%", 0},
    {"run main prod --stage 1", CHAT_RUN, "prod", "main", "1", 0},
    {"run main --window 25% prod", CHAT_RUN, "prod", "main", "25%", 0},
    {"run main prod --only app1,app2", CHAT_RUN, "prod", "main", "app1,app2", 0},
    {"run main prod --plan in-place", CHAT_RUN, "prod", "main", "in-place", 0},
    {"plan main prod", CHAT_PLAN, "prod", "main", NULL, 0},
    {"rollback prod", CHAT_ROLLBACK, "prod", NULL, NULL, 0},
    {"rollback 41 prod", CHAT_ROLLBACK, "prod", NULL, NULL, 41},
    {"rollback --release 41 prod", CHAT_ROLLBACK, "prod", NULL, NULL, 41},
    {"rollback prod to v7", CHAT_ROLLBACK, "prod", NULL, "v7", 0},
    {"rollback prod --to=v7", CHAT_ROLLBACK, "prod", NULL, "v7", 0},
    {"rollback prod before 41", CHAT_ROLLBACK, "prod", NULL, "before 41", 0},
    {"rollback --before 41 prod", CHAT_ROLLBACK, "prod", NULL, "before 41", 0},
    {"rollback to to to", CHAT_ROLLBACK, "to", NULL, "to", 0},
    {"rollback prod --exclude app3", CHAT_ROLLBACK, "prod", NULL, "all but app3", 0},
    {"resume prod --only app1", CHAT_RESUME, "prod", NULL, "app1", 0},
    {"resume prod", CHAT_RESUME, "prod", NULL, NULL, 0},
    {"status", CHAT_STATUS, NULL, NULL, NULL, 0},
    {"status prod", CHAT_STATUS, "prod", NULL, NULL, 0},
    {"lock prod database move until 14:00", CHAT_LOCK, "prod", NULL, "database move until 14:00", 0},
    {"lock prod R&amp;D &lt;3", CHAT_LOCK, "prod", NULL, "R&D <3", 0},
    {"lock prod &amp;lt;", CHAT_LOCK, "prod", NULL, "&lt;", 0},
    {"take prod --force it", CHAT_TAKE, "prod", NULL, "--force it", 0},
    {"hand prod @bob", CHAT_HAND, "prod", NULL, "bob", 0},
    {"hand prod <@U2|bob>", CHAT_HAND, "prod", NULL, "U2", 0},
    {"hand prod &lt;@U2&gt;", CHAT_HAND, "prod", NULL, "U2", 0},
    {"queue", CHAT_QUEUE, NULL, NULL, NULL, 0},
    {"queue prod", CHAT_QUEUE, "prod", NULL, NULL, 0},
    {"leave prod", CHAT_LEAVE, "prod", NULL, NULL, 0},
    {"confirm K7Q2", CHAT_CONFIRM, NULL, NULL, "K7Q2", 0},
    {"approve k7q2", CHAT_APPROVE, NULL, NULL, "K7Q2", 0},
    {"cancel K7Q2", CHAT_CANCEL, NULL, NULL, "K7Q2", 0},
    {"where", CHAT_WHERE, NULL, NULL, NULL, 0},
    {"", CHAT_HELP, NULL, NULL, NULL, 0},
    {"   ", CHAT_HELP, NULL, NULL, NULL, 0},
};

static const struct row_bad {
    const char *text, *words; /* what the answer says */
} rows_bad[] = {
    {"rnu f5d9859 prod", "did you mean 'run'?"},
    {"RUN f5d9859 prod", "there is no 'RUN'"},
    {"deploy f5d9859 prod", "'help' lists"},
    {"run prod", "wanted: run REV ENV"},
    {"run", "which revision?"},
    {"run f5d9859 prod now", "one word too many"},
    {"run --rev f5d9859 main prod", "the revision is there twice"},
    {"run --rev f5d9859 --rev f5d9850 prod", "is there twice"},
    {"run --rev", "its value is missing"},
    {"run f5d9859 prod --windwo 3", "did you mean --window?"},
    {"run f5d9859 prod --force", "there is no option"},
    {"run f5d9859 prod --yes", "there is no option"},
    {"run f5d9859 prod --window all", "a number of nodes or a percentage"},
    {"run f5d9859 prod --stages 1,,2", "stages like"},
    {"run f5d9859 prod --only app1;reboot", "names of nodes"},
    {"run --upload-pack=x prod", "there is no option"},
    {"run -x prod", "is not a revision"},
    {"run ext::sh prod", "is not a revision"},
    {"run main@{1} prod", "is not a revision"},
    {"run main ../prod", "cannot be an environment's name"},
    {"run main prod;id", "cannot be an environment's name"},
    {"run main -prod", "cannot be an environment's name"},
    {"rollback x prod", "is not the number of a release"},
    {"rollback prod before v7", "'v7' is not the number of a release"},
    {"rollback prod before 0", "is not the number of a release"},
    {"rollback prod --before v7", "is not the number of a release"},
    {"rollback prod to -x", "is not a revision"},
    {"rollback prod to v7 --to v8", "--to is there twice"},
    {"rollback prod into v7", "is one word too many"},
    {"rollback prod --window 2", "there is no option '--window'"},
    {"run main prod --to v7", "there is no option '--to'"},
    {"rollback 0 prod", "is not the number of a release"},
    {"rollback 99999999999999999999 prod", "is not the number of a release"},
    {"status --json", "takes no options"},
    {"lock prod", "A reason is missing"},
    {"lock", "which environment?"},
    {"lock prod one\ntwo", "one line"},
    {"lock prod bell\a", "one line"},
    {"hand prod", "to whom?"},
    {"hand prod bob", "is nobody's name"},
    {"hand prod <@U2|bob", "is nobody's name"},
    {"hand prod <!channel>", "is nobody's name"},
    {"confirm", "The code is missing"},
    {"confirm K7Q", "is not a code"},
    {"confirm K0Q2", "is not a code"},
    {"confirm K7Q2 K7Q3", "one word too many"},
    {"where am i", "one word too many"},
};

static const char *more_of(const struct chat_words *w, struct arena *a)
{
    const char *all[] = {w->plan, w->stages, w->window, w->only, w->reason, w->code, w->person, w->to};
    if (w->before)
        return arena_printf(a, "before %d", (int)w->before);
    if (w->exclude)
        return arena_printf(a, "all but %s", w->exclude);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i])
            return all[i];
    return NULL;
}

static void same(const char *text, const char *is, const char *wanted)
{
    if ((is == NULL) != (wanted == NULL) || (is && strcmp(is, wanted) != 0))
        fail_msg("'%s': read '%s', wanted '%s'", text, is ? is : "nothing", wanted ? wanted : "nothing");
}

static void what_people_type_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows_ok / sizeof rows_ok[0]; i++) {
        auto_arena struct arena a = {0};
        const struct row_ok *row = &rows_ok[i];
        struct chat_words w;
        struct err err = {0};
        if (!words_read(row->text, &a, &w, &err))
            fail_msg("'%s': refused: %s", row->text, err.text);
        assert_int_equal(w.verb, row->verb);
        same(row->text, w.env, row->env);
        same(row->text, w.rev, row->rev);
        same(row->text, more_of(&w, &a), row->more);
        assert_int_equal(w.release, row->release);
    }
}

static void everything_else_is_refused_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows_bad / sizeof rows_bad[0]; i++) {
        auto_arena struct arena a = {0};
        struct chat_words w;
        struct err err = {0};
        if (words_read(rows_bad[i].text, &a, &w, &err))
            fail_msg("'%s' was taken", rows_bad[i].text);
        if (err.code != E_USAGE || !strstr(err.text, rows_bad[i].words))
            fail_msg("'%s': said '%s', wanted '%s'", rows_bad[i].text, err.text, rows_bad[i].words);
    }
    char *longer = malloc(CHAT_TEXT_MAX + 2);
    memset(longer, 'x', CHAT_TEXT_MAX + 1);
    longer[CHAT_TEXT_MAX + 1] = '\0';
    auto_arena struct arena a = {0};
    struct chat_words w;
    struct err err = {0};
    assert_false(words_read(longer, &a, &w, &err));
    free(longer);
}

static void help_names_every_verb(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    const char *help = chat_help(&a);
    for (int i = 0; i < CHAT_VERB_COUNT; i++)
        assert_non_null(strstr(help, chat_verb_name((enum chat_verb)i)));
}

/* ---- signatures */

#define SECRET "8f742231b10e8888abcd99yyyzzz85a5"
/* The example of Slack's own documentation. */
#define DOC_STAMP 1531420618
static const char doc_body[] = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&"
                               "channel_id=G8PSS9T3V&channel_name="
                               "foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&"
                               "text=&response_url=https%3A%2F%2F"
                               "hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%"
                               "2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015."
                               "47445629121.803a0bc887a14d10d2c447fce8b6703c";
static const char doc_signature[] = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

static enum sign_result doc_check(const char *signature, const void *body, size_t n, int64_t now)
{
    return slack_check(SECRET, "1531420618", signature, body, n, now);
}

static void slacks_own_example_passes(void **state)
{
    (void)state;
    assert_int_equal(doc_check(doc_signature, doc_body, strlen(doc_body), DOC_STAMP), SIGN_OK);
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    size_t n = strlen(doc_body);
    char *body = strdup(doc_body);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(doc_check(doc_signature, body, n, DOC_STAMP), SIGN_WRONG);
        body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
    }
    free(body);
    for (size_t bit = 8 * 3; bit < 8 * SIGN_TEXT_LEN; bit++) {
        char signature[SIGN_TEXT_LEN + 1];
        memcpy(signature, doc_signature, sizeof signature);
        signature[bit / 8] = (char)(signature[bit / 8] ^ (1 << bit % 8));
        assert_int_not_equal(doc_check(signature, doc_body, n, DOC_STAMP), SIGN_OK);
    }
    assert_int_equal(doc_check(doc_signature, doc_body, n - 1, DOC_STAMP), SIGN_WRONG);
}

static void stamps_are_five_minutes_good_both_ways(void **state)
{
    (void)state;
    size_t n = strlen(doc_body);
    assert_int_equal(doc_check(doc_signature, doc_body, n, DOC_STAMP + 300), SIGN_OK);
    assert_int_equal(doc_check(doc_signature, doc_body, n, DOC_STAMP + 301), SIGN_OLD);
    assert_int_equal(doc_check(doc_signature, doc_body, n, DOC_STAMP - 300), SIGN_OK);
    assert_int_equal(doc_check(doc_signature, doc_body, n, DOC_STAMP - 301), SIGN_FUTURE);
}

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    static const char *const stamps[] = {
        "", "x", "1531420618x", "-1531420618", "1531420618.0", "99999999999999999999", " 1531420618"};
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++)
        assert_int_equal(slack_check(SECRET, stamps[i], doc_signature, doc_body, 3, DOC_STAMP),
                         SIGN_MALFORMED);
    assert_int_equal(slack_check(SECRET, NULL, doc_signature, "", 0, DOC_STAMP), SIGN_MISSING);
    assert_int_equal(slack_check(SECRET, "1531420618", NULL, "", 0, DOC_STAMP), SIGN_MISSING);
    char v1[SIGN_TEXT_LEN + 1];
    memcpy(v1, doc_signature, sizeof v1);
    v1[1] = '1';
    assert_int_equal(doc_check(v1, doc_body, strlen(doc_body), DOC_STAMP), SIGN_MALFORMED);
    assert_false(token_equal(NULL, "x"));
    assert_false(token_equal("abc", "abd"));
    assert_true(token_equal("abc", "abc"));
}

/* ---- what is said */

static const char *quoted(const char *text, struct arena *a)
{
    auto_said struct said s = SAID_INIT;
    say_quote(&s, text);
    return arena_strdup(a, buf_str(&s.text));
}

static void nothing_of_others_becomes_a_mention_or_link(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "<!here>",
        "<!channel|x>",
        "<@U123>",
        "<https://evil.example|safe>",
        "@here",
        "@channel",
        "@all",
        "#general",
        "~town-square",
        "[a](https://evil)",
        "![a](http://e)",
        "http://evil.example",
        "www.evil.example",
        "`code`",
        "a & b",
        "*bold*",
        "_it_",
        "\x1b]52;c;x\a",
        "one\ntwo",
        ("\xe2\x80\xae"
         "txt"),
    };
    static const char *const never[] = {"<",   ">",    "@h", "@c",  "@a",  "#g",   "~t", "](",          "![",
                                        "://", "www.", "`",  "*bo", "_it", "\x1b", "\n", "\xe2\x80\xae"};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        auto_arena struct arena a = {0};
        const char *out = quoted(hostile[i], &a);
        for (size_t k = 0; k < sizeof never / sizeof never[0]; k++)
            if (strstr(out, never[k]))
                fail_msg("'%s' came out as '%s', with '%s' in it", hostile[i], out, never[k]);
    }
    auto_arena struct arena a = {0};
    assert_string_equal(quoted("a & b <c>", &a), "a &amp; b &lt;c&gt;");
    assert_string_equal(quoted("web_07 2*3 fix/issue-4: done", &a), "web_\xe2\x80\x8b"
                                                                    "07 2*\xe2\x80\x8b"
                                                                    "3 fix/issue-4: done");
}

static void a_long_text_is_cut_and_stays_json(void **state)
{
    (void)state;
    auto_said struct said s = SAID_INIT;
    for (int i = 0; i < 3000; i++)
        say_quote(&s, "\xc3\xa4");
    say_button(&s, "Release", "confirm", "K7Q2", BUTTON_PRIMARY);
    s.link = "https://release.example.org/release/41";
    json_t *m = slack_message(&s);
    assert_non_null(m);
    assert_non_null(json_object_get(m, "blocks"));
    const char *text = json_string_value(json_object_get(m, "text"));
    assert_true(strlen(text) < 3100);
    auto_free char *body = json_dumps(m, JSON_COMPACT);
    assert_non_null(body);
    assert_non_null(strstr(body, "\"value\":\"K7Q2\""));
    json_decref(m);
    m = mattermost_message(&s, "https://release.example.org/chat/mattermost/action", "secret");
    auto_free char *mm = json_dumps(m, JSON_COMPACT);
    assert_non_null(strstr(mm, "\"proof\":\""));
    json_decref(m);
}

/* ---- where answers may go */

static void answers_go_to_named_hosts_only(void **state)
{
    (void)state;
    static const char *const hosts[] = {"hooks.slack.com", "http://127.0.0.1:8099", NULL};
    static const char *const good[] = {"https://hooks.slack.com/commands/T/1/x", "https://HOOKS.slack.com/x",
                                       "https://hooks.slack.com:443/x", "http://127.0.0.1:8099/x"};
    static const char *const bad[] = {"http://hooks.slack.com/x",
                                      "https://hooks.slack.com.evil.example/x",
                                      "https://evil.example/hooks.slack.com",
                                      "https://hooks.slack.com@evil.example/",
                                      "https://hooks.slack.com:8443/x",
                                      "http://127.0.0.1:8098/x",
                                      "http://127.0.0.1/x",
                                      "https://169.254.169.254/latest/meta-data",
                                      "https://127.0.0.1:8099/x",
                                      "file:///etc/passwd",
                                      "gopher://hooks.slack.com/x",
                                      "https://hooks.slack.com\n/x",
                                      "https://hooks.slack.com /x",
                                      "//hooks.slack.com/x",
                                      "",
                                      "http://localhost:8099/x",
                                      "http://127.evil.example:8099/x",
                                      "https://user:pw@hooks.slack.com/x",
                                      "https://ev\xc3\xafl/x"};
    struct err err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!https_url_ok(good[i], hosts, &err))
            fail_msg("%s: %s", good[i], err.text);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (https_url_ok(bad[i], hosts, &err))
            fail_msg("%s was taken", bad[i]);
    assert_true(https_url_ok("https://anything.example/x", NULL, &err));
    assert_false(https_url_ok("http://anything.example/x", NULL, &err));
}

static void link_local_addresses_are_refused_at_the_socket(void **state)
{
    (void)state;
    static const char *const urls[] = {"https://169.254.169.254/", "https://[fe80::1]/", "https://0.0.0.0:1/",
                                       "https://[::ffff:169.254.169.254]/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct err err = {0};
        auto_https_answer struct https_answer got;
        struct https_request p = {.url = urls[i], .json = "{}", .timeout_ms = 1000};
        assert_false(https_send(&p, &got, &err));
        if (!strstr(err.text, "connect"))
            fail_msg("%s: %s", urls[i], err.text);
    }
}

/* ---- allow-lists */

static const char *const channels_c1[] = {"C1", NULL}, *const users_u12[] = {"U1", "U2", NULL};

static void nobody_may_what_no_rule_names(void **state)
{
    (void)state;
    struct rule rules[] = {{.env = "prod",
                            .verbs = 1u << CHAT_RUN | 1u << CHAT_ROLLBACK,
                            .via = VIA_SLACK,
                            .team = "T1",
                            .channels = channels_c1,
                            .users = users_u12},
                           {.env = "*", .verbs = 1u << CHAT_STATUS}};
    const struct chat_config c = {.rules = rules, .n_rules = 2};
    const struct chat_config none = {0};
    const struct sender ann = {.via = VIA_SLACK, .team = "T1", .channel = "C1", .user = "U1"};
    struct sender other;
    assert_true(chat_allowed(&c, CHAT_RUN, "prod", &ann));
    assert_true(chat_allowed(&c, CHAT_STATUS, "test", &ann));
    assert_true(chat_allowed(&c, CHAT_STATUS, NULL, &ann));
    assert_false(chat_allowed(&c, CHAT_RUN, "test", &ann));
    assert_false(chat_allowed(&c, CHAT_LOCK, "prod", &ann));
    assert_false(chat_allowed(&none, CHAT_STATUS, "prod", &ann));
    assert_true(chat_allowed(&none, CHAT_HELP, NULL, &ann));
#define DIFFERS(field, value)                                                                                \
    (other = ann, other.field = (value), assert_false(chat_allowed(&c, CHAT_RUN, "prod", &other)))
    DIFFERS(via, VIA_MATTERMOST);
    DIFFERS(team, "T2");
    DIFFERS(team, NULL);
    DIFFERS(channel, "C2");
    DIFFERS(user, "U3");
    DIFFERS(user, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_type_is_read),
        cmocka_unit_test(everything_else_is_refused_with_a_sentence),
        cmocka_unit_test(help_names_every_verb),
        cmocka_unit_test(slacks_own_example_passes),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(stamps_are_five_minutes_good_both_ways),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(nothing_of_others_becomes_a_mention_or_link),
        cmocka_unit_test(a_long_text_is_cut_and_stays_json),
        cmocka_unit_test(answers_go_to_named_hosts_only),
        cmocka_unit_test(link_local_addresses_are_refused_at_the_socket),
        cmocka_unit_test(nobody_may_what_no_rule_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
