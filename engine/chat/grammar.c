/* SPDX-License-Identifier: MIT */
/* What people type in a room, as words; pure (grammar.h). */
#include "chat/grammar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "state/chat.h"

#define WORD_MAX 250 /* the longest revision is 200 */

static const char *const verb_names[] = {
#define CHAT_NAME(s, w, u, h) w,
    CHAT_VERBS(CHAT_NAME)};
static const char *const verb_usages[] = {
#define CHAT_USAGE(s, w, u, h) u,
    CHAT_VERBS(CHAT_USAGE)};
static const char *const verb_helps[] = {
#define CHAT_HELP_TEXT(s, w, u, h) h,
    CHAT_VERBS(CHAT_HELP_TEXT)};

const char *chat_verb_name(enum chat_verb v)
{
    return (unsigned)v < CHAT_VERB_COUNT ? verb_names[v] : "?";
}

int chat_verb_from_name(const char *word)
{
    for (int i = 0; i < CHAT_VERB_COUNT; i++)
        if (strcmp(verb_names[i], word) == 0)
            return i;
    return -1;
}

enum wish chat_wish(enum chat_verb v)
{
    int wish = wish_from_name(verb_names[v]); /* the same words, so that an order reads as what was typed */
    must(wish >= 0);
    return (enum wish)wish;
}

const char *chat_help(struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(8000);
    for (int i = 0; i < CHAT_VERB_COUNT; i++)
        buf_printf(&out, "%s%s - %s", i ? "\n" : "", verb_usages[i], verb_helps[i]);
    return arena_strdup(arena, buf_str(&out));
}

/* ---- small checks */

bool window_valid(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 6 && (s[n] == '\0' || (s[n] == '%' && s[n + 1] == '\0'));
}

static bool number_valid(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 12 && s[n] == '\0' && s[strspn(s, "0")] != '\0';
}

/* Every part between commas passes. */
static bool parts_valid(const char *s, bool (*valid)(const char *))
{
    char part[WORD_MAX + 1];
    for (;;) {
        size_t n = strcspn(s, ",");
        if (n == 0 || n > WORD_MAX)
            return false;
        memcpy(part, s, n);
        part[n] = '\0';
        if (!valid(part))
            return false;
        if (s[n] == '\0')
            return true;
        s += n + 1;
    }
}

static bool one_name(const char *s)
{
    return name_valid(s, 64);
}

bool stages_valid(const char *s)
{
    return parts_valid(s, window_valid);
}

bool names_valid(const char *s)
{
    return parts_valid(s, one_name);
}

/* ---- the text */

/* Slack writes & < > as entities; nothing else is one. */
static char *unescaped(const char *text, struct arena *arena)
{
    static const struct {
        const char *entity;
        char is;
    } table[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}};
    char *out = arena_alloc(arena, strlen(text) + 1), *to = out;
    while (*text) {
        size_t used = 0;
        for (size_t i = 0; *text == '&' && !used && i < sizeof table / sizeof table[0]; i++)
            if (str_starts(text, table[i].entity)) {
                *to++ = table[i].is;
                used = strlen(table[i].entity);
            }
        if (!used) {
            *to++ = *text;
            used = 1;
        }
        text += used;
    }
    return out;
}

/* What somebody typed, to be shown to them: short, visible, one line. */
static const char *shown(const char *word, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(60);
    text_visible(&out, word, strlen(word));
    for (size_t i = 0; i < out.len; i++)
        if (out.data[i] == '\n' || out.data[i] == '\t')
            out.data[i] = ' ';
    return arena_printf(arena, "%s%s", buf_str(&out), out.cut ? "..." : "");
}

struct typed {
    const char *at;
    const char *release, *before; /* options of rollback that are numbers */
    struct arena *arena;
    struct err *err;
};

/* The next word, NULL at the end. */
static const char *next_word(struct typed *s)
{
    s->at += strspn(s->at, " ");
    size_t n = strcspn(s->at, " ");
    if (n == 0)
        return NULL;
    const char *word = arena_strndup(s->arena, s->at, n);
    s->at += n;
    return word;
}

static const char *rest_of(struct typed *s)
{
    s->at += strspn(s->at, " ");
    size_t n = strlen(s->at);
    while (n > 0 && s->at[n - 1] == ' ')
        n--;
    const char *rest = n ? arena_strndup(s->arena, s->at, n) : NULL;
    s->at += strlen(s->at);
    return rest;
}

static bool usage(struct typed *s, const struct chat_words *w, const char *what)
{
    return err_set(s->err, E_USAGE, "%s; wanted: %s", what, verb_usages[w->verb]);
}

/* ---- options: --name VALUE and --name=VALUE, anywhere behind the verb */

struct option_slot {
    const char *name;
    const char **to;
    bool (*valid)(const char *);
    const char *wanted;
};

static bool option_take(struct typed *s, const struct chat_words *w, const struct option_slot *slot,
                        const char *value)
{
    if (!value)
        value = next_word(s);
    if (!value)
        return usage(s, w, arena_printf(s->arena, "--%s: its value is missing", slot->name));
    if (*slot->to)
        return usage(s, w, arena_printf(s->arena, "--%s is there twice", slot->name));
    if (!slot->valid(value))
        return err_set(s->err, E_USAGE, "--%s: '%s' is not %s", slot->name, shown(value, s->arena),
                       slot->wanted);
    *slot->to = value;
    return true;
}

#define FOR(verb) (1U << CHAT_##verb)
#define RELEASES  (FOR(RUN) | FOR(PLAN))
#define CHOOSES   (RELEASES | FOR(ROLLBACK) | FOR(RESUME))
#define REVISION  "a revision (a commit in hex, a branch or a tag)"
#define SOME_OF   "names of nodes with commas between them"
#define A_STAGE   "stages like 1,25%,100%"
#define A_RELEASE "the number of a release"

static bool option_read(struct typed *s, struct chat_words *w, const char *word)
{
    const struct {
        unsigned verbs;
        struct option_slot slot;
    } all[] = {
        {RELEASES, {"rev", &w->rev, rev_valid, REVISION}},
        {RELEASES, {"plan", &w->plan, one_name, "the name of a plan"}},
        {RELEASES, {"stages", &w->stages, stages_valid, A_STAGE}},
        {RELEASES, {"stage", &w->stages, stages_valid, A_STAGE}},
        {RELEASES, {"window", &w->window, window_valid, "a number of nodes or a percentage"}},
        {CHOOSES, {"only", &w->only, names_valid, SOME_OF}},
        {CHOOSES, {"exclude", &w->exclude, names_valid, SOME_OF}},
        {FOR(ROLLBACK), {"to", &w->to, rev_valid, REVISION}},
        {FOR(ROLLBACK), {"before", &s->before, number_valid, A_RELEASE}},
        {FOR(ROLLBACK), {"release", &s->release, number_valid, A_RELEASE}},
    };
    const char *names[sizeof all / sizeof all[0]];
    size_t len = strcspn(word, "="), n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!(all[i].verbs & (1U << w->verb)))
            continue;
        names[n++] = arena_printf(s->arena, "--%s", all[i].slot.name);
        if (strlen(names[n - 1]) == len && strncmp(names[n - 1], word, len) == 0)
            return option_take(s, w, &all[i].slot, word[len] ? word + len + 1 : NULL);
    }
    if (n == 0)
        return usage(s, w, arena_printf(s->arena, "'%s' takes no options", verb_names[w->verb]));
    int near = str_nearest(word, names, n);
    return err_set(s->err, E_USAGE, "there is no option '%s'%s%s%s; wanted: %s", shown(word, s->arena),
                   near >= 0 ? "; did you mean " : "", near >= 0 ? names[near] : "", near >= 0 ? "?" : "",
                   verb_usages[w->verb]);
}

/* Words that are no options, at most `max`; *ret_n of them. */
static bool plain_words(struct typed *s, struct chat_words *w, const char **ret, size_t max, size_t *ret_n)
{
    const char *word;
    *ret_n = 0;
    while ((word = next_word(s))) {
        if (word[0] == '-' && word[1] == '-') {
            if (!option_read(s, w, word))
                return false;
        } else if (*ret_n == max) {
            return usage(s, w, arena_printf(s->arena, "'%s' is one word too many", shown(word, s->arena)));
        } else {
            ret[(*ret_n)++] = word;
        }
    }
    return true;
}

static bool env_read(struct typed *s, struct chat_words *w, const char *word)
{
    if (!word)
        return usage(s, w, "which environment?");
    if (!name_valid(word, 64))
        return err_set(s->err, E_USAGE, "'%s' cannot be an environment's name; wanted: %s",
                       shown(word, s->arena), verb_usages[w->verb]);
    w->env = word;
    return true;
}

static bool rev_read(struct typed *s, struct chat_words *w, const char *word)
{
    if (!rev_valid(word))
        return err_set(s->err, E_USAGE, "'%s' is not a revision (wanted: a commit in hex, a branch or a tag)",
                       shown(word, s->arena));
    w->rev = word;
    return true;
}

/* ---- shapes of the verbs */

/* REV ENV, or --rev REV ENV. */
static bool read_release(struct typed *s, struct chat_words *w)
{
    const char *words[2];
    size_t n;
    if (!plain_words(s, w, words, 2, &n))
        return false;
    if (n == 2 && w->rev)
        return usage(s, w, "the revision is there twice");
    if (n == 2 && !rev_read(s, w, words[0]))
        return false;
    if (!w->rev)
        return usage(s, w, n == 1 ? "a revision and an environment" : "which revision?");
    return env_read(s, w, n ? words[n - 1] : NULL);
}

static bool number_read(struct typed *s, struct chat_words *w, const char *text, int64_t *to)
{
    if (!number_valid(text))
        return err_set(s->err, E_USAGE, "'%s' is not " A_RELEASE "; wanted: %s", shown(text, s->arena),
                       verb_usages[w->verb]);
    *to = atoll(text);
    return true;
}

/* "prod to v7", "prod before 41". */
static bool way_read(struct typed *s, struct chat_words *w, const char *word, const char *value)
{
    bool to = strcmp(word, "to") == 0;
    if (!to && strcmp(word, "before") != 0)
        return usage(s, w, arena_printf(s->arena, "'%s' is one word too many", shown(value, s->arena)));
    if ((to && w->to) || (!to && s->before))
        return usage(s, w, arena_printf(s->arena, "--%s is there twice", word));
    if (!to)
        return number_read(s, w, value, &w->before);
    if (!rev_valid(value))
        return err_set(s->err, E_USAGE, "'%s' is not " REVISION "; wanted: %s", shown(value, s->arena),
                       verb_usages[w->verb]);
    w->to = value;
    return true;
}

static bool read_rollback(struct typed *s, struct chat_words *w)
{
    const char *words[3];
    size_t n;
    if (!plain_words(s, w, words, 3, &n))
        return false;
    if (n == 3 && !way_read(s, w, words[1], words[2]))
        return false;
    if (n == 2 && s->release)
        return usage(s, w, "the release is there twice");
    if (n == 2 && !number_read(s, w, words[0], &w->release))
        return false;
    if ((s->release && !number_read(s, w, s->release, &w->release)) ||
        (s->before && !number_read(s, w, s->before, &w->before)))
        return false;
    return env_read(s, w, n == 3 ? words[0] : n ? words[n - 1] : NULL);
}

static bool read_env(struct typed *s, struct chat_words *w, bool must)
{
    const char *words[1];
    size_t n;
    if (!plain_words(s, w, words, 1, &n))
        return false;
    return n || must ? env_read(s, w, n ? words[0] : NULL) : true;
}

static bool read_reason(struct typed *s, struct chat_words *w)
{
    if (!env_read(s, w, next_word(s)))
        return false;
    const char *reason = rest_of(s);
    if (!reason)
        return usage(s, w, "why? A reason is missing: everybody who has to wait will see it");
    auto_buf struct buf out = BUF_INIT(CHAT_REASON_MAX);
    text_visible(&out, reason, strlen(reason));
    if (out.cut)
        return err_set(s->err, E_USAGE, "the reason is longer than %d characters", CHAT_REASON_MAX);
    w->reason = arena_strdup(s->arena, buf_str(&out));
    return true;
}

/* @ann, <@U123> or <@U123|ann>. */
static bool person_read(struct typed *s, struct chat_words *w, const char *word)
{
    char id[65] = "", name[65] = "";
    size_t n = strlen(word);
    if (n > 3 && n < 140 && str_starts(word, "<@") && word[n - 1] == '>') {
        const char *bar = strchr(word, '|');
        size_t id_len = (bar ? (size_t)(bar - word) : n - 1) - 2;
        size_t name_len = bar ? n - 1 - (size_t)(bar + 1 - word) : 0;
        if (id_len < sizeof id && name_len < sizeof name) {
            memcpy(id, word + 2, id_len);
            memcpy(name, bar ? bar + 1 : "", name_len);
        }
    } else if (word[0] == '@' && n > 1 && n < sizeof id) {
        memcpy(id, word + 1, n - 1);
    }
    if (!name_valid(id, 64) || (name[0] && !name_valid(name, 64)))
        return err_set(s->err, E_USAGE, "'%s' is nobody's name; wanted: %s", shown(word, s->arena),
                       verb_usages[w->verb]);
    w->person = arena_strdup(s->arena, id);
    w->person_name = arena_strdup(s->arena, name[0] ? name : id);
    return true;
}

static bool read_hand(struct typed *s, struct chat_words *w)
{
    const char *words[2];
    size_t n;
    if (!plain_words(s, w, words, 2, &n))
        return false;
    if (n < 2)
        return usage(s, w, n ? "to whom?" : "which environment?");
    return env_read(s, w, words[0]) && person_read(s, w, words[1]);
}

static bool read_code(struct typed *s, struct chat_words *w)
{
    const char *words[1];
    size_t n;
    if (!plain_words(s, w, words, 1, &n))
        return false;
    if (n == 0)
        return usage(s, w, "which? The code is missing");
    char *code = arena_strdup(s->arena, words[0]);
    for (char *c = code; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (!ask_code_valid(code))
        return err_set(s->err, E_USAGE, "'%s' is not a code (wanted: %d letters and digits, like K7Q2)",
                       shown(words[0], s->arena), ASK_CODE_LEN);
    w->code = code;
    return true;
}

static bool read_nothing(struct typed *s, struct chat_words *w)
{
    const char *words[1];
    size_t n;
    return plain_words(s, w, words, 0, &n);
}

static bool read_behind(struct typed *s, struct chat_words *w)
{
    switch (w->verb) {
    case CHAT_RUN:
    case CHAT_PLAN: return read_release(s, w);
    case CHAT_ROLLBACK: return read_rollback(s, w);
    case CHAT_RESUME:
    case CHAT_PAUSE:
    case CHAT_ABORT:
    case CHAT_UNLOCK:
    case CHAT_LEAVE: return read_env(s, w, true);
    case CHAT_STATUS:
    case CHAT_HISTORY:
    case CHAT_QUEUE: return read_env(s, w, false);
    case CHAT_LOCK:
    case CHAT_TAKE: return read_reason(s, w);
    case CHAT_HAND: return read_hand(s, w);
    case CHAT_CONFIRM:
    case CHAT_CANCEL:
    case CHAT_APPROVE: return read_code(s, w);
    case CHAT_WHERE:
    case CHAT_HELP: return read_nothing(s, w);
    case CHAT_VERB_COUNT: break;
    }
    return false;
}

static bool text_fit(const char *text, struct err *err)
{
    if (strlen(text) > CHAT_TEXT_MAX)
        return err_set(err, E_USAGE, "that is longer than %d characters", CHAT_TEXT_MAX);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            return err_set(err, E_USAGE,
                           "one line, please: there is a line end or another control character");
    return true;
}

bool words_read(const char *text, struct arena *arena, struct chat_words *ret, struct err *err)
{
    *ret = (struct chat_words){.verb = CHAT_HELP};
    if (!text_fit(text, err))
        return false;
    struct typed s = {.at = unescaped(text, arena), .arena = arena, .err = err};
    const char *verb = next_word(&s);
    if (!verb)
        return true; /* an empty command asks for help */
    int found = chat_verb_from_name(verb);
    if (found < 0) {
        int near = str_nearest(verb, verb_names, CHAT_VERB_COUNT);
        return err_set(err, E_USAGE, "there is no '%s'%s%s%s; 'help' lists what there is", shown(verb, arena),
                       near >= 0 ? "; did you mean '" : "", near >= 0 ? verb_names[near] : "",
                       near >= 0 ? "'?" : "");
    }
    ret->verb = (enum chat_verb)found;
    return read_behind(&s, ret);
}
