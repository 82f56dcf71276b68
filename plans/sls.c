/* Pillar files as Salt finds and renders them, as far as plain YAML goes. What needs Jinja or another
 * renderer is refused by name, with the command that renders it: reading half of a template would release the
 * wrong thing. */
#include "plans/sls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define RENDER_ADVICE "let Salt render it: salt-call --local pillar.items --out=json > pillar/ENV.json"

static bool mode_ok(const char *path, const struct stat *st, struct problems *problems)
{
    if (!S_ISREG(st->st_mode)) {
        problems_add(problems, "%s: not a regular file", path);
        return false;
    }
    if ((st->st_mode & 022) == 0)
        return true;
    problems_add(
        problems,
        "%s: mode %04o lets others change what a release does (wanted: no write for group and others); "
        "'chmod go-w %s' repairs it",
        path, (unsigned)(st->st_mode & 07777), path);
    return false;
}

/* Whoever may write the directory can put another file there. A sticky one (/tmp) keeps others' hands off
 * ours. */
static bool dir_ok(struct arena *a, const char *path, struct problems *problems)
{
    const char *slash = strrchr(path, '/');
    const char *dir = slash == NULL ? "." : arena_strndup(a, path, (size_t)(slash - path));
    struct stat st;
    if (slash == path || stat(dir, &st) != 0 || (st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX) != 0)
        return true;
    problems_add(problems,
                 "%s/: mode %04o lets others replace its files (wanted: no write for group and others); "
                 "'chmod go-w %s' repairs it",
                 dir, (unsigned)(st.st_mode & 07777), dir);
    return false;
}

char *config_read(struct arena *a, const char *path, size_t max, size_t *ret_n, struct problems *problems)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        problems_add(problems, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    if (!mode_ok(path, &st, problems) || !dir_ok(a, path, problems))
        return NULL;
    if ((uintmax_t)st.st_size > max) {
        problems_add(problems, "%s: larger than %zu MiB", path, max / (1024 * 1024));
        return NULL;
    }
    size_t size = (size_t)st.st_size, n = 0;
    char *text = arena_alloc(a, size + 1);
    while (n < size) {
        ssize_t got = read(fd, text + n, size - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return text;
}

/* Where a comment begins in a line, or its end. Good enough for the question "is this a template?". */
static size_t code_len(const char *line, size_t n)
{
    char quote = '\0';
    for (size_t i = 0; i < n; i++) {
        if (quote != '\0') {
            if (line[i] == quote)
                quote = '\0';
        } else if (line[i] == '"' || line[i] == '\'') {
            if (i == 0 || strchr(" \t[{,:(", line[i - 1]) != NULL)
                quote = line[i];
        } else if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
            return i;
        }
    }
    return n;
}

static bool find_jinja(const char *text, struct place *at)
{
    at->line = 1;
    for (const char *line = text; *line != '\0'; at->line++) {
        size_t n = strcspn(line, "\n"), code = code_len(line, n);
        for (size_t i = 0; i + 1 < code; i++)
            if (line[i] == '{' && strchr("{%#", line[i + 1]) != NULL) {
                at->col = (int)i + 1;
                return true;
            }
        line += n + (line[n] == '\n');
    }
    return false;
}

static bool jinja_free(const char *path, const char *text, struct problems *problems)
{
    struct place at = {.file = path};
    if (!find_jinja(text, &at))
        return true;
    problem_at(problems, at,
               "needs Jinja, which is not read here; " RENDER_ADVICE
               " (or begin the file with '#!yaml' when these braces are meant as they stand)");
    return false;
}

/* A renderer pipe like "jinja|yaml": only yaml, and jinja where nothing in the file needs it. */
static bool renderers_ok(const char *path, const char *line, size_t n, const char *text,
                         struct problems *problems)
{
    struct place at = {.file = path, .line = 1, .col = 1};
    bool jinja = false;
    size_t i = 0;
    while (i < n) {
        size_t len = 0;
        while (i + len < n && line[i + len] != '|')
            len++;
        size_t from = i, end = i + len;
        while (from < end && (line[from] == ' ' || line[from] == '\t'))
            from++;
        while (end > from && strchr(" \t\r", line[end - 1]) != NULL)
            end--;
        bool yaml = end - from == 4 && memcmp(line + from, "yaml", 4) == 0;
        bool is_jinja = end - from == 5 && memcmp(line + from, "jinja", 5) == 0;
        if (!yaml && !is_jinja) {
            problem_at(problems, at, "renderer '%.*s' is not supported (wanted: yaml); " RENDER_ADVICE,
                       (int)(end - from), line + from);
            return false;
        }
        jinja |= is_jinja;
        i += len + 1;
    }
    return !jinja || jinja_free(path, text, problems);
}

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Salt renders a file without a first line as jinja|yaml; .yml, .yaml and .json are ours and mean what they
 * say. */
static bool plain_enough(const char *path, const char *text, struct problems *problems)
{
    if (str_starts(text, "#!"))
        return renderers_ok(path, text + 2, strcspn(text + 2, "\n"), text, problems);
    return !has_suffix(path, ".sls") || jinja_free(path, text, problems);
}

/* JSON's surrogate pairs become the one character that YAML knows; other bytes stay where they are. */
static size_t join_surrogates(char *text, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        unsigned hi, lo;
        if (n - i < 12 || text[i] != '\\' || (i > 0 && text[i - 1] == '\\') ||
            sscanf(text + i, "\\u%4x\\u%4x", &hi, &lo) != 2 || hi < 0xd800 || hi > 0xdbff || lo < 0xdc00 ||
            lo > 0xdfff) {
            text[out++] = text[i++];
            continue;
        }
        unsigned c = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
        text[out++] = (char)(0xf0 | (c >> 18));
        text[out++] = (char)(0x80 | ((c >> 12) & 0x3f));
        text[out++] = (char)(0x80 | ((c >> 6) & 0x3f));
        text[out++] = (char)(0x80 | (c & 0x3f));
        i += 12;
    }
    text[out] = '\0';
    return out;
}

/* `salt-call --local pillar.items --out=json` puts everything under "local". */
static const struct value *without_local(const struct value *v)
{
    const struct value *local = v->n == 1 ? map_get(v, "local") : NULL;
    return local != NULL && local->kind == VALUE_MAP ? local : v;
}

const struct value *yaml_load_file(struct arena *a, const char *path, struct problems *problems)
{
    size_t n;
    const struct value *v;
    const char *file = arena_strdup(a, path);
    char *text = config_read(a, file, YAML_BYTES_MAX, &n, problems);
    if (text == NULL || !plain_enough(file, text, problems))
        return NULL;
    bool json = has_suffix(file, ".json") || text[strspn(text, " \t\r\n")] == '{';
    if (json)
        n = join_surrogates(text, n);
    if (!yaml_read(a, file, text, n, &v, problems))
        return NULL;
    return json ? without_local(v) : v;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static const char *dir_of(const struct sls_reader *r, size_t i)
{
    return i == 0 ? r->dir : r->more[i - 1];
}

const char *sls_dirs(const struct sls_reader *r)
{
    const char *text = arena_printf(r->arena, "%s/", r->dir);
    for (size_t i = 0; i < r->n_more; i++)
        text = arena_printf(r->arena, "%s, %s/", text, r->more[i]);
    return text;
}

/* As Salt looks: a/b.sls in every root, before a/b/init.sls in any. */
const char *sls_find_next(const struct sls_reader *r, const char *name, size_t *ret_from)
{
    static const char *const endings[] = {".sls",      ".yml",       ".yaml", "/init.sls",
                                          "/init.yml", "/init.yaml", ".json"};
    size_t n_dirs = r->n_more + 1, n = n_dirs * sizeof(endings) / sizeof(endings[0]);
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strstr(name, "..") != NULL)
        return NULL;
    char *path = arena_strdup(r->arena, name);
    for (char *c = path; *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    while (*ret_from < n) {
        size_t i = (*ret_from)++;
        const char *full =
            arena_printf(r->arena, "%s/%s%s", dir_of(r, i % n_dirs), path, endings[i / n_dirs]);
        if (is_file(full))
            return full;
    }
    return NULL;
}

const char *sls_find(const struct sls_reader *r, const char *name)
{
    size_t from = 0;
    return sls_find_next(r, name, &from);
}

/* How much of a file's path is the root it was found under. */
static size_t root_len(const struct sls_reader *r, const char *file)
{
    size_t len = 0;
    for (size_t i = 0; i <= r->n_more; i++) {
        size_t n = strlen(dir_of(r, i));
        if (n > len && strncmp(file, dir_of(r, i), n) == 0 && file[n] == '/')
            len = n;
    }
    return len;
}

/* ".x" in a/b.sls means a.x; each further dot goes one folder up. */
static const char *absolute_name(struct sls_reader *r, const char *name)
{
    if (name[0] != '.')
        return name;
    const char *file = r->chain[r->n_chain - 1];
    size_t skip = root_len(r, file) + 1;
    char *package = arena_strdup(r->arena, strlen(file) > skip ? file + skip : "");
    while (*name == '.') {
        char *slash = strrchr(package, '/');
        *(slash == NULL ? package : slash) = '\0';
        name++;
    }
    for (char *c = package; *c != '\0'; c++)
        if (*c == '/')
            *c = '.';
    return *package == '\0' ? name : arena_printf(r->arena, "%s.%s", package, name);
}

/* `key: a:b` puts what the file holds under a, b. */
static const struct value *under_key(struct arena *a, const struct value *v, const char *key, struct place at)
{
    const char *colon = strrchr(key, ':');
    struct value *map = value_map(a, at);
    (void)map_add(a, map, arena_strdup(a, colon == NULL ? key : colon + 1), at, v);
    return colon == NULL ? map : under_key(a, map, arena_strndup(a, key, (size_t)(colon - key)), at);
}

static const struct value *include_one(struct sls_reader *r, const struct value *item)
{
    const char *name = NULL, *key = NULL;
    if (item->kind == VALUE_SCALAR) {
        name = item->text;
    } else if (item->kind == VALUE_MAP && item->n == 1) {
        name = item->entries[0].key;
        const struct value *options = item->entries[0].value;
        const struct value *k = map_get(options, "key");
        key = k != NULL && k->kind == VALUE_SCALAR ? k->text : NULL;
        /* `defaults` are variables for templates; a file without Jinja has no use for them, in Salt as here.
         */
    } else {
        problem_at(r->problems, item->at, "include wants names, or {name: {key: a:b}}, not %s",
                   value_kind_text(item));
        return NULL;
    }
    const struct value *v = sls_load_named(r, absolute_name(r, name), item->at);
    return v == NULL || key == NULL ? v : under_key(r->arena, v, key, item->at);
}

/* The including file's own values are authoritative, whatever the place of `include:` in it. */
static const struct value *with_includes(struct sls_reader *r, const struct value *own)
{
    const struct value *include = map_get(own, "include");
    if (include == NULL)
        return own;
    if (include->kind != VALUE_LIST) {
        problem_at(r->problems, include->at, "include wants a list of names, not %s",
                   value_kind_text(include));
        return NULL;
    }
    const struct value *sum = NULL;
    bool ok = true;
    for (size_t i = 0; i < include->n; i++) {
        const struct value *v = include_one(r, include->items[i]);
        ok = ok && v != NULL;
        sum = v == NULL ? sum : value_merge(r->arena, sum, v);
    }
    struct value *rest = value_map(r->arena, own->at);
    for (size_t i = 0; i < own->n; i++)
        if (strcmp(own->entries[i].key, "include") != 0)
            (void)map_add(r->arena, rest, own->entries[i].key, own->entries[i].at, own->entries[i].value);
    return ok ? value_merge(r->arena, sum, rest) : NULL;
}

static bool may_enter(struct sls_reader *r, const char *path, struct place at)
{
    for (size_t i = 0; i < r->n_chain; i++)
        if (strcmp(r->chain[i], path) == 0) {
            problem_at(r->problems, at, "%s includes itself (through %s)", path, r->chain[r->n_chain - 1]);
            return false;
        }
    if (r->n_chain == SLS_CHAIN_MAX || r->n_files++ == SLS_FILES_MAX) {
        problem_at(r->problems, at, "too many files include each other (at most %d in a chain, %d in all)",
                   SLS_CHAIN_MAX, SLS_FILES_MAX);
        return false;
    }
    return true;
}

static const struct value *load_at(struct sls_reader *r, const char *path, struct place at)
{
    if (!may_enter(r, path, at))
        return NULL;
    const struct value *v = yaml_load_file(r->arena, path, r->problems);
    if (v == NULL)
        return NULL;
    r->chain[r->n_chain++] = path;
    v = with_includes(r, v);
    r->n_chain--;
    return v;
}

const struct value *sls_load(struct sls_reader *r, const char *path)
{
    return load_at(r, path, (struct place){.file = path});
}

const struct value *sls_load_named(struct sls_reader *r, const char *name, struct place at)
{
    const char *path = sls_find(r, name);
    if (path != NULL)
        return load_at(r, path, at);
    problem_at(r->problems, at, "no pillar file for '%s' under %s", name, sls_dirs(r));
    return NULL;
}
