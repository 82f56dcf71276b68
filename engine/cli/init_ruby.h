/* SPDX-License-Identifier: MIT */
/* As much of Ruby as configuration is written in: statements of words, texts, lists and hashes. Nothing is run. */
#ifndef RELEASE_CLI_INIT_RUBY_H
#define RELEASE_CLI_INIT_RUBY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

enum ruby_kind {
    RUBY_WORD,   /* set, fetch, 5 */
    RUBY_SYMBOL, /* :name */
    RUBY_LABEL,  /* name: */
    RUBY_TEXT,   /* 'x' as it is, "x" with #{..} in it still */
    RUBY_WORDS,  /* %w{a b}: blanks between */
    RUBY_SIGN,   /* one character, or =>, ->, || */
};
struct ruby_token {
    enum ruby_kind kind;
    bool fills; /* a text in which #{..} is filled in */
    const char *text;
};
#define RUBY_TOKENS_MAX 2048
struct ruby_statement {
    struct ruby_token tokens[RUBY_TOKENS_MAX];
    size_t n;
    int line; /* where it begins */
    bool cut; /* it has more tokens than we take */
};
struct ruby_reader {
    const char *p;
    int line;
    struct arena *arena;
};
/* false: no more. A statement goes on over lines while a bracket is open, or a line ends in a comma or an operator. */
bool ruby_next(struct ruby_reader *r, struct ruby_statement *ret);
bool ruby_is(const struct ruby_statement *s, size_t i, const char *text); /* a word or sign */
/* How many blocks it opens (do, if, def ..), less those that it ends. */
int ruby_depth(const struct ruby_statement *s);

#endif
