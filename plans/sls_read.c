/* SPDX-License-Identifier: MIT */
/* One pillar file, read and rendered as Salt renders it, as far as plain YAML goes. What needs Jinja or
 * another renderer is refused by name, with the way to have it rendered: reading half of a template would
 * release the wrong thing. */
#include "plans/sls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define RENDER_ADVICE "let Salt itself render the pillar (release.yml: 'pillar: {renderer: salt}')"
#define PGP_BEGIN     "-----BEGIN PGP MESSAGE-----"

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

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Jinja sees its braces wherever they stand: in comments, which then act on the lines below, in quotes, in
 * block scalars. Whether what stands between them is harmless only Jinja knows. */
static bool find_jinja(const char *text, struct place *at, char *ret)
{
    const char *line = text;
    at->line = 1;
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '\n') {
            at->line++;
            line = s + 1;
        } else if (*s == '{' && s[1] != '\0' && strchr("{%#", s[1]) != NULL) {
            at->col = (int)(s - line) + 1;
            *ret = s[1];
            return true;
        }
    }
    return false;
}

static bool is_shebang(const char *line)
{
    return str_starts(line, "#!") && !str_starts(line, "#!/");
}

/* "#jinja2: {...}" in the first line, or behind the renderers, gives Jinja other braces. */
static bool has_own_braces(const char *text)
{
    const char *line = text;
    if (is_shebang(text)) {
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return str_starts(line, "#jinja2:");
}

static bool jinja_free(const char *path, const char *text, struct problems *problems)
{
    struct place at = {.file = path, .line = 1, .col = 1};
    char brace;
    if (has_own_braces(text)) {
        problem_at(problems, at,
                   "'#jinja2:' sets how Jinja reads this file, which is not done here; " RENDER_ADVICE);
        return false;
    }
    if (!find_jinja(text, &at, &brace))
        return true;
    problem_at(problems, at,
               "'{%c' is Jinja, in comments and quotes too, and Jinja is not read here; " RENDER_ADVICE
               ", or begin the file with '#!yaml' when these braces are meant as they stand",
               brace);
    return false;
}

struct renderers {
    bool jinja, yaml, gpg;
};

/* One name of a pipe like "jinja|yaml|gpg"; the order is that one. */
static bool renderer_take(struct renderers *r, const char *name, size_t n)
{
    bool *seen = n == 5 && memcmp(name, "jinja", 5) == 0  ? &r->jinja
                 : n == 4 && memcmp(name, "yaml", 4) == 0 ? &r->yaml
                 : n == 3 && memcmp(name, "gpg", 3) == 0  ? &r->gpg
                                                          : NULL;
    if (seen == NULL || *seen || r->gpg || (r->yaml && seen != &r->gpg) || (seen == &r->gpg && !r->yaml))
        return false;
    return *seen = true;
}

static bool renderers_parse(const char *path, const char *line, size_t n, struct renderers *ret,
                            struct problems *problems)
{
    struct place at = {.file = path, .line = 1, .col = 1};
    for (size_t i = 0; i <= n;) {
        size_t len = 0;
        while (i + len < n && line[i + len] != '|')
            len++;
        size_t from = i, end = i + len;
        while (from < end && (line[from] == ' ' || line[from] == '\t'))
            from++;
        while (end > from && strchr(" \t\r", line[end - 1]) != NULL)
            end--;
        if (!renderer_take(ret, line + from, end - from)) {
            problem_at(problems, at,
                       "renderer '%.*s' is not supported here (wanted: yaml, jinja|yaml, yaml|gpg or "
                       "jinja|yaml|gpg); " RENDER_ADVICE,
                       (int)(end - from), line + from);
            return false;
        }
        i += len + 1;
    }
    if (!ret->yaml)
        problem_at(problems, at, "the renderers end without yaml (wanted: yaml or jinja|yaml)");
    return ret->yaml;
}

/* Salt renders a file without a first line as jinja|yaml; .yml, .yaml and .json are ours and mean what they
 * say. */
static bool plain_enough(const char *path, const char *text, struct renderers *ret, struct problems *problems)
{
    *ret = (struct renderers){.jinja = has_suffix(path, ".sls")};
    if (is_shebang(text)) {
        *ret = (struct renderers){.jinja = false};
        if (!renderers_parse(path, text + 2, strcspn(text + 2, "\n"), ret, problems))
            return false;
    }
    return !ret->jinja || jinja_free(path, text, problems);
}

/* Where no value is encrypted the renderer gpg changes nothing. */
static bool gpg_free(const struct value *v, struct problems *problems)
{
    if (v->kind == VALUE_SCALAR && strstr(v->text, PGP_BEGIN) != NULL) {
        problem_at(problems, v->at, "encrypted with PGP, which is not decrypted here; " RENDER_ADVICE);
        return false;
    }
    for (size_t i = 0; v->kind != VALUE_SCALAR && i < v->n; i++)
        if (!gpg_free(v->kind == VALUE_MAP ? v->entries[i].value : v->items[i], problems))
            return false;
    return true;
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
    struct renderers renderers;
    const char *file = arena_strdup(a, path);
    char *text = config_read(a, file, YAML_BYTES_MAX, &n, problems);
    if (text == NULL || !plain_enough(file, text, &renderers, problems))
        return NULL;
    bool json =
        !has_suffix(file, ".sls") && (has_suffix(file, ".json") || text[strspn(text, " \t\r\n")] == '{');
    if (json)
        n = join_surrogates(text, n);
    if (!yaml_read(a, file, text, n, &v, problems) || (renderers.gpg && !gpg_free(v, problems)))
        return NULL;
    return json ? without_local(v) : v;
}
