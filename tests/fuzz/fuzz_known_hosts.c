/* SPDX-License-Identifier: MIT */
/* known_hosts, read by ourselves (docs/promises.md#s6). First line of the input: the host's name; the rest:
 * the file. A match must stand in the file as base64, and one @revoked line for that very key must always
 * win, wherever it stands. */
#include "drivers/transport/ssh/ssh_priv.h"
#include "fuzz.h"

/* The blob of the fixed key that is asked for: type "ssh-ed25519", 32 bytes. */
static const char key_text[] = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
static const char revoked_line[] = "\n@revoked * ssh-ed25519 ";

static enum known ask(const char *file, size_t n, const char *name, struct arena *arena)
{
    unsigned char blob[64];
    struct known_hosts known = {0};
    const struct known_key *key = NULL;
    int len = base64_decode(key_text, sizeof(key_text) - 1, blob);
    must(len == 51);
    known_hosts_parse(&(struct hosts_file){.name = "known_hosts", .text = file, .n = n}, name, arena, &known);
    known_hosts_types(&known, arena);
    enum known verdict = known_hosts_check(&known, blob, (size_t)len, &key);
    must(verdict == KNOWN_MISSING || key != NULL);
    must(known.n_bad == 0 || (known.bad_where && known.bad_why));
    must(verdict != KNOWN_BAD || known.n_bad > 0);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    char *name = fuzz_part(&data, &n, '\n');
    char *file = malloc(n + 1);
    must(file != NULL);
    if (n)
        memcpy(file, data, n);
    enum known verdict = ask(file, n, name, &arena);
    must(verdict != KNOWN_MATCH || memmem(file, n, key_text, sizeof(key_text) - 1));
    auto_buf struct buf more = BUF_INIT(SIZE_MAX);
    buf_add(&more, file, n);
    buf_printf(&more, "%s%s\n", revoked_line, key_text);
    must(ask(buf_str(&more), more.len, name, &arena) == KNOWN_REVOKED);
    free(file);
    free(name);
    return 0;
}
