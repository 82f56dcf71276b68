/* SPDX-License-Identifier: MIT */
/* known_hosts, read by ourselves: libssh2's reader lets revoked keys match, knows no wildcards, falls back
 * from
 * "[host]:port" to the plain name, and loses the whole file over one bad line (docs/protocols.md#ssh). */
#include "drivers/transport/ssh/ssh_priv.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

#define FILE_MAX (8u * 1024u * 1024u)

int base64_decode(const char *text, size_t n, unsigned char *out)
{
    /* OpenSSL also takes a '=' in the middle, for an 'A': a damaged line would be read as another key. */
    const char *pad = n ? memchr(text, '=', n) : NULL;
    if (n == 0 || n % 4 != 0 || n > INT32_MAX || (pad && pad < text + n - 2) ||
        (pad == text + n - 2 && text[n - 1] != '='))
        return -1;
    int len = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    if (len < 0)
        return -1;
    for (size_t i = n; i > n - 2 && text[i - 1] == '='; i--)
        len--;
    return len;
}

const char *key_fingerprint(const unsigned char *blob, size_t len, struct arena *arena)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], text[48];
    SHA256(blob, len, digest);
    int n = EVP_EncodeBlock(text, digest, sizeof(digest));
    while (n > 0 && text[n - 1] == '=')
        n--;
    return arena_printf(arena, "SHA256:%.*s", n, (const char *)text);
}

const char *known_hosts_name(const struct ssh_settings *s, struct arena *arena)
{
    char *name = s->alias        ? arena_strdup(arena, s->alias)
                 : s->port == 22 ? arena_strdup(arena, s->host)
                                 : arena_printf(arena, "[%s]:%d", s->host, s->port);
    for (char *p = name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return name;
}

/* ---- does a line name the host?
 * ----------------------------------------------------------------------------------- */

/* '*' and '?', without recursion: a hostile file must not cost exponential time. */
static bool wild_match(const char *pattern, size_t n, const char *name)
{
    size_t p = 0, star = SIZE_MAX;
    const char *s = name, *mark = NULL;
    while (*s) {
        if (p < n && pattern[p] == '*') {
            star = p++;
            mark = s;
        } else if (p < n && (pattern[p] == '?' || tolower((unsigned char)pattern[p]) == *s)) {
            p++;
            s++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            s = ++mark;
        } else {
            return false;
        }
    }
    while (p < n && pattern[p] == '*')
        p++;
    return p == n;
}

/* |1|SALT|HASH: HMAC-SHA1 of the name. */
static bool hash_match(const char *text, size_t n, const char *name)
{
    unsigned char salt[64], want[64], is[EVP_MAX_MD_SIZE];
    unsigned int is_len = 0;
    const char *bar = n > 3 ? memchr(text + 3, '|', n - 3) : NULL;
    if (!bar || n > 100)
        return false;
    int n_salt = base64_decode(text + 3, (size_t)(bar - text - 3), salt);
    int n_want = base64_decode(bar + 1, n - (size_t)(bar - text) - 1, want);
    if (n_salt <= 0 || n_want != SHA_DIGEST_LENGTH)
        return false;
    HMAC(EVP_sha1(), salt, n_salt, (const unsigned char *)name, strlen(name), is, &is_len);
    return is_len == (unsigned)n_want && memcmp(is, want, is_len) == 0;
}

/* A negated pattern that matches takes the whole line away. */
static bool hosts_match(const char *list, size_t n, const char *name)
{
    bool match = false;
    while (n) {
        const char *comma = memchr(list, ',', n);
        size_t len = comma ? (size_t)(comma - list) : n;
        bool negated = len > 0 && list[0] == '!';
        const char *p = list + negated;
        size_t n_p = len - negated;
        bool hit = n_p > 3 && strncmp(p, "|1|", 3) == 0 ? hash_match(p, n_p, name) : wild_match(p, n_p, name);
        if (hit && negated)
            return false;
        match |= hit;
        list += comma ? len + 1 : len;
        n -= comma ? len + 1 : len;
    }
    return match;
}

/* ---- lines
 * -------------------------------------------------------------------------------------------------------- */

struct host_word {
    const char *p;
    size_t n;
};

static struct host_word word_next(const char **p, const char *end)
{
    while (*p < end && (**p == ' ' || **p == '\t'))
        (*p)++;
    struct host_word w = {.p = *p};
    while (*p < end && **p != ' ' && **p != '\t')
        (*p)++;
    w.n = (size_t)(*p - w.p);
    return w;
}

static bool word_is(struct host_word w, const char *text)
{
    return w.n == strlen(text) && memcmp(w.p, text, w.n) == 0;
}

static bool key_decode(struct host_word type, struct host_word text, struct arena *arena,
                       struct known_key *ret)
{
    unsigned char *blob = arena_alloc(arena, text.n + 1);
    int len = base64_decode(text.p, text.n, blob);
    /* The blob begins with its own type: a line whose two halves disagree is damaged. */
    if (len < 4)
        return false;
    size_t inner = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
    if (inner != type.n || (size_t)len < 4 + inner || memcmp(blob + 4, type.p, type.n) != 0)
        return false;
    ret->type = arena_strndup(arena, type.p, type.n);
    ret->blob = blob;
    ret->len = (size_t)len;
    return true;
}

static void bad_line(struct known_hosts *k, struct arena *arena, const char *file, int line, const char *why)
{
    if (k->n_bad++ > 0)
        return;
    k->bad_where = arena_printf(arena, "%s:%d", file, line);
    k->bad_why = why;
}

/* One line of a file, from p to end. */
struct host_line {
    const char *file, *p, *end;
    int number;
};

static void line_parse(const struct host_line *line, const char *name, struct arena *arena,
                       struct known_hosts *k)
{
    const char *file = line->file, *p = line->p, *end = line->end;
    int number = line->number;
    struct host_word hosts = word_next(&p, end);
    struct known_key key = {.file = file, .line = number};
    if (hosts.n == 0 || hosts.p[0] == '#')
        return;
    if (hosts.p[0] == '@') {
        key.revoked = word_is(hosts, "@revoked");
        key.authority = word_is(hosts, "@cert-authority");
        if (!key.revoked && !key.authority) {
            bad_line(k, arena, file, number, "unknown marker");
            return;
        }
        hosts = word_next(&p, end);
    }
    struct host_word type = word_next(&p, end), text = word_next(&p, end);
    if (hosts.n == 0 || text.n == 0) {
        bad_line(k, arena, file, number, "needs host, key type and key");
        return;
    }
    if (!hosts_match(hosts.p, hosts.n, name))
        return;
    if (!key_decode(type, text, arena, &key)) {
        key.bad = true;
        bad_line(k, arena, file, number, "the key is damaged");
    }
    struct known_key *copy = arena_alloc(arena, sizeof(*copy)), **tail = &k->keys;
    *copy = key;
    while (*tail)
        tail = &(*tail)->next;
    *tail = copy;
}

void known_hosts_parse(const struct hosts_file *file, const char *name, struct arena *arena,
                       struct known_hosts *ret)
{
    const char *p = file->text, *end = file->text + file->n;
    for (int number = 1; p < end; number++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *stop = eol ? eol : end;
        const char *next = eol ? eol + 1 : end;
        if (stop > p && stop[-1] == '\r')
            stop--;
        line_parse(&(struct host_line){.file = file->name, .p = p, .end = stop, .number = number}, name,
                   arena, ret);
        p = next;
    }
}

void known_hosts_load(const char *const *files, const char *name, struct arena *arena,
                      struct known_hosts *ret)
{
    *ret = (struct known_hosts){0};
    for (; *files; files++) {
        auto_close_file FILE *f = fopen(*files, "re");
        if (!f)
            continue;
        auto_buf struct buf text = BUF_INIT(FILE_MAX);
        char piece[8192];
        size_t n;
        while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
            buf_add(&text, piece, n);
        ret->n_files++;
        if (text.cut) { /* what stands further down may revoke the key: nothing may pass beside it */
            struct known_key *unread = arena_alloc(arena, sizeof(*unread));
            *unread = (struct known_key){.next = ret->keys, .bad = true, .revoked = true, .file = *files};
            ret->keys = unread;
            ret->bad_where = *files;
            ret->bad_why = "is longer than 8 MiB";
            ret->n_bad++;
        }
        const struct hosts_file file = {.name = *files, .text = buf_str(&text), .n = text.len};
        known_hosts_parse(&file, name, arena, ret);
    }
}

/* ---- judging
 * ------------------------------------------------------------------------------------------------------ */

enum known known_hosts_check(const struct known_hosts *k, const unsigned char *blob, size_t len,
                             const struct known_key **ret_key)
{
    const struct known_key *match = NULL, *other = NULL, *authority = NULL, *bad = NULL;
    for (const struct known_key *key = k->keys; key; key = key->next) {
        bool same = !key->bad && key->len == len && memcmp(key->blob, blob, len) == 0;
        if (same && key->revoked) {
            *ret_key = key;
            return KNOWN_REVOKED;
        }
        if (key->bad)
            bad = bad ? bad : key;
        else if (key->authority)
            authority = authority ? authority : key;
        else if (same)
            match = match ? match : key;
        else if (!key->revoked)
            other = other ? other : key;
    }
    /* A damaged @revoked line for this host may have named this key: nothing may pass beside it. */
    for (const struct known_key *key = k->keys; key; key = key->next)
        if (key->bad && key->revoked) {
            *ret_key = key;
            return KNOWN_BAD;
        }
    *ret_key = match ? match : other ? other : bad ? bad : authority;
    return match       ? KNOWN_MATCH
           : other     ? KNOWN_CHANGED
           : bad       ? KNOWN_BAD
           : authority ? KNOWN_AUTHORITY
                       : KNOWN_MISSING;
}

char *known_hosts_types(const struct known_hosts *k, struct arena *arena)
{
    /* What libssh2 1.10 can verify against today's sshd, best first. */
    static const char *const able[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                       "ecdsa-sha2-nistp521"};
    auto_buf struct buf types = BUF_INIT(256);
    for (size_t i = 0; i < sizeof(able) / sizeof(able[0]); i++)
        for (const struct known_key *key = k->keys; key; key = key->next)
            if (!key->bad && !key->revoked && !key->authority && strcmp(key->type, able[i]) == 0) {
                buf_printf(&types, "%s%s", types.len ? "," : "", able[i]);
                break;
            }
    return types.len ? arena_strdup(arena, buf_str(&types)) : NULL;
}
