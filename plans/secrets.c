/* SPDX-License-Identifier: MIT */
/* Secrets: read when a release starts, handed to ops, never stored. The plan holds only where each one is. */
#include "plans/pillar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/child.h"
#include "base/str.h"

#include "plans/schema.h"

#define SECRET_BYTES_MAX 65536

struct secrets {
    size_t n, n_values;
    char **references;
    char **values;           /* beside references; NULL = not known any more */
    const char **redactable; /* values, NULL-terminated */
};

static void wipe(char *s)
{
    if (s != NULL)
        explicit_bzero(s, strlen(s));
    free(s);
}

void secrets_free(struct secrets *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        wipe(s->values[i]);
        free(s->references[i]);
    }
    free(s->references);
    free(s->values);
    free(s->redactable);
    free(s);
}

static bool private_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(err, E_CONFIG, "secret %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, E_CONFIG, "secret %s: not a regular file", path);
    if (st.st_mode & 077)
        return err_set(err, E_CONFIG,
                       "secret %s: mode %04o lets others read it (wanted: 0600); 'chmod 600 %s' repairs it",
                       path, (unsigned)(st.st_mode & 07777), path);
    return true;
}

/* The trailing newline that every editor leaves is not part of the secret. */
static bool read_file(const char *path, char **ret, struct err *err)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, E_CONFIG, "secret %s", path);
    if (!private_file(fd, path, err))
        return false;
    char *text = *ret = xcalloc(1, SECRET_BYTES_MAX + 2);
    size_t n = 0;
    ssize_t got = 1;
    while (n <= SECRET_BYTES_MAX && (got = read(fd, text + n, SECRET_BYTES_MAX + 1 - n)) > 0)
        n += (size_t)got;
    if (got < 0)
        return err_errno(err, E_CONFIG, "secret %s", path);
    if (n > SECRET_BYTES_MAX)
        return err_set(err, E_CONFIG, "secret %s: more than %d KiB", path, SECRET_BYTES_MAX / 1024);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = '\0';
    if (n > 0 && strlen(text) == n)
        return true;
    return err_set(err, E_CONFIG, "secret %s: %s", path, n == 0 ? "the file is empty" : "a NUL byte in it");
}

bool secret_is_reference(const char *text)
{
    static const char *const prefixes[] = {"file:", "env:", "cmd:"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (str_starts(text, prefixes[i]) && text[strlen(prefixes[i])] != '\0')
            return true;
    return false;
}

#define SECRET_CMD_MS 60000

/* A password store's command. What it prints on stderr is its own words to a person, so it may be shown. */
static bool read_cmd(const char *command, char **ret, struct err *err)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    auto_buf struct buf said = BUF_INIT(CHILD_STDERR_MAX);
    struct buf out = BUF_INIT(SECRET_BYTES_MAX);
    bool ok = child_run(&(struct child_req){.argv = argv, .timeout_ms = SECRET_CMD_MS}, &out, &said, err);
    while (ok && out.len > 0 && (out.data[out.len - 1] == '\n' || out.data[out.len - 1] == '\r'))
        out.data[--out.len] = '\0';
    *ret = ok ? xstrdup(buf_str(&out)) : NULL;
    bool whole = ok && out.len > 0 && strlen(*ret) == out.len;
    if (out.data != NULL)
        explicit_bzero(out.data, out.len);
    buf_fini(&out);
    if (!ok)
        return err_wrap(err, "secret cmd:%s: %s", command, buf_str(&said));
    return whole ||
           err_set(err, E_CONFIG, "secret cmd:%s: it printed %s", command, **ret ? "a NUL byte" : "nothing");
}

static bool read_one(const char *reference, const struct pillar *pillar, char **ret, struct err *err)
{
    if (str_starts(reference, "file:")) {
        auto_arena struct arena a = {.head = NULL};
        return read_file(home_expanded(&a, reference + 5), ret, err);
    }
    if (str_starts(reference, "cmd:"))
        return read_cmd(reference + 4, ret, err);
    if (str_starts(reference, "env:")) {
        const char *value = getenv(reference + 4);
        if (value == NULL || *value == '\0')
            return err_set(err, E_CONFIG, "secret %s: the environment has no such variable", reference);
        *ret = xstrdup(value);
        return true;
    }
    /* A webhook that the pillar no longer has is not worth stopping a resume for. */
    const struct value *v =
        pillar == NULL || !str_starts(reference, "pillar:") ? NULL : pillar_get(pillar, reference + 7);
    *ret = v != NULL && v->kind == VALUE_SCALAR ? xstrdup(v->text) : NULL;
    return true;
}

bool secrets_load(const struct plan *plan, const struct pillar *pillar_or_null, struct secrets **ret,
                  struct err *err)
{
    struct secrets *s = xcalloc(1, sizeof(*s));
    s->references = xcalloc(plan->n_secrets + 1, sizeof(*s->references));
    s->values = xcalloc(plan->n_secrets + 1, sizeof(*s->values));
    s->redactable = xcalloc(plan->n_secrets + 1, sizeof(*s->redactable));
    for (size_t i = 0; i < plan->n_secrets; i++) {
        s->references[i] = xstrdup(plan->secrets[i].name);
        s->n++;
        if (!read_one(s->references[i], pillar_or_null, &s->values[i], err)) {
            secrets_free(s);
            return false;
        }
        if (s->values[i] != NULL)
            s->redactable[s->n_values++] = s->values[i];
    }
    *ret = s;
    return true;
}

const char *secrets_get(const struct secrets *s, const char *reference)
{
    for (size_t i = 0; s != NULL && i < s->n; i++)
        if (strcmp(s->references[i], reference) == 0)
            return s->values[i];
    return NULL;
}

const char *const *secrets_values(const struct secrets *s)
{
    return s->redactable;
}
