/* SPDX-License-Identifier: MIT */
/* Private key files: what libssh2 1.10 can use, told before it fails with words that help nobody ("Callback
 * returned error" for a cipher it does not know, "Username/PublicKey combination invalid" for any RSA key).
 */
#include "drivers/transport/ssh/ssh_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define KEY_FILE_MAX (64u * 1024u)

/* One length-prefixed string of the SSH wire format. */
static bool wire_string(const unsigned char **p, size_t *n, const unsigned char **ret, size_t *ret_n)
{
    if (*n < 4)
        return false;
    size_t len = (size_t)(*p)[0] << 24 | (size_t)(*p)[1] << 16 | (size_t)(*p)[2] << 8 | (*p)[3];
    if (len > *n - 4)
        return false;
    *ret = *p + 4;
    *ret_n = len;
    *p += 4 + len;
    *n -= 4 + len;
    return true;
}

static bool word_is(const unsigned char *p, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(p, text, n) == 0;
}

static void blob_judge(struct key_file *k, const unsigned char *blob, size_t n, struct arena *arena)
{
    const unsigned char *p = blob, *type;
    size_t left = n, n_type;
    k->blob = blob;
    k->blob_len = n;
    if (!wire_string(&p, &left, &type, &n_type)) {
        k->kind = KEY_BROKEN;
        k->why = "is damaged";
    } else if (word_is(type, n_type, "ssh-rsa")) {
        k->kind = KEY_UNABLE;
        k->why = "is an RSA key";
    } else if (!word_is(type, n_type, "ssh-ed25519") &&
               !(n_type > 10 && memcmp(type, "ecdsa-sha2", 10) == 0)) {
        k->kind = KEY_UNABLE;
        k->why = arena_printf(arena, "is of type %.*s", (int)(n_type < 60 ? n_type : 60), (const char *)type);
    }
}

/* openssh-key-v1: cipher, kdf, kdf options, number of keys, public key, private part. */
static void openssh_judge(struct key_file *k, const char *body, size_t n, struct arena *arena)
{
    static const char magic[] = "openssh-key-v1";
    char *text = arena_alloc(arena, n + 1);
    unsigned char *raw = arena_alloc(arena, n + 1);
    size_t n_text = 0;
    for (size_t i = 0; i < n; i++)
        if (body[i] != '\n' && body[i] != '\r' && body[i] != ' ')
            text[n_text++] = body[i];
    int len = base64_decode(text, n_text, raw);
    const unsigned char *p = raw + sizeof(magic), *cipher, *kdf, *options, *blob;
    size_t n_cipher, n_kdf, n_options, n_blob,
        left = len > (int)sizeof(magic) ? (size_t)len - sizeof(magic) : 0;
    k->kind = KEY_BROKEN;
    k->why = "is damaged";
    if (left == 0 || memcmp(raw, magic, sizeof(magic)) != 0 || !wire_string(&p, &left, &cipher, &n_cipher) ||
        !wire_string(&p, &left, &kdf, &n_kdf) || !wire_string(&p, &left, &options, &n_options) || left < 4)
        return;
    p += 4;
    left -= 4;
    if (!wire_string(&p, &left, &blob, &n_blob))
        return;
    k->kind = word_is(cipher, n_cipher, "none") ? KEY_GOOD : KEY_ENCRYPTED;
    k->why = k->kind == KEY_ENCRYPTED ? "is encrypted" : NULL;
    blob_judge(k, blob, n_blob, arena);
}

/* "ssh-ed25519 AAAA... comment": the blob, for finding the private half in the agent. */
static bool public_judge(struct key_file *k, const char *text, struct arena *arena)
{
    size_t n_type = strcspn(text, " \t\r\n"), skip = n_type + strspn(text + n_type, " \t"),
           n = strcspn(text + skip, " \t\r\n");
    unsigned char *blob = arena_alloc(arena, n + 1);
    int len = base64_decode(text + skip, n, blob);
    const unsigned char *p = blob, *type;
    size_t left = len > 0 ? (size_t)len : 0, n_inner;
    if (len <= 0 || !wire_string(&p, &left, &type, &n_inner) || n_inner != n_type ||
        memcmp(type, text, n_type) != 0)
        return false;
    k->blob = blob;
    k->blob_len = (size_t)len;
    return true;
}

struct key_file key_text_judge(char *text, size_t n, struct arena *arena)
{
    struct key_file k = {.kind = KEY_GOOD, .text = text, .len = n};
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----", end[] = "-----END OPENSSH";
    const char *body = strstr(text, begin), *stop = body ? strstr(body + sizeof(begin) - 1, end) : NULL;
    if (public_judge(&k, text, arena))
        k.kind = KEY_PUBLIC, k.why = "is a public key";
    else if (body && stop)
        openssh_judge(&k, body + sizeof(begin) - 1, (size_t)(stop - body) - sizeof(begin) + 1, arena);
    else if (strstr(text, "-----BEGIN RSA PRIVATE KEY"))
        k = (struct key_file){.kind = KEY_UNABLE, .why = "is an RSA key"};
    else if (strstr(text, "-----BEGIN DSA PRIVATE KEY"))
        k = (struct key_file){.kind = KEY_UNABLE, .why = "is a DSA key"};
    else if (strstr(text, "ENCRYPTED"))
        k = (struct key_file){.kind = KEY_ENCRYPTED, .why = "is encrypted"};
    else if (!strstr(text, "-----BEGIN EC PRIVATE KEY") && !strstr(text, "-----BEGIN PRIVATE KEY"))
        k = (struct key_file){.kind = KEY_BROKEN, .why = "is not a private key"};
    else if (strstr(text, "-----BEGIN PRIVATE KEY") && n > 1200)
        /* PKCS8 does not say its type in plain words; EC and Ed25519 keys are short, RSA's are not. */
        k = (struct key_file){.kind = KEY_UNABLE, .why = "is an RSA key"};
    return k;
}

/* The whole file, NUL-terminated, or NULL: *ret_why says why not, errno too. */
static char *text_read(const char *path, struct arena *arena, size_t *ret_n, bool *ret_open)
{
    auto_close_file FILE *f = fopen(path, "re");
    struct stat st;
    if (!f)
        return NULL;
    /* ssh's own rule: a key of ours that others may read is no secret any more. */
    *ret_open = fstat(fileno(f), &st) == 0 && st.st_uid == getuid() && (st.st_mode & 077) != 0;
    char *text = arena_alloc(arena, KEY_FILE_MAX + 1);
    *ret_n = fread(text, 1, KEY_FILE_MAX, f);
    errno = 0;
    return ferror(f) || strlen(text) != *ret_n ? NULL : text;
}

/* A private key that does not tell its public half, or is not there at all, may have it beside it in
 * FILE.pub, as ssh-keygen writes it. */
static void public_beside(struct key_file *k, const char *path, struct arena *arena)
{
    size_t n;
    bool open;
    char *text = text_read(arena_printf(arena, "%s.pub", path), arena, &n, &open);
    if (text)
        public_judge(k, text, arena);
}

struct key_file key_file_read(const char *path, struct arena *arena)
{
    size_t n;
    bool open = false;
    char *text = text_read(path, arena, &n, &open);
    struct key_file k = {.kind = KEY_BROKEN, .why = "is not a private key"};
    if (!text && errno == ENOENT)
        k = (struct key_file){.kind = KEY_MISSING, .why = "does not exist"};
    else if (!text && errno != 0)
        k.why = arena_strdup(arena, strerror(errno));
    else if (text)
        k = key_text_judge(text, n, arena);
    if (open && k.kind != KEY_PUBLIC)
        k = (struct key_file){.kind = KEY_BROKEN, .why = "may be read by others (wanted: mode 0600)"};
    if (!k.blob)
        public_beside(&k, path, arena);
    return k;
}
