/* SPDX-License-Identifier: MIT */
/* What may be told to an environment: every word of it is one, and the order takes it (serve.h). Pure; whoever
 * keeps or carries out a wish asks here first. */
#include <string.h>

#include "base/auto.h"
#include "serve/serve.h"

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct word_rule {
    const char *what, *accept;
    size_t max;
    const char *wanted; /* for people */
};
static const struct word_rule stages_rule = {
    "stages", DIGITS ",%", 200, "numbers of nodes or percentages with commas between: 1,25%,100%"};
static const struct word_rule window_rule = {"window", DIGITS "%", 8,
                                             "a number of nodes or a percentage: 2, 25%"};
static const struct word_rule only_rule = {"only", LETTERS DIGITS "._,-", 8000,
                                           "nodes' ids with commas between"};
static const struct word_rule exclude_rule = {"exclude", LETTERS DIGITS "._,-", 8000,
                                              "nodes' ids with commas between"};

static bool word_ok(const struct word_rule *rule, const char *text, struct err *err)
{
    if (!text)
        return true;
    size_t n = strspn(text, rule->accept);
    return (n > 0 && text[n] == '\0' && n <= rule->max && text[0] != '-') ||
           err_set(err, E_USAGE, "%s: '%.100s' was given; wanted %s", rule->what, text, rule->wanted);
}

static bool person_ok(const char *what, const char *text, struct err *err)
{
    return operator_valid(text) ||
           err_set(
               err, E_USAGE,
               "%s: '%.100s' cannot be a person's name: wanted at most 64 letters, digits and . _ @ + -, the door "
               "they come in by before a colon",
               what, text);
}

static bool reason_ok(const char *text, struct err *err)
{
    for (const char *p = text; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(err, E_USAGE, "reason: wanted one line of text");
    if (text && !utf8_valid(text))
        return err_set(err, E_USAGE, "reason: wanted text in UTF-8");
    return !text || strlen(text) <= 500 || err_set(err, E_USAGE, "reason: wanted at most 500 bytes");
}

static bool revision_ok(const char *what, const char *text, struct err *err)
{
    return !text || rev_valid(text) ||
           err_set(err, E_USAGE, "%s: '%s' is not a revision (wanted a commit in hex, a branch or a tag)",
                   what, text);
}

#define OF(wish) (1U << WISH_##wish)
#define FORWARD  (OF(RUN) | OF(PLAN))
#define BACK     (OF(ROLLBACK) | OF(PLAN))
#define CHOOSES  (FORWARD | BACK | OF(RESUME))

static bool refuse_word(const struct order_wish *w, const char *word, unsigned takers, struct err *err)
{
    auto_buf struct buf names = BUF_INIT(200);
    for (int v = 0; v < WISH_COUNT; v++)
        if (takers & (1U << v))
            buf_printf(&names, "%s%s", names.len ? ", " : "", wish_name((enum wish)v));
    return err_set(err, E_USAGE, "%s: '%s' is not taken (it belongs to %s); nothing was touched",
                   wish_name(w->verb), word, buf_str(&names));
}

/* An order without the word that it does not take would be another than was meant. */
static bool words_are_its_own(const struct order_wish *w, struct err *err)
{
    const struct {
        const char *name;
        bool given;
        unsigned takers;
    } words[] = {
        {"rev", w->rev, FORWARD},
        {"plan", w->plan, FORWARD},
        {"stages", w->stages, FORWARD},
        {"window", w->window, FORWARD},
        {"only", w->only, CHOOSES},
        {"exclude", w->exclude, CHOOSES},
        {"to", w->to, BACK},
        {"before", w->before > 0, BACK},
        {"release", w->release > 0, BACK | OF(RESUME)},
        {"digest", w->digest, OF(RUN) | OF(ROLLBACK)},
        {"reason", w->reason, OF(LOCK) | OF(UNLOCK)},
        {"force", w->force, OF(UNLOCK)},
        {"brief", w->brief, OF(PLAN)},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].given && !(words[i].takers & (1U << w->verb)))
            return refuse_word(w, words[i].name, words[i].takers, err);
    return true;
}

bool serve_wish_is_back(const struct order_wish *w)
{
    return w->verb == WISH_ROLLBACK || (w->verb == WISH_PLAN && (w->release > 0 || w->to || w->before > 0));
}

bool serve_wish_ok(const struct order_wish *w, struct err *err)
{
    if (!w->env || !env_valid(w->env))
        return err_set(err, E_USAGE, "env: '%.100s' cannot be an environment's name: " NAME_WANTED,
                       w->env ? w->env : "");
    if (w->digest && (strlen(w->digest) != 64 || !is_hex(w->digest, 64)))
        return err_set(err, E_USAGE,
                       "digest: '%.100s' was given; wanted the 64 hex digits that the plan came with",
                       w->digest);
    if (w->approved_by && !person_ok("approved by", w->approved_by, err))
        return false;
    if (!person_ok("who", w->who ? w->who : "", err))
        return false;
    if (!revision_ok("rev", w->rev, err) || !revision_ok("to", w->to, err))
        return false;
    if (serve_wish_is_back(w) && (w->rev || w->plan || w->stages || w->window))
        return err_set(err, E_USAGE,
                       "%s: a way back goes by what is recorded: rev, plan, stages and window are not taken; "
                       "nothing was touched",
                       wish_name(w->verb));
    if (!words_are_its_own(w, err))
        return false;
    if (w->plan && !name_valid(w->plan, 64))
        return err_set(err, E_USAGE, "plan: '%.100s' cannot be a plan's name: " NAME_WANTED, w->plan);
    return word_ok(&stages_rule, w->stages, err) && word_ok(&window_rule, w->window, err) &&
           word_ok(&only_rule, w->only, err) && word_ok(&exclude_rule, w->exclude, err) &&
           reason_ok(w->reason, err);
}
