/* SPDX-License-Identifier: MIT */
/* Targets as Salt's matchers read them (salt/matchers). A compound becomes a list of words, node groups put
 * in their places as salt.utils.minions.nodegroup_comp does it, and is asked with Python's precedence: not,
 * and, or. What Salt answers with "nobody" because the expression is none (`web1 web2`, `(web1`) is a mistake
 * here: nobody writes a target to match nobody.
 *
 * Three answers: where a word is not known the whole is not known either, unless the other words decide. */
#include "plans/match.h"

#include <ctype.h>
#include <string.h>

#include "plans/glob.h"
#include "plans/regex.h"

#define WORDS_MAX  512
#define GROUPS_MAX 16
#define DEPTH_MAX  32

#define LET_SALT "let Salt itself render the pillar (release.yml: 'pillar: {renderer: salt}')"

enum word_kind {
    WORD_GLOB,
    WORD_LIST,
    WORD_REGEX,
    WORD_GRAIN,
    WORD_CIDR,
    WORD_AND,
    WORD_OR,
    WORD_NOT,
    WORD_OPEN,
    WORD_CLOSE
};

struct match_word {
    enum word_kind kind;
    const char *text;
    struct regex *regex;
    struct grain_pattern grain;
};

struct matcher {
    struct match_word *words;
    size_t n, cap;
    const char *target;
};

/* ---- reading */

struct match_reading {
    struct match_reader *r;
    struct matcher *m;
    struct place at;
    const char *open[GROUPS_MAX]; /* node groups being put in, for cycles */
    size_t n_open;
};

static bool refuse(struct match_reading *x, const char *word, const char *why)
{
    if (strcmp(word, x->m->target) == 0)
        problem_at(x->r->problems, x->at, "target '%s': %s", x->m->target, why);
    else
        problem_at(x->r->problems, x->at, "target '%s': '%s': %s", x->m->target, word, why);
    return false;
}

static bool word_add(struct match_reading *x, struct match_word word)
{
    struct matcher *m = x->m;
    if (m->n == WORDS_MAX)
        return refuse(x, m->target, "more than 512 words");
    if (m->n == m->cap) {
        m->cap = m->cap == 0 ? 4 : m->cap * 2;
        struct match_word *bigger = arena_array(x->r->arena, m->cap, sizeof(*bigger));
        for (size_t i = 0; i < m->n; i++)
            bigger[i] = m->words[i];
        m->words = bigger;
    }
    m->words[m->n++] = word;
    return true;
}

static bool glob_add(struct match_reading *x, const char *text)
{
    if (!glob_plain(text))
        return refuse(x, text,
                      "a '[...]' that is not read here (wanted: letters, digits, '_', '.', and ranges)");
    return word_add(x, (struct match_word){.kind = WORD_GLOB, .text = text});
}

static bool regex_add(struct match_reading *x, const char *text)
{
    const char *why;
    struct regex *re = regex_new(x->r->arena, text, &why);
    if (re == NULL)
        return refuse(
            x, text,
            arena_printf(x->r->arena,
                         "an expression that has %s: Salt's and ours may not mean the same; " LET_SALT, why));
    return word_add(x, (struct match_word){.kind = WORD_REGEX, .text = text, .regex = re});
}

static bool grain_add(struct match_reading *x, const char *text, char delimiter, bool regex)
{
    struct match_word w = {
        .kind = WORD_GRAIN, .text = text, .grain = {.text = text, .delimiter = delimiter, .regex = regex}};
    return grain_pattern_ok(x->r, &w.grain, x->at) && word_add(x, w);
}

static bool cidr_add(struct match_reading *x, const char *text)
{
    if (!cidr_ok(text))
        return refuse(x, text, "neither an address nor a network (wanted: 10.0.0.1 or 10.0.0.0/24)");
    return word_add(x, (struct match_word){.kind = WORD_CIDR, .text = text});
}

static bool pillar_refused(struct match_reading *x, const char *text)
{
    return refuse(x, text,
                  "asks for the pillar while the pillar is being made: what Salt answers depends on what it "
                  "rendered before; " LET_SALT);
}

static bool group_add(struct match_reading *x, const char *name, bool nested);

/* "G@", "G|@", "L@" ...; *ret_text is what stands behind. 0: no engine. */
static char engine_of(const char *word, char *ret_delimiter, const char **ret_text)
{
    *ret_delimiter = ':';
    if (word[0] == '\0' || strchr("GPIJLNSERTM", word[0]) == NULL)
        return '\0';
    if (strchr("GPIJ", word[0]) != NULL && word[1] != '\0' && word[2] == '@' && word[3] != '\0') {
        *ret_delimiter = word[1];
        *ret_text = word + 3;
        return word[0];
    }
    *ret_text = word + 2;
    return word[1] == '@' && word[2] != '\0' ? word[0] : '\0';
}

static bool engine_add(struct match_reading *x, const char *word, char engine, char delimiter,
                       const char *text)
{
    if ((unsigned char)delimiter > 0x7e || isalnum((unsigned char)delimiter))
        return refuse(x, word, "a delimiter of this kind");
    switch (engine) {
    case 'G': return grain_add(x, text, delimiter, false);
    case 'P': return grain_add(x, text, delimiter, true);
    case 'L': return word_add(x, (struct match_word){.kind = WORD_LIST, .text = text});
    case 'E': return regex_add(x, text);
    case 'S': return cidr_add(x, text);
    case 'N': return group_add(x, text, false);
    case 'I':
    case 'J': return pillar_refused(x, word);
    default: break;
    }
    return refuse(x, word, "this matcher is not known here; " LET_SALT);
}

static bool operator_of(const char *word, enum word_kind *ret)
{
    static const char *const names[] = {"and", "or", "not", "(", ")"};
    for (int i = 0; i < 5; i++)
        if (strcmp(word, names[i]) == 0)
            return *ret = (enum word_kind)(WORD_AND + i), true;
    return false;
}

static bool compound_word_add(struct match_reading *x, const char *word)
{
    enum word_kind kind;
    char delimiter;
    const char *text;
    if (operator_of(word, &kind))
        return word_add(x, (struct match_word){.kind = kind, .text = word});
    char engine = engine_of(word, &delimiter, &text);
    if (engine != '\0')
        return engine_add(x, word, engine, delimiter, text);
    if (word[0] == '(' || word[strlen(word) - 1] == ')')
        return refuse(x, word, "a parenthesis is a word of its own, with spaces around it");
    return glob_add(x, word);
}

/* A text is split at its blanks, as str.split() does for ASCII. */
static struct value *split_words(struct arena *a, const char *text, struct place at)
{
    struct value *list = value_list(a, at);
    while (*(text += strspn(text, " \t\n\r\f\v\x1c\x1d\x1e\x1f")) != '\0') {
        size_t n = strcspn(text, " \t\n\r\f\v\x1c\x1d\x1e\x1f");
        list_add(a, list, value_scalar(a, at, arena_strndup(a, text, n)));
        text += n;
    }
    return list;
}

static bool words_add(struct match_reading *x, const struct value *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (!compound_word_add(x, words->items[i]->text))
            return false;
    return true;
}

/* ---- groups of nodes */

static bool has_operator(const struct value *words)
{
    enum word_kind kind;
    for (size_t i = 0; i < words->n; i++)
        if (operator_of(words->items[i]->text, &kind))
            return true;
    return false;
}

/* A group without operators, wildcards and letters like G@ is a list of ids, or one expression. */
static const char *as_one_word(struct arena *a, const struct value *words)
{
    bool expression = false;
    if (has_operator(words))
        return NULL;
    auto_buf struct buf text = BUF_INIT(1000000);
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->items[i]->text;
        if (strchr(w, '*') != NULL || (w[0] >= 'A' && w[0] <= 'Z' && w[1] == '@'))
            return NULL;
        expression |= strpbrk(w, "([{\\?}])") != NULL;
        buf_printf(&text, "%s%s", i == 0 ? "" : ",", w);
    }
    return arena_printf(a, "%s%s", expression ? "E@" : "L@", buf_str(&text));
}

static const struct value *group_words(struct match_reading *x, const char *name)
{
    const struct value *v = map_get(x->r->nodegroups, name);
    if (v == NULL) {
        (void)refuse(x, name,
                     "no node group of this name is written down (wanted: release.yml: 'nodegroups: {NAME: "
                     "L@app1,app2}')");
        return NULL;
    }
    const struct value *words = v->kind == VALUE_SCALAR ? split_words(x->r->arena, v->text, v->at) : v;
    for (size_t i = 0; i < words->n; i++)
        if (words->items[i]->kind != VALUE_SCALAR || words->items[i]->text[0] == '\0') {
            (void)refuse(x, name, "its node group is no list of words");
            return NULL;
        }
    if (words->n == 0)
        (void)refuse(x, name, "its node group is empty");
    return words->n == 0 ? NULL : words;
}

static bool has_groups(const struct value *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (strncmp(words->items[i]->text, "N@", 2) == 0 && words->items[i]->text[2] != '\0')
            return true;
    return false;
}

static bool group_words_add(struct match_reading *x, const struct value *words)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->items[i]->text;
        bool group = strncmp(w, "N@", 2) == 0 && w[2] != '\0';
        if (group ? !group_add(x, w + 2, true) : !compound_word_add(x, w))
            return false;
    }
    return true;
}

/* In parentheses only within another group, or when it has groups of its own: so Salt does it, and `not N@x`
 * negates the first word alone where x is `a or b`. */
static bool group_add(struct match_reading *x, const char *name, bool nested)
{
    for (size_t i = 0; i < x->n_open; i++)
        if (strcmp(x->open[i], name) == 0)
            return refuse(x, name, "this node group contains itself");
    if (x->n_open == GROUPS_MAX)
        return refuse(x, name, "node groups nested too deep");
    const struct value *words = group_words(x, name);
    if (words == NULL)
        return false;
    bool groups = has_groups(words);
    const char *one = nested || !groups ? as_one_word(x->r->arena, words) : NULL;
    if (one != NULL)
        return compound_word_add(x, one);
    bool bracket = nested || groups;
    x->open[x->n_open++] = name;
    bool ok = (!bracket || compound_word_add(x, "(")) && group_words_add(x, words) &&
              (!bracket || compound_word_add(x, ")"));
    x->n_open--;
    return ok;
}

/* ---- asking */

struct match_walk {
    const struct matcher *m;
    size_t i, depth;
    struct match_node *node; /* NULL: the words are only parsed */
    bool ok;
};

static bool is_next(const struct match_walk *w, enum word_kind kind)
{
    return w->i < w->m->n && w->m->words[w->i].kind == kind;
}

/* ",id," in it, or at an end, or all of it: as Salt's code does, blanks and all. */
static bool list_has(const char *list, const char *id)
{
    size_t n = strlen(id);
    for (const char *s = list; (s = strstr(s, id)) != NULL; s++)
        if ((s == list || s[-1] == ',') && (s[n] == '\0' || s[n] == ','))
            return true;
    return false;
}

static enum answer word_asks(const struct match_word *word, struct match_node *node)
{
    if (word->kind == WORD_LIST)
        return list_has(word->text, node->id) ? ANSWER_YES : ANSWER_NO;
    if (word->kind == WORD_GLOB)
        return glob_match(word->text, node->id) ? ANSWER_YES : ANSWER_NO;
    if (word->kind == WORD_GRAIN)
        return grain_asks(&word->grain, node);
    if (word->kind == WORD_CIDR)
        return cidr_asks(word->text, node);
    int n = regex_match(word->regex, node->id);
    if (n < 0)
        node->why = "its id and the expression are not compared here";
    return n < 0 ? ANSWER_UNKNOWN : n > 0 ? ANSWER_YES : ANSWER_NO;
}

static enum answer any_of(struct match_walk *w);

static enum answer one_of(struct match_walk *w)
{
    enum answer ret = ANSWER_NO;
    if (w->i >= w->m->n || w->depth == DEPTH_MAX) {
        w->ok = false;
        return ANSWER_NO;
    }
    const struct match_word *word = &w->m->words[w->i++];
    if (word->kind == WORD_OPEN) {
        w->depth++;
        ret = any_of(w);
        w->depth--;
        w->ok = w->ok && is_next(w, WORD_CLOSE);
        w->i++;
    } else if (word->kind < WORD_AND) {
        ret = w->node == NULL ? ANSWER_NO : word_asks(word, w->node);
    } else {
        w->ok = false;
    }
    return ret;
}

static enum answer negated_of(struct match_walk *w)
{
    bool negate = is_next(w, WORD_NOT);
    w->i += negate;
    enum answer ret = one_of(w);
    if (!negate || ret == ANSWER_UNKNOWN)
        return ret;
    return ret == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
}

/* Salt puts the `and` before a `not` that follows a word. */
static enum answer all_of(struct match_walk *w)
{
    enum answer ret = negated_of(w);
    while (w->ok && (is_next(w, WORD_AND) || is_next(w, WORD_NOT))) {
        w->i += is_next(w, WORD_AND);
        enum answer next = negated_of(w);
        ret = ret == ANSWER_NO || next == ANSWER_NO ? ANSWER_NO : ret == ANSWER_YES ? next : ret;
    }
    return ret;
}

static enum answer any_of(struct match_walk *w)
{
    enum answer ret = all_of(w);
    while (w->ok && is_next(w, WORD_OR)) {
        w->i++;
        enum answer next = all_of(w);
        ret = ret == ANSWER_YES || next == ANSWER_YES ? ANSWER_YES : ret == ANSWER_NO ? next : ret;
    }
    return ret;
}

enum answer matcher_asks(const struct matcher *m, struct match_node *node)
{
    struct match_walk w = {.m = m, .node = node, .ok = true};
    return any_of(&w);
}

static bool is_expression(struct match_reading *x)
{
    struct match_walk w = {.m = x->m, .ok = true};
    (void)any_of(&w);
    if (w.ok && w.i == x->m->n)
        return true;
    return refuse(x, x->m->target,
                  "no expression (wanted: words with 'and', 'or', 'not' between them, parentheses as words "
                  "of their own)");
}

static bool compound_read(struct match_reading *x)
{
    return words_add(x, split_words(x->r->arena, x->m->target, x->at)) && is_expression(x);
}

static bool matcher_read(struct match_reading *x, const char *kind)
{
    const char *target = x->m->target;
    if (kind == NULL || strcmp(kind, "compound") == 0)
        return compound_read(x);
    if (strcmp(kind, "glob") == 0)
        return glob_add(x, target);
    if (strcmp(kind, "list") == 0)
        return word_add(x, (struct match_word){.kind = WORD_LIST, .text = target});
    if (strcmp(kind, "pcre") == 0)
        return regex_add(x, target);
    if (strcmp(kind, "grain") == 0)
        return grain_add(x, target, ':', false);
    if (strcmp(kind, "grain_pcre") == 0)
        return grain_add(x, target, ':', true);
    if (strcmp(kind, "ipcidr") == 0)
        return cidr_add(x, target);
    if (strcmp(kind, "nodegroup") == 0)
        return group_add(x, target, false) && is_expression(x);
    if (str_starts(kind, "pillar"))
        return pillar_refused(x, target);
    static const char *const kinds[] = {"compound", "glob",       "list",   "pcre",
                                        "grain",    "grain_pcre", "ipcidr", "nodegroup"};
    return refuse(x, target,
                  arena_printf(x->r->arena, "match: %s is not known here%s; " LET_SALT, kind,
                               nearest_hint(x->r->arena, kind, kinds, sizeof(kinds) / sizeof(kinds[0]))));
}

struct matcher *matcher_new(struct match_reader *r, const char *target, const char *kind, struct place at)
{
    struct matcher *m = arena_alloc(r->arena, sizeof(*m));
    struct match_reading x = {.r = r, .m = m, .at = at};
    m->target = target;
    return matcher_read(&x, kind) ? m : NULL;
}

const char *matcher_id(const struct matcher *m)
{
    return m->n == 1 && m->words[0].kind == WORD_GLOB && glob_literal(m->words[0].text) ? m->words[0].text
                                                                                        : NULL;
}

bool matcher_local(const struct matcher *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->words[i].kind == WORD_GRAIN || m->words[i].kind == WORD_CIDR)
            return false;
    return true;
}

bool matcher_everyone(const struct matcher *m)
{
    return m->n == 1 && m->words[0].kind == WORD_GLOB && strcmp(m->words[0].text, "*") == 0;
}
