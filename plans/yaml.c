/* libyaml events -> value tree, with the limits that make hostile input cheap (PROMISES S5): 1 MiB a file,
 * depth 64 counted on events (libyaml is quadratic on nested '['; we stop before it burns time), 100,000
 * values with every alias counted where it stands, 256 anchors, no self-reference, no NUL, no duplicate key,
 * one document. */
#include "plans/value.h"

#include <string.h>
#include <yaml.h>

struct frame {
    struct value *v;
    const char *key; /* map: waiting for its value */
    struct place key_at;
    bool merge;                /* the key was << */
    const struct value *under; /* what << named */
    bool anchored;
};

struct anchor {
    const char *name;
    const struct value *v;
    bool open; /* still being read: naming it is a self-reference */
};

struct reading {
    struct arena *arena;
    struct problems *problems;
    const char *file;
    struct frame stack[YAML_DEPTH_MAX];
    size_t depth;
    struct anchor *anchors;
    size_t n_anchors;
    const struct value *root;
    size_t n_documents;
    bool ok;
};

static struct place place_of(const struct reading *r, yaml_mark_t mark)
{
    return (struct place){.file = r->file, .line = (int)mark.line + 1, .col = (int)mark.column + 1};
}

/* Ends the reading: what follows would only repeat the mistake. */
static bool refuse(struct reading *r, struct place at, const char *why)
{
    problem_at(r->problems, at, "%s", why);
    r->ok = false;
    return false;
}

static bool anchor_add(struct reading *r, const yaml_char_t *name, const struct value *v, bool open,
                       struct place at)
{
    if (name == NULL)
        return true;
    if (r->n_anchors == YAML_ANCHORS_MAX)
        return refuse(r, at, "more than 256 anchors in one file");
    if (r->anchors == NULL)
        r->anchors = arena_array(r->arena, YAML_ANCHORS_MAX, sizeof(r->anchors[0]));
    const char *copy = arena_strdup(r->arena, (const char *)name);
    r->anchors[r->n_anchors++] = (struct anchor){.name = copy, .v = v, .open = open};
    return true;
}

static void anchor_close(struct reading *r, const struct value *v)
{
    for (size_t i = 0; i < r->n_anchors; i++)
        if (r->anchors[i].v == v)
            r->anchors[i].open = false;
}

static bool is_scalar_key(struct reading *r, const struct value *v)
{
    return v->kind == VALUE_SCALAR ? true : refuse(r, v->at, "a key must be text, not a map or list");
}

static bool take_key(struct reading *r, struct frame *f, const struct value *v)
{
    if (!is_scalar_key(r, v))
        return false;
    f->key = v->text;
    f->key_at = v->at;
    f->merge = v->plain && strcmp(v->text, "<<") == 0;
    return true;
}

static bool merge_one(struct reading *r, struct value *into, const struct value *from)
{
    if (from->kind != VALUE_MAP)
        return refuse(r, from->at, "'<<' wants a map or a list of maps");
    for (size_t i = 0; i < from->n; i++) {
        const struct entry *e = &from->entries[i];
        if (!map_add(r->arena, into, e->key, e->at, e->value))
            problem_at(r->problems, e->at, "key '%s' is in two maps under one '<<'", e->key), r->ok = false;
    }
    return true;
}

static bool take_merge(struct reading *r, struct frame *f, const struct value *v)
{
    if (f->under != NULL)
        return refuse(r, f->key_at, "duplicate key '<<'");
    struct value *under = value_map(r->arena, v->at);
    f->under = under;
    if (v->kind != VALUE_LIST)
        return merge_one(r, under, v);
    for (size_t i = 0; i < v->n; i++)
        if (!merge_one(r, under, v->items[i]))
            return false;
    return true;
}

static bool take_entry(struct reading *r, struct frame *f, const struct value *v)
{
    const char *key = f->key;
    f->key = NULL;
    if (f->merge)
        return take_merge(r, f, v);
    if (map_add(r->arena, f->v, key, f->key_at, v))
        return true;
    problem_at(r->problems, f->key_at, "duplicate key '%s' (first on line %d)", key,
               map_entry(f->v, key)->at.line);
    r->ok = false;
    return r->problems->dropped == 0; /* read on: there may be more mistakes */
}

static bool take(struct reading *r, const struct value *v)
{
    if (r->depth == 0) {
        r->root = v;
        return true;
    }
    struct frame *f = &r->stack[r->depth - 1];
    bool ok = true;
    if (f->v->kind == VALUE_LIST)
        list_add(r->arena, f->v, v);
    else if (f->key == NULL)
        ok = take_key(r, f, v);
    else
        ok = take_entry(r, f, v);
    if (ok && f->v->weight + (f->under == NULL ? 0 : f->under->weight) > YAML_NODES_MAX)
        return refuse(r, v->at, "more than 100000 values (aliases counted where they stand)");
    return ok;
}

static bool open_frame(struct reading *r, struct value *v, const yaml_char_t *anchor)
{
    if (r->depth == YAML_DEPTH_MAX)
        return refuse(r, v->at, "nested deeper than 64 levels");
    r->stack[r->depth++] = (struct frame){.v = v, .anchored = anchor != NULL};
    return anchor_add(r, anchor, v, true, v->at);
}

/* Explicit keys win over merged ones wherever they stand; merged ones come first, as in Salt. */
static void settle_merge(struct reading *r, struct frame *f)
{
    if (f->under == NULL)
        return;
    struct value own = *f->v;
    *f->v = (struct value){.kind = VALUE_MAP, .at = own.at, .weight = 1};
    for (size_t i = 0; i < f->under->n; i++) {
        const struct entry *e = &f->under->entries[i];
        if (map_entry(&own, e->key) == NULL)
            (void)map_add(r->arena, f->v, e->key, e->at, e->value);
    }
    for (size_t i = 0; i < own.n; i++)
        (void)map_add(r->arena, f->v, own.entries[i].key, own.entries[i].at, own.entries[i].value);
}

static bool close_frame(struct reading *r)
{
    struct frame *f = &r->stack[--r->depth];
    settle_merge(r, f);
    if (f->anchored)
        anchor_close(r, f->v);
    return take(r, f->v);
}

static bool known_tag(const char *tag, bool *ret_text)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    *ret_text = true;
    if (strcmp(tag, "!") == 0)
        return true;
    if (!str_starts(tag, prefix))
        return false;
    const char *name = tag + sizeof(prefix) - 1;
    *ret_text = strcmp(name, "str") == 0;
    return *ret_text || strcmp(name, "int") == 0 || strcmp(name, "float") == 0 || strcmp(name, "bool") == 0 ||
           strcmp(name, "null") == 0;
}

static bool on_scalar(struct reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    const char *text = (const char *)ev->data.scalar.value;
    bool as_text = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (strlen(text) != ev->data.scalar.length)
        return refuse(r, at, "a NUL byte in a value");
    const char *tag = (const char *)ev->data.scalar.tag;
    if (tag != NULL && !known_tag(tag, &as_text)) {
        problem_at(r->problems, at, "tag '%s' is not supported", tag);
        return r->ok = false;
    }
    struct value *v = value_scalar(r->arena, at, arena_strndup(r->arena, text, ev->data.scalar.length));
    v->plain = !as_text;
    return anchor_add(r, ev->data.scalar.anchor, v, false, at) && take(r, v);
}

static bool on_alias(struct reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    const char *name = (const char *)ev->data.alias.anchor;
    for (size_t i = r->n_anchors; i > 0; i--) {
        const struct anchor *a = &r->anchors[i - 1];
        if (strcmp(a->name, name) != 0)
            continue;
        if (a->open)
            return refuse(r, at, "an alias that contains itself");
        return take(r, a->v);
    }
    problem_at(r->problems, at, "unknown alias '*%s' (a '*' in a value needs quotes)", name);
    return r->ok = false;
}

static bool on_collection_tag(struct reading *r, const yaml_char_t *tag, struct place at)
{
    if (tag == NULL || str_starts((const char *)tag, "tag:yaml.org,2002:") ||
        strcmp((const char *)tag, "!") == 0)
        return true;
    problem_at(r->problems, at, "tag '%s' is not supported", (const char *)tag);
    return r->ok = false;
}

static bool on_event(struct reading *r, const yaml_event_t *ev)
{
    struct place at = place_of(r, ev->start_mark);
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->n_documents++ == 0 ? true : refuse(r, at, "a second document in one file");
    case YAML_ALIAS_EVENT: return on_alias(r, ev);
    case YAML_SCALAR_EVENT: return on_scalar(r, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_collection_tag(r, ev->data.sequence_start.tag, at) &&
               open_frame(r, value_list(r->arena, at), ev->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_collection_tag(r, ev->data.mapping_start.tag, at) &&
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

static bool syntax_error(struct reading *r, const yaml_parser_t *parser)
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
static bool few_directives(struct reading *r, const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '%' && (i == 0 || text[i - 1] == '\n') && ++count > 4)
            return refuse(r, (struct place){.file = r->file},
                          "more than 4 lines begin with '%' (YAML directives)");
    return true;
}

static void parse_events(struct reading *r, const char *text, size_t n)
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
    struct reading r = {.arena = a, .problems = problems, .file = file, .ok = true};
    struct place start = {.file = file};
    if (n > YAML_BYTES_MAX)
        return refuse(&r, start, "larger than 1 MiB");
    const char *nul = memchr(text, '\0', n);
    if (nul != NULL)
        return refuse(&r, start, "a NUL byte in the file (only UTF-8 text is read)");
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
    *ret = r.root;
    return true;
}
