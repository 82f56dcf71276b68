/* SPDX-License-Identifier: MIT */
/* The small things that everything stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/host.h"
#include "base/notes.h"
#include "base/str.h"
#include "base/words.h"

static void this_machine_is_an_address(void **state)
{
    (void)state;
    static const char *const here[] = {"127.0.0.1", "127.255.0.9", "::1", "[::1]"};
    static const char *const elsewhere[] = {"127.evil.example",
                                            "localhost.evil.example",
                                            "127.0.0.1.evil.example",
                                            "[::1].evil.example",
                                            "126.255.255.255",
                                            "127.1:80",
                                            "",
                                            "[::2]",
                                            "0.0.0.0"};
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++)
        assert_true(host_is_loopback(here[i]) && host_is_here(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        assert_false(host_is_loopback(elsewhere[i]) || host_is_here(elsewhere[i]));
    assert_true(host_is_here("localhost") && !host_is_loopback("localhost"));
}

static void durations_need_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t ms;
    } rows[] = {
        {"60s", true, 60000},
        {"1500ms", true, 1500},
        {"1h30m", true, 5400000},
        {"7d", true, 604800000},
        {"0", true, 0},
        {"1.5s", true, 1500},
        {"60", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"-1s", false, 0},
        {"1x", false, 0},
        {"1s ", false, 0},
        {"1e3s", false, 0},
        {"0x10s", false, 0},
        {"nan", false, 0},
        {"1m30", false, 0},
        {"1000000000d", false, 0},
        {"400000d300000d", false, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;
        bool ok = duration_parse(rows[i].text, &ms);
        if (ok != rows[i].ok || (ok && ms != rows[i].ms))
            fail_msg("'%s' gave %d %lld", rows[i].text, ok, (long long)ms);
    }
}

static void durations_read_well(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{80, "80ms"},     {1500, "1.5s"},     {2000, "2s"},
                {61000, "1m01s"}, {3720000, "1h02m"}, {90061000, "1d1h"}};
    char buf[DURATION_TEXT_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(duration_text(rows[i].ms, buf, sizeof(buf)), rows[i].text);
}

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    int64_t n;
    assert_true(size_parse("64K", &n) && n == 65536);
    assert_true(size_parse("512", &n) && n == 512);
    assert_true(size_parse("2GB", &n) && n == (int64_t)2 << 30);
    assert_false(size_parse("64X", &n) || size_parse("", &n) || size_parse("-1", &n) ||
                 size_parse("9999999999999T", &n));
}

static void hostile_revisions_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"f5d9859", "main", "release/2026-11", "v1.2.3", "feature/x_y", "1.10"};
    static const char *const bad[] = {"",
                                      "-n",
                                      "--upload-pack=x",
                                      "a..b",
                                      "HEAD@{1}",
                                      "a b",
                                      "a~1",
                                      "a^",
                                      "a:b",
                                      "a?",
                                      "a*",
                                      "a[",
                                      "a\\b",
                                      "a\nb",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      ".a",
                                      "a/.b",
                                      "@",
                                      "a.lock",
                                      "x.",
                                      "ext::sh",
                                      "main\xff",
                                      "\xc3",
                                      "a\xc0\xaf",
                                      "a.lock/b",
                                      ("a\x7f"
                                       "b")};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!rev_valid(good[i]))
            fail_msg("'%s' refused", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (rev_valid(bad[i]))
            fail_msg("'%s' taken", bad[i]);
}

static void quoted_words_come_back_through_every_shell(void **state)
{
    (void)state;
    static const char *const shells[] = {"sh", "dash", "bash"};
    char word[256], all[512];
    for (int i = 1; i < 256; i++)
        word[i - 1] = (char)i;
    word[255] = '\0';
    for (size_t s = 0; s < sizeof(shells) / sizeof(shells[0]); s++) {
        auto_buf struct buf cmd = BUF_INIT(8192);
        buf_printf(&cmd, "exec %s -c ", shells[s]);
        auto_buf struct buf inner = BUF_INIT(8192);
        buf_puts(&inner, "printf %s ");
        quote_sh(&inner, word);
        quote_sh(&cmd, buf_str(&inner));
        FILE *f = popen(buf_str(&cmd), "r");
        assert_non_null(f);
        size_t n = fread(all, 1, sizeof(all) - 1, f);
        assert_int_equal(pclose(f), 0);
        assert_int_equal(n, 255);
        assert_memory_equal(all, word, 255);
    }
}

/* Whatever comes in, nothing a terminal obeys comes out, and plain text is untouched. */
static void no_byte_reaches_the_terminal_as_a_command(void **state)
{
    (void)state;
    char raw[256];
    for (int i = 0; i < 256; i++)
        raw[i] = (char)i;
    auto_buf struct buf out = BUF_INIT(65536);
    text_visible(&out, raw, sizeof(raw));
    for (size_t i = 0; i < out.len; i++) {
        unsigned char c = (unsigned char)out.data[i];
        assert_true(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f));
    }
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\x1b[31mred", "\\x1b[31mred"},
        {"a\rb", "a\\x0db"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x80\xae"
         "evil",
         "\\u202eevil"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"},
        {"\xc0\xaf", "\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\xe2\x80", "\\xe2\\x80"},
        {"\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&out);
        text_visible(&out, rows[i].in, strlen(rows[i].in));
        assert_string_equal(buf_str(&out), rows[i].out);
    }
}

static void buffers_stop_at_their_limit_and_say_so(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_INIT(10);
    buf_puts(&b, "12345678");
    assert_false(b.cut);
    buf_puts(&b, "90abc");
    assert_true(b.cut);
    assert_string_equal(buf_str(&b), "1234567890");
}

static void the_nearest_name_is_suggested_and_far_ones_are_not(void **state)
{
    (void)state;
    static const char *const names[] = {"window", "stages", "min_up", "max_failed"};
    assert_int_equal(str_nearest("windw", names, 4), 0);
    assert_int_equal(str_nearest("stage", names, 4), 1);
    assert_int_equal(str_nearest("min-up", names, 4), 2);
    assert_int_equal(str_nearest("banana", names, 4), -1);
}

static void errors_gain_prefixes_and_keep_their_code(void **state)
{
    (void)state;
    struct err err = {0};
    char longer[3000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_false(err_set(&err, E_NET, "refused"));
    assert_false(err_wrap(&err, "drain %s", "app1"));
    assert_string_equal(err.text, "drain app1: refused");
    assert_int_equal(err.code, E_NET);
    err_wrap(&err, "%s", longer);
    assert_string_equal(err.text + strlen(err.text) - 3, "...");
    assert_int_equal(err_code_exit(E_LOCKED), EXIT_LOCKED);
}

static void hashes_are_sha256(void **state)
{
    (void)state;
    char hex[SHA256_HEX_LEN + 1];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void every_word_has_a_text_and_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < PHASE_COUNT; i++)
        assert_int_equal(phase_from_name(phase_name((enum phase)i)), i);
    for (int i = 0; i < ROLE_COUNT; i++)
        assert_int_equal(role_from_name(role_name((enum role)i)), i);
    for (int i = 0; i < NOTE_COUNT; i++)
        assert_int_equal(note_from_name(note_name((enum note)i)), i);
    assert_string_equal(phase_name(PHASE_COUNT), "?");
    assert_int_equal(phase_from_name("nonsense"), -1);
}

static void notes_read_as_sentences(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_INIT(500);
    note_text(&b, NOTE_DEADLINE, "web-07", "drain", 14, 60000);
    assert_string_equal(buf_str(&b), "web-07: drain: 14 left after 1m00s");
    buf_reset(&b);
    note_text(&b, NOTE_GANG_BAD, "", "cmd.local notify", PHASE_HOOK_AFTER, 0);
    assert_string_equal(buf_str(&b), "controller: failed");
    static const struct {
        enum note note;
        int64_t a, b;
        const char *sentence;
    } places[] = {{NOTE_ADMIT, 3, 2, "n1: leaves rotation (3 nodes up, 2 must stay)"},
                  {NOTE_ADMIT, ADMIT_UNREAD, 2, "n1: leaves rotation"},
                  {NOTE_ADMIT, ADMIT_NO_BALANCER, 2, "n1: begins"},
                  {NOTE_NODE_IN, 0, WHERE_TOLD, "n1: in rotation"},
                  {NOTE_NODE_IN, 0, WHERE_IT_WAS, "n1: done"},
                  {NOTE_NODE_IN, 1, WHERE_IT_WAS, "n1: back"},
                  {NOTE_NODE_LEFT, WHY_NONE, WHERE_TOLD, "n1: left out of rotation, needs a person"},
                  {NOTE_NODE_LEFT, WHY_NONE, WHERE_IT_WAS, "n1: left as it is, needs a person"},
                  {NOTE_NODE_LEFT, WHY_NOTHING_BEFORE, WHERE_IT_WAS,
                   "n1: left out: it ran nothing before this release"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        buf_reset(&b);
        note_text(&b, places[i].note, "n1", NULL, places[i].a, places[i].b);
        assert_string_equal(buf_str(&b), places[i].sentence);
    }
    buf_reset(&b);
    note_text(&b, NOTE_STOPPING, NULL, NULL, 0, WHY_FLOOR);
    assert_true(str_starts(buf_str(&b), "stopping: "));
    assert_non_null(strstr(buf_str(&b), why_name(WHY_FLOOR)));
}

static void arenas_give_zeroed_aligned_memory(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    for (size_t n = 1; n < 20000; n += 997) {
        unsigned char *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    arena_reset(&a);
    char *s = arena_printf(&a, "%s-%d", "x", 7);
    assert_string_equal(s, "x-7");
}

static void what_is_cut_is_cut_behind_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        size_t n;
    } rows[] = {
        {"", "", 8},
        {"seven c", "seven c", 8},
        {"a whole sentence of words", "a whole...", 13},
        {"onewordthatislong", "oneword...", 11},
        {"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "\xc3\xa4\xc3\xa4...", 9},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];
        str_keep(text, rows[i].n, rows[i].in);
        assert_string_equal(text, rows[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_cut_is_cut_behind_a_word),
        cmocka_unit_test(durations_need_units),
        cmocka_unit_test(durations_read_well),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(hostile_revisions_are_refused),
        cmocka_unit_test(quoted_words_come_back_through_every_shell),
        cmocka_unit_test(no_byte_reaches_the_terminal_as_a_command),
        cmocka_unit_test(buffers_stop_at_their_limit_and_say_so),
        cmocka_unit_test(the_nearest_name_is_suggested_and_far_ones_are_not),
        cmocka_unit_test(errors_gain_prefixes_and_keep_their_code),
        cmocka_unit_test(hashes_are_sha256),
        cmocka_unit_test(this_machine_is_an_address),
        cmocka_unit_test(every_word_has_a_text_and_comes_back),
        cmocka_unit_test(notes_read_as_sentences),
        cmocka_unit_test(arenas_give_zeroed_aligned_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
