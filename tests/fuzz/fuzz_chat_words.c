/* SPDX-License-Identifier: MIT */
/* What people type behind /release, and how it is said back: nothing unsafe passes either way. */
#include "fuzz.h"

#include "chat/grammar.h"
#include "chat/message.h"

static void check(const struct chat_words *w)
{
    must((unsigned)w->verb < CHAT_VERB_COUNT);
    must(!w->env || name_valid(w->env, 64));
    must(!w->rev || rev_valid(w->rev));
    must(!w->plan || name_valid(w->plan, 64));
    must(!w->only || names_valid(w->only));
    must(!w->person || name_valid(w->person, 64));
    must(!w->code || strlen(w->code) == 4);
    must(w->release >= 0);
    must(!w->reason ||
         (w->reason[0] && strlen(w->reason) <= CHAT_REASON_MAX && !strpbrk(w->reason, "\r\n\x1b")));
}

/* No client finds a mention, a link or markup of its own in it, and JSON takes it. */
static void check_said(const char *text)
{
    auto_said struct said s = SAID_INIT;
    say_quote(&s, text);
    const char *out = buf_str(&s.text);
    must(!strpbrk(out, "<>`\r\n\x1b"));
    must(!strstr(out, "://") && !strstr(out, "]("));
    for (const char *at = strpbrk(out, "@#~"); at; at = strpbrk(at + 1, "@#~"))
        must(s.text.cut || str_starts(at + 1, "\xe2\x80\x8b"));
    json_t *m = slack_message(&s);
    must(m && json_string_length(json_object_get(m, "text")) > 0 == (s.text.len > 0));
    json_decref(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    struct arena arena = {0};
    struct chat_words w;
    struct err err = {0};
    if (words_read(text, &arena, &w, &err))
        check(&w);
    else
        must(err.code == E_USAGE && err.text[0] && !strpbrk(err.text, "\r\n\x1b"));
    check_said(text);
    arena_fini(&arena);
    free(text);
    return 0;
}
