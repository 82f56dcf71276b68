/* SPDX-License-Identifier: MIT */
/* Paths of the ssh configuration as OpenSSH reads them: `~`, tokens (%d, %h, %r ...), ${VARIABLE}; and the
 * line of `ssh -G` in which several files stand beside each other without quotes. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define PATH_BYTES_MAX 4096
#define WORDS_MAX      256

/* Of the account, whatever $HOME says: so does ssh. */
static const char *account_field(struct arena *arena, uid_t uid, const char *name, bool home)
{
    struct passwd pw, *found = NULL;
    char space[4096];
    int rc = name ? getpwnam_r(name, &pw, space, sizeof(space), &found)
                  : getpwuid_r(uid, &pw, space, sizeof(space), &found);
    return rc == 0 && found ? arena_strdup(arena, home ? pw.pw_dir : pw.pw_name) : NULL;
}

const char *ssh_home(struct arena *arena)
{
    const char *home = account_field(arena, getuid(), NULL, true);
    return home ? home : "/";
}

const char *ssh_local_user(struct arena *arena)
{
    const char *name = account_field(arena, getuid(), NULL, false);
    return name ? name : "root";
}

const char *ssh_tilde(struct arena *arena, const char *path)
{
    if (path[0] != '~')
        return arena_strdup(arena, path);
    size_t n = strcspn(path + 1, "/");
    const char *home =
        n == 0 ? ssh_home(arena) : account_field(arena, 0, arena_strndup(arena, path + 1, n), true);
    return home ? arena_printf(arena, "%s%s", home, path + 1 + n) : arena_strdup(arena, path);
}

/* ---- tokens
 * ------------------------------------------------------------------------------------------------------- */

/* NULL: a token that means nothing, or another thing in each version of ssh (%C, %j). */
static const char *token_value(struct arena *arena, const struct ssh_settings *s, char token)
{
    char host[256] = "";
    switch (token) {
    case '%': return "%";
    case 'd': return ssh_home(arena);
    case 'h': return s->host;
    case 'n': return s->asked;
    case 'k': return s->alias ? s->alias : s->asked;
    case 'p': return arena_printf(arena, "%d", s->port);
    case 'r': return s->user;
    case 'u': return ssh_local_user(arena);
    case 'i': return arena_printf(arena, "%u", (unsigned)getuid());
    case 'l':
    case 'L':
        if (gethostname(host, sizeof(host) - 1) < 0)
            return NULL;
        return arena_strndup(arena, host, token == 'l' ? strlen(host) : strcspn(host, "."));
    default: return NULL;
    }
}

static bool variable_add(struct arena *arena, struct buf *out, const char **p, struct err *err)
{
    size_t n = strcspn(*p + 2, "}");
    const char *name = arena_strndup(arena, *p + 2, n), *value = getenv(name);
    if ((*p)[2 + n] != '}')
        return err_set(err, E_CONFIG, "'${' without its '}'");
    if (!value)
        return err_set(err, E_CONFIG, "the environment has no variable %s", name);
    buf_puts(out, value);
    *p += n + 3;
    return true;
}

/* `tokens`: those that count here; "" = all of a path, and ${VARIABLE} besides. */
static const char *expand(struct arena *arena, const struct ssh_settings *s, const char *text,
                          const char *tokens, struct err *err)
{
    auto_buf struct buf out = BUF_INIT(PATH_BYTES_MAX);
    for (const char *p = text; *p;) {
        if (*tokens == '\0' && p[0] == '$' && p[1] == '{') {
            if (!variable_add(arena, &out, &p, err))
                return NULL;
        } else if (*p == '%') {
            const char *value =
                *tokens && (!p[1] || !strchr(tokens, p[1])) ? NULL : token_value(arena, s, p[1]);
            if (!value) {
                err_set(err, E_CONFIG, "the token %%%.1s is not known here", p + 1);
                return NULL;
            }
            buf_puts(&out, value);
            p += 2;
        } else {
            buf_add(&out, p++, 1);
        }
    }
    if (out.cut) {
        err_set(err, E_CONFIG, "it is longer than %d bytes", PATH_BYTES_MAX);
        return NULL;
    }
    return arena_strdup(arena, buf_str(&out));
}

const char *ssh_path_expand(struct arena *arena, const struct ssh_settings *s, const char *path,
                            struct err *err)
{
    return expand(arena, s, ssh_tilde(arena, path), "", err);
}

/* What goes into the user's own command must be one word of its shell, whatever the shell. */
static bool word_plain(const char *word)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@%+,=/-";
    return word && word[0] != '-' && word[strspn(word, chars)] == '\0';
}

const char *ssh_command_expand(struct arena *arena, const struct ssh_settings *s, const char *command,
                               struct err *err)
{
    const char *words[] = {s->host, s->asked, s->user, s->alias ? s->alias : s->asked};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!word_plain(words[i])) {
            err_set(err, E_CONFIG, "'%s' cannot go into a command", words[i] ? words[i] : "");
            return NULL;
        }
    return expand(arena, s, command, "%hnprk", err);
}

/* ---- several files in one line
 * ------------------------------------------------------------------------------------------ */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static const char *joined(struct arena *arena, char *const *words, size_t n)
{
    auto_buf struct buf out = BUF_INIT(PATH_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%s%s", i ? " " : "", words[i]);
    return ssh_tilde(arena, buf_str(&out));
}

/* How many of the words are the first path? The most that name a file; else all up to what begins a path of
 * its own. *ret_twice: fewer of them name one, too. */
static size_t path_words(struct arena *arena, char *const *words, size_t n, bool *ret_twice)
{
    size_t most = 0, files = 0, plain = 1;
    for (size_t i = 1; i <= n; i++)
        if (is_file(joined(arena, words, i))) {
            most = i;
            files++;
        }
    *ret_twice = files > 1;
    if (most)
        return most;
    while (plain < n && words[plain][0] != '/' && words[plain][0] != '~' && !is_file(words[plain]))
        plain++;
    return plain;
}

/* `ssh -G` prints `"/a b" /c` as `/a b /c`. */
bool ssh_files_split(struct ssh_settings *s, const char **files, char *text)
{
    char *words[WORDS_MAX];
    size_t n = 0, n_files = 0;
    bool clear = true;
    for (char *p = text; p && n < WORDS_MAX; n++) {
        words[n] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = '\0';
    }
    if (n == 1 && strcmp(words[0], "none") == 0)
        return true;
    while (files[n_files])
        n_files++;
    for (size_t i = 0; i < n && n_files < SSH_FILES_MAX;) {
        bool twice = false;
        size_t take = path_words(&s->arena, words + i, n - i, &twice);
        const char *path = joined(&s->arena, words + i, take);
        clear &= !twice;
        if (*path)
            files[n_files++] = path;
        i += take;
    }
    return clear;
}
