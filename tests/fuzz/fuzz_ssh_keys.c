/* SPDX-License-Identifier: MIT */
/* Private key files, and what an agent's socket answers. First byte: which. */
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/transport/ssh/ssh_priv.h"
#include "fuzz.h"

static void agent_input(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    int ends[2];
    if (n > 60000)
        return;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    must(write(ends[1], data, n) == (ssize_t)n);
    must(shutdown(ends[1], SHUT_WR) == 0);
    struct op *op = fuzz_op(NULL, (struct op_sink){0});
    struct agent agent = {.fd = ends[0], .op = op};
    struct agent_key *keys = NULL;
    size_t n_keys = 0;
    if (agent_list(&agent, &arena, &keys, &n_keys))
        for (size_t i = 0; i < n_keys; i++)
            must(keys[i].type && keys[i].comment && key_fingerprint(keys[i].blob, keys[i].len, &arena));
    op_free(op);
    close(ends[0]);
    close(ends[1]);
}

static void file_input(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    char *text = malloc(n + 1);
    must(text != NULL);
    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    struct key_file key = key_text_judge(text, n, &arena);
    must(key.kind == KEY_GOOD || key.why != NULL);
    if (key.blob)
        must(key_fingerprint(key.blob, key.blob_len, &arena) != NULL);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (data[0] == 'a')
        agent_input(data + 1, n - 1);
    else
        file_input(data + 1, n - 1);
    return 0;
}
