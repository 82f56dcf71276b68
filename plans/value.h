/* SPDX-License-Identifier: MIT */
/* The value tree that YAML becomes: private to plans/.
 *
 * Every scalar keeps its text as written and its place; typing is lazy, so that a revision is never a number.
 * Trees are read-only once parsed and may share parts (aliases, merges); everything lives in the arena of its
 * pillar or plan. */
#ifndef RELEASE_PLANS_VALUE_H
#define RELEASE_PLANS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "plans/pillar.h"

#define YAML_BYTES_MAX   (1024u * 1024u)
#define YAML_DEPTH_MAX   64
#define YAML_NODES_MAX   100000u
#define YAML_ANCHORS_MAX 256

struct place {
    const char *file;
    int line, col; /* 1.. */
};

enum value_kind { VALUE_SCALAR, VALUE_LIST, VALUE_MAP };

/* YAML's type of a plain scalar. SCALAR_BIG: an integer beyond 64 bits. */
enum scalar_type { SCALAR_STR, SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_BIG, SCALAR_FLOAT };

struct entry {
    const char *key;       /* as JSON writes it: `yes:` is "true", `0644:` "644", `1.10:` "1.1" */
    struct place at;       /* of the key */
    const char *raw;       /* as it stands in the file; NULL: as `key` */
    enum scalar_type type; /* of the key: `1:` and `'1':` are two keys to Salt */
    const struct value *value;
};

struct value {
    enum value_kind kind;
    bool plain;        /* scalar without quotes: YAML's typing applies */
    const void *owner; /* map: the sum that made it and may change it (merge.c) */
    uint8_t key_types; /* map: a bit for each enum scalar_type among its keys */
    bool aliased;      /* at the root of a file: some map in it stands in two places */
    struct place at;
    const char *text; /* scalar */
    uint32_t weight;  /* values below and itself, an alias counted each time */
    size_t n, cap;
    const struct value **items; /* list */
    struct entry *entries;      /* map, in the order written */
    uint32_t *slots;            /* hash of a large map: entry number + 1, or 0 */
    size_t n_slots;
};

struct value *value_map(struct arena *a, struct place at);
struct value *value_list(struct arena *a, struct place at);
struct value *value_scalar(struct arena *a, struct place at, const char *text);
void list_add(struct arena *a, struct value *list, const struct value *item);
/* false: the key is there already and nothing was added. */
bool map_add(struct arena *a, struct value *map, const char *key, struct place at, const struct value *value);
/* The same with the type of the key. Neither looks whether a key of another type is equal: key_twin does. */
bool map_add_entry(struct arena *a, struct value *map, const struct entry *entry);
/* The entry that JSON or Python takes for the same key though its type is another one: 1, '1', 1.0 and yes.
 */
const struct entry *key_twin(const struct value *map, const struct entry *entry);
void map_put(struct arena *a, struct value *map, const char *key, struct place at, const struct value *value);
const struct entry *map_entry(const struct value *map,
                              const char *key); /* NULL also when map is NULL or no map */
const struct value *map_get(const struct value *map, const char *key);
/* "a:b:0:c"; numbers index lists. */
const struct value *value_get(const struct value *root, const char *path);
bool value_is_null(const struct value *v);          /* NULL, or a plain null */
const char *value_kind_text(const struct value *v); /* "a map", "a list", "text" */

/* YAML 1.1 as Salt reads it (0644 is 644, 08 and dates are text). Numbers into *ret_int or *ret_float. */
enum scalar_type scalar_type(const struct value *v, int64_t *ret_int, double *ret_float);
bool value_is_text(const struct value *v); /* a scalar that is neither empty nor a number, boolean or null */
bool scalar_bool(const char *text, bool *ret);
/* Why Salt dies of this scalar, or nothing here can hold it; NULL: it is fine. Files with such a scalar are
 * not read. */
const char *scalar_refused(const struct value *v);
/* Its text as JSON has it, strings without quotes. */
enum scalar_type scalar_text(struct buf *out, const struct value *v);

/* Reads one document into a map; false: problems has why. The text must outlive nothing. */
bool yaml_read(struct arena *a, const char *file, const char *text, size_t n, const struct value **ret,
               struct problems *problems);

/* Maps merge deep, everything else is replaced, later wins, order is kept. Neither input changes. */
const struct value *value_merge(struct arena *a, const struct value *base, const struct value *over);

void problem_at(struct problems *p, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* " (did you mean 'x'?)" or "", for the end of a message. */
const char *nearest_hint(struct arena *a, const char *word, const char *const *names, size_t n);
/* "file:line:col" */
const char *place_text(struct arena *a, struct place at);

/* JSON by YAML's types; and YAML with "# file:line" behind each scalar. */
void value_json(struct buf *out, const struct value *v);
void value_text(struct buf *out, const struct value *v);
void json_string_add(struct buf *out, const char *s);

/* Do both say the same, in lists in the same order? `yes` and 'yes' are two. NULL is like NULL only. */
bool value_same(const struct value *a, const struct value *b);

#endif
