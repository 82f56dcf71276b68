/* SPDX-License-Identifier: MIT */
/* The command line: one `const struct command` per verb, each in its own file, listed in table.c.
 *
 * options.c turns argv into a struct cli by the command's own option table; the commands ask for what was
 * given by name. Nothing here knows releases; what the commands share about those is in session.h. */
#ifndef RELEASE_CLI_CLI_H
#define RELEASE_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct option_def {
    const char *name; /* "rev" */
    const char *arg;  /* "REV"; NULL = a flag without value */
    const char *help;
    bool many; /* may be given several times */
};
#define OPTION_END ((struct option_def){.name = NULL})

struct cli;
struct command {
    const char *name;                 /* "run" */
    const char *summary;              /* one line */
    const char *usage;                /* what follows the name: "--rev REV [ENV]" */
    const char *text;                 /* a paragraph for --help, or NULL */
    const char *example;              /* whole lines, printed as they are */
    const struct option_def *options; /* ends with OPTION_END; NULL = only the common ones */
    size_t min_words, max_words;      /* words that are no options */
    bool rest;                        /* takes `-- CMD ARG..` */
    int (*run)(struct cli *cli);      /* returns an enum exit_status */
};

/* table.c: the explicit list, NULL-terminated, in the order of help. */
extern const struct command *const command_table[];
extern const struct option_def common_options[];
const struct command *command_find(const char *name);
/* The common option that a word like "--root=X" gives, NULL: none. */
const struct option_def *common_option(const char *word);

#define CLI_OPTIONS_MAX 64
#define CLI_WORDS_MAX   8
struct cli {
    const struct command *command;
    struct {
        const struct option_def *def;
        const char *value; /* "" for a flag */
    } given[CLI_OPTIONS_MAX];
    size_t n_given;
    const char *words[CLI_WORDS_MAX];
    size_t n_words;
    const char *const *rest; /* behind "--" */
    size_t n_rest;
    bool help;
    const char *version; /* of this program */
    const char *app;     /* of the environment whose pillar was read, NULL = none was */
    struct arena arena;  /* lives as long as the command runs */
};

/* Reads argv behind the command's name; strings stay argv's. false: E_USAGE. */
bool cli_parse(struct cli *cli, const struct command *command, int argc, char **argv,
               struct err *err) MUST_CHECK;
/* As if it had been given; for a command that works an option of another one out. Strings are the caller's. */
void cli_take(struct cli *cli, const struct option_def *def, const char *value);
bool cli_flag(const struct cli *cli, const char *name);
const char *cli_opt(const struct cli *cli, const char *name); /* the last one given, or NULL */
/* All values of an option that may be given several times, in order. */
const char *const *cli_opts(struct cli *cli, const char *name, size_t *ret_n);
/* A number >= 0 in the option; `deflt` when it was not given. false: E_USAGE. */
bool cli_number(const struct cli *cli, const char *name, long long deflt, long long *ret,
                struct err *err) MUST_CHECK;
bool parse_number(const char *text, long long *ret);

/* help.c */
void help_all(struct buf *out);
void help_command(struct buf *out, const struct command *command);

/* say.c: everything for people goes through these. Errors to stderr with "release: " in front. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_progress(const char *text); /* told once a second while something takes long */
int say_err(const struct err *err);  /* says it, returns its exit status */
void out_text(const char *text);     /* stdout; a broken pipe is not an error */
void out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void out_buf(struct buf *buf); /* writes and empties it */

/* A table for people: cells are copied and made safe to show, columns padded to their widest cell, the last
 * not. */
struct table {
    struct arena *arena;
    size_t n_cols, n_rows, cap;
    const char **cells;
};
void table_init(struct table *t, struct arena *arena, size_t n_cols);
void table_row(struct table *t, const char *const *cells); /* n_cols of them; NULL = "" */
#define TABLE_ROW(t, ...) table_row((t), (const char *const[]){__VA_ARGS__})
void table_render(const struct table *t, struct buf *out);

#endif
