/* SPDX-License-Identifier: MIT */
/* Typed reading of maps: one table per block says which keys there are and where their values go. Unknown
 * keys, wrong types and bad values are reported with their place, and reading goes on. Private to plans/. */
#ifndef RELEASE_PLANS_SCHEMA_H
#define RELEASE_PLANS_SCHEMA_H

#include "plans/value.h"

/* 25% or 3: of nodes. */
struct share {
    bool given, percent;
    int64_t n;
    struct place at;
};

enum field_type {
    FIELD_TEXT,     /* const char *, as written */
    FIELD_NAME,     /* const char *, name_valid */
    FIELD_PATH,     /* const char *, absolute */
    FIELD_FILE,     /* const char *, ~/ expanded */
    FIELD_INT,      /* int64_t, min..max */
    FIELD_DURATION, /* int64_t ms */
    FIELD_SHARE,    /* struct share */
    FIELD_CHOICE,   /* const char *, one of choices */
    FIELD_VALUE,    /* const struct value *, anything */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    const char *choices; /* "a|b|c" */
    int64_t min, max;
};
#define FIELD_END ((struct field){.name = NULL})

struct schema_reader {
    struct arena *arena;
    struct problems *problems;
};

/* Fills ret from map. A key with nothing behind it counts as not given. `what` names the block in messages.
 * false: at least one problem. A NULL map is an empty one. */
bool schema_read(struct schema_reader *r, const struct value *map, const char *what,
                 const struct field *fields, void *ret);
/* Text of a scalar, or NULL with a problem that says what `what` wants. */
const char *scalar_wanted(struct schema_reader *r, const struct value *v, const char *what,
                          const char *wanted);
bool share_read(struct schema_reader *r, const struct value *v, const char *what, struct share *ret);
bool duration_read(struct schema_reader *r, const struct value *v, const char *what, int64_t *ret);
bool int_read(struct schema_reader *r, const struct value *v, const char *what, int64_t min, int64_t max,
              int64_t *ret);
bool choice_has(const char *choices, const char *word);
/* "a, b or c" from "a|b|c" */
const char *choices_text(struct arena *a, const char *choices);
const char *home_expanded(struct arena *a, const char *path);

#endif
