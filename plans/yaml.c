/* SPDX-License-Identifier: MIT */
/* libyaml events -> value tree, with the limits that make hostile input cheap (docs/promises.md#s5): 1 MiB a
 * file, depth 64 counted on events (libyaml is quadratic on nested '['; we stop before it burns time),
 * 100,000 values with every alias counted where it stands, 256 anchors, no self-reference, no NUL, no
 * duplicate key, one document. */
#include "plans/value.h"

#include <string.h>
#include <yaml.h>

struct frame {
    struct value *v;
    struct entry entry;  /* map: the key that waits for its value */
    bool merge;          /* the key was << */
    struct value *under; /* list of the maps that << named, as Salt lines them up */
    bool anchored;
};

struct anchor {
    const char *name;
    const struct value *v;
    bool open; /* still being read: naming it is a self-reference */
};

struct yaml_reading {
    struct arena *arena;
    struct problems *problems;
    const char *file;
    struct frame stack[YAML_DEPTH_MAX];
    size_t depth;
    struct anchor *anchors;
    size_t n_anchors;
    const struct value *root;
    size_t n_documents;
    bool aliased; /* a map stands in two places */
    bool ok;
};

static struct place place_of(const struct yaml_reading *r, yaml_mark_t mark)
{
    return (struct place){.file = r->file, .line = (int)mark.line + 1, .col = (int)mark.column + 1};
}

/* Ends the reading: what follows would only repeat the mistake. */
static bool refuse(struct yaml_reading *r, struct place at, const char *why)
{
    problem_at(r->problems, at, "%s", why);
    r->ok = false;
    return false;
}

static bool anchor_add(struct yaml_reading *r, const yaml_char_t *name, const struct value *v, bool open,
                       struct place at)
{
    if (name == NULL)
        return true;
    for (size_t i = 0; i < r->n_anchors; i++)
        if (strcmp(r->anchors[i].name, (const char *)name) == 0)
            return refuse(r, at, "this anchor's name is taken by another one above");
    if (r->n_anchors == YAML_ANCHORS_MAX)
        return refuse(r, at, "more than 256 anchors in one file");
    if (r->anchors == NULL)
        r->anchors = arena_array(r->arena, YAML_ANCHORS_MAX, sizeof(r->anchors[0]));
    const char *copy = arena_strdup(r->arena, (const char *)name);
    r->anchors[r->n_anchors++] = (struct anchor){.name = copy, .v = v, .open = open};
    return true;
}

static void anchor_close(struct yaml_reading *r, const struct value *v)
{
    for (size_t i = 0; i < r->n_anchors; i++)
        if (r->anchors[i].v == v)
            r->anchors[i].open = false;
}

static bool scalar_ok(struct yaml_reading *r, const struct value *v)
{
    const char *why = scalar_refused(v);
    if (why == NULL)
        return true;
    problem_at(r->problems, v->at, "%s: %s", v->text, why);
    return r->ok = false;
}

/* Keys are typed, too: `yes:` and `true:` are one key. */
static bool take_key(struct yaml_reading *r, struct frame *f, const struct value *v)
{
    if (v->kind != VALUE_SCALAR)
        return refuse(r, v->at, "a key must be text, not a map or list");
    bool sign = v->plain && (strcmp(v->text, "<<") == 0 || strcmp(v->text, "=") == 0);
    f->merge = sign && v->text[0] == '<';
    f->entry = (struct entry){.key = v->text, .at = v->at};
    if (sign || !v->plain)
        return true;
    if (!scalar_ok(r, v))
        return false;
    auto_buf struct buf text = BUF_INIT(1000000);
    f->entry.type = scalar_text(&text, v);
    if (f->entry.type == SCALAR_STR)
        return true;
    f->entry.raw = v->text;
    f->entry.key = arena_strdup(r->arena, buf_str(&text));
    return true;
}

static bool holds_map(const struct value *v)
{
    if (v->kind != VALUE_LIST)
        return v->kind == VALUE_MAP;
    for (size_t i = 0; i < v->n; i++)
        if (holds_map(v->items[i]))
            return true;
    return false;
}

static bool under_add(struct yaml_reading *r, struct frame *f, const struct value *from)
{
    if (from->kind != VALUE_MAP)
        return refuse(r, from->at, "'<<' wants a map or a list of maps");
    for (size_t i = 0; i < from->n; i++)
        r->aliased |= holds_map(from->entries[i].value);
    list_add(r->arena, f->under, from);
    return true;
}

/* Of a list Salt takes the last map first; of several `<<` in one map the first. */
static bool take_merge(struct yaml_reading *r, struct frame *f, const struct value *v)
{
    if (f->under == NULL)
        f->under = value_list(r->arena, v->at);
    if (v->kind != VALUE_LIST)
        return under_add(r, f, v);
    for (size_t i = v->n; i > 0; i--)
        if (!under_add(r, f, v->items[i - 1]))
            return false;
    return true;
}

static bool refuse_twin(struct yaml_reading *r, const struct value *map, const struct entry *e)
{
    const struct entry *twin = key_twin(map, e);
    if (twin == NULL)
        return false;
    problem_at(
        r->problems, e->at,
        "key '%s' and key '%s' on line %d differ by their type alone: the one is another key or the same, "
        "depending on who reads them (quotes make both text)",
        e->key, twin->key, twin->at.line);
    r->ok = false;
    return true;
}

static bool take_entry(struct yaml_reading *r, struct frame *f, const struct value *v)
{
    struct entry e = f->entry;
    f->entry.key = NULL;
    if (f->merge)
        return take_merge(r, f, v);
    if (v->kind == VALUE_SCALAR && !scalar_ok(r, v))
        return false;
    if (refuse_twin(r, f->v, &e))
        return false;
    e.value = v;
    if (map_add_entry(r->arena, f->v, &e))
        return true;
    problem_at(r->problems, e.at, "duplicate key '%s' (first on line %d)", e.key,
               map_entry(f->v, e.key)->at.line);
    r->ok = false;
    return r->problems->dropped == 0; /* read on: there may be more mistakes */
}

static bool take(struct yaml_reading *r, const struct value *v)
{
    if (r->depth == 0) {
        r->root = v;
        return true;
    }
    struct frame *f = &r->stack[r->depth - 1];
    bool ok = true;
    if (f->v->kind == VALUE_MAP)
        ok = f->entry.key == NULL ? take_key(r, f, v) : take_entry(r, f, v);
    else if (v->kind == VALUE_SCALAR && !scalar_ok(r, v))
        return false;
    else
        list_add(r->arena, f->v, v);
    if (ok && f->v->weight + (f->under == NULL ? 0 : f->under->weight) > YAML_NODES_MAX)
        return refuse(r, v->at, "more than 100000 values (aliases counted where they stand)");
    return ok;
}

static bool open_frame(struct yaml_reading *r, struct value *v, const yaml_char_t *anchor)
{
    if (r->depth == YAML_DEPTH_MAX)
        return refuse(r, v->at, "nested deeper than 64 levels");
    r->stack[r->depth++] = (struct frame){.v = v, .anchored = anchor != NULL};
    return anchor_add(r, anchor, v, true, v->at);
}

/* The map's own key that is the same as e, or is written as e is though its type makes another key of it. */
static const struct entry *written_alike(const struct value *own, const struct entry *e)
{
    const struct entry *mine = map_entry(own, e->key);
    if (mine == NULL && e->raw != NULL)
        mine = map_entry(own, e->raw);
    bool typed = (own->key_types & ~(1u << SCALAR_STR)) != 0;
    for (size_t i = 0; typed && mine == NULL && e->raw == NULL && i < own->n; i++)
        if (own->entries[i].raw != NULL && strcmp(own->entries[i].raw, e->key) == 0)
            mine = &own->entries[i];
    return mine;
}

/* A key of the map itself hides the same key of a merged one. Salt compares what is written there: `0x1` does
 * not hide `1`, but `yes` hides `'yes'`. With keys that are no text nobody would guess what happens. */
static bool is_hidden(struct yaml_reading *r, const struct value *own, const struct entry *e)
{
    const struct entry *mine = written_alike(own, e);
    if (mine == NULL)
        return false;
    if (mine->type == SCALAR_STR && e->type == SCALAR_STR)
        return true;
    problem_at(
        r->problems, mine->at,
        "key '%s' stands in a map under '<<', too, and one of the two is no text (quotes make it text)",
        mine->raw == NULL ? mine->key : mine->raw);
    r->ok = false;
    return true;
}

static void merge_one(struct yaml_reading *r, struct value *into, const struct value *own,
                      const struct value *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct entry *e = &from->entries[i];
        if (is_hidden(r, own, e) || refuse_twin(r, own, e) || refuse_twin(r, into, e))
            continue;
        if (!map_add_entry(r->arena, into, e))
            problem_at(r->problems, e->at, "key '%s' is in two maps under one '<<'", e->key), r->ok = false;
    }
}

/* Explicit keys win over merged ones wherever they stand; merged ones come first, as in Salt. */
static void settle_merge(struct yaml_reading *r, struct frame *f)
{
    if (f->under == NULL)
        return;
    struct value own = *f->v;
    *f->v = (struct value){.kind = VALUE_MAP, .at = own.at, .weight = 1};
    for (size_t i = 0; i < f->under->n; i++)
        merge_one(r, f->v, &own, f->under->items[i]);
    for (size_t i = 0; i < own.n; i++)
        (void)map_add_entry(r->arena, f->v, &own.entries[i]);
}

static bool close_frame(struct yaml_reading *r)
{
    struct frame *f = &r->stack[--r->depth];
    settle_merge(r, f);
    if (f->anchored)
        anchor_close(r, f->v);
    return (r->ok || f->under == NULL) && take(r, f->v);
}

/* !!str makes text of what it stands before; the others must say what YAML would have said without them. */
static bool tag_ok(struct yaml_reading *r, const char *tag, struct value *v)
{
    static const struct {
        const char *tag;
        enum scalar_type types[2];
    } known[] = {
        {"tag:yaml.org,2002:str", {SCALAR_STR, SCALAR_STR}},
        {"tag:yaml.org,2002:int", {SCALAR_INT, SCALAR_BIG}},
        {"tag:yaml.org,2002:float", {SCALAR_FLOAT, SCALAR_FLOAT}},
        {"tag:yaml.org,2002:bool", {SCALAR_BOOL, SCALAR_BOOL}},
        {"tag:yaml.org,2002:null", {SCALAR_NULL, SCALAR_NULL}},
    };
    int64_t i;
    double f;
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        if (strcmp(tag, known[k].tag) != 0)
            continue;
        v->plain = k > 0;
        enum scalar_type type = scalar_type(v, &i, &f);
        if (type == known[k].types[0] || type == known[k].types[1])
            return true;
        problem_at(r->problems, v->at, "'%s' is not what its tag '!!%s' says", v->text,
                   tag + strlen("tag:yaml.org,2002:"));
        return r->ok = false;
    }
    problem_at(r->problems, v->at, "tag '%s' is not supported", tag);
    return r->ok = false;
}

static bool on_scalar(struct yaml_reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    const char *text = (const char *)ev->data.scalar.value;
    if (strlen(text) != ev->data.scalar.length)
        return refuse(r, at, "a NUL byte in a value");
    const char *tag = (const char *)ev->data.scalar.tag;
    struct value *v = value_scalar(r->arena, at, arena_strndup(r->arena, text, ev->data.scalar.length));
    v->plain = ev->data.scalar.plain_implicit;
    return (tag == NULL || tag_ok(r, tag, v)) && anchor_add(r, ev->data.scalar.anchor, v, false, at) &&
           take(r, v);
}

static bool on_alias(struct yaml_reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    const char *name = (const char *)ev->data.alias.anchor;
    for (size_t i = r->n_anchors; i > 0; i--) {
        const struct anchor *a = &r->anchors[i - 1];
        if (strcmp(a->name, name) != 0)
            continue;
        if (a->open)
            return refuse(r, at, "an alias that contains itself");
        const struct frame *f = r->depth == 0 ? NULL : &r->stack[r->depth - 1];
        r->aliased |=
            holds_map(a->v) && !(f != NULL && f->v->kind == VALUE_MAP && f->merge && f->entry.key != NULL);
        return take(r, a->v);
    }
    problem_at(r->problems, at, "unknown alias '*%s' (a '*' in a value needs quotes)", name);
    return r->ok = false;
}

static bool on_collection_tag(struct yaml_reading *r, const yaml_char_t *tag, const char *wanted,
                              struct place at)
{
    if (tag == NULL || strcmp((const char *)tag, wanted) == 0)
        return true;
    problem_at(r->problems, at, "tag '%s' is not supported", (const char *)tag);
    return r->ok = false;
}

static bool on_event(struct yaml_reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->n_documents++ == 0 ? true : refuse(r, at, "a second document in one file");
    case YAML_ALIAS_EVENT: return on_alias(r, ev);
    case YAML_SCALAR_EVENT: return on_scalar(r, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_collection_tag(r, ev->data.sequence_start.tag, "tag:yaml.org,2002:seq", at) &&
               open_frame(r, value_list(r->arena, at), ev->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_collection_tag(r, ev->data.mapping_start.tag, "tag:yaml.org,2002:map", at) &&
               open_frame(r, value_map(r->arena, at), ev->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_frame(r);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    }
    return true;
}

static bool syntax_error(struct yaml_reading *r, const yaml_parser_t *parser)
{
    const yaml_mark_t *mark = &parser->problem_mark;
    yaml_mark_t none = {0};
    if (parser->error == YAML_READER_ERROR)
        mark = &none;
    struct place at = place_of(r, *mark);
    const char *context = parser->context == NULL ? "" : parser->context;
    problem_at(r->problems, at, "not YAML: %s%s%s", context, *context == '\0' ? "" : ": ",
               parser->problem == NULL ? "out of memory" : parser->problem);
    return r->ok = false;
}

/* Directives are re-checked against each other by libyaml one by one: a megabyte of them would take minutes.
 */
static bool few_directives(struct yaml_reading *r, const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '%' && (i == 0 || text[i - 1] == '\n') && ++count > 4)
            return refuse(r, (struct place){.file = r->file},
                          "more than 4 lines begin with '%' (YAML directives)");
    return true;
}

static void parse_events(struct yaml_reading *r, const char *text, size_t n)
{
    yaml_parser_t parser;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    for (bool more = true; more;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&parser, &ev)) {
            more = syntax_error(r, &parser);
            continue;
        }
        more = on_event(r, &ev) && ev.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
}

bool yaml_read(struct arena *a, const char *file, const char *text, size_t n, const struct value **ret,
               struct problems *problems)
{
    struct yaml_reading r = {.arena = a, .problems = problems, .file = file, .ok = true};
    struct place start = {.file = file};
    if (n > YAML_BYTES_MAX)
        return refuse(&r, start, "larger than 1 MiB");
    const char *nul = memchr(text, '\0', n);
    if (nul != NULL)
        return refuse(&r, start, "a NUL byte in the file (only UTF-8 text is read)");
    if (n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return refuse(&r, start, "UTF-16 (only UTF-8 text is read)");
    if (!few_directives(&r, text, n))
        return false;
    parse_events(&r, text, n);
    if (!r.ok)
        return false;
    start.line = start.col = 1;
    if (value_is_null(r.root))
        r.root = value_map(a, start);
    if (r.root->kind != VALUE_MAP)
        return refuse(&r, r.root->at, "the file must hold a map of keys");
    struct value *root = arena_alloc(a, sizeof(*root));
    *root = *r.root;
    root->aliased = r.aliased;
    *ret = root;
    return true;
}
