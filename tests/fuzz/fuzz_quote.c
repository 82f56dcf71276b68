/* SPDX-License-Identifier: MIT */
/* The only quoting function (docs/promises.md#s4): any words, quoted, come out of sh, dash and bash byte by
 * byte as they went in, and nothing else happens. One shell of each kind reads commands on its stdin for all
 * inputs.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"

#define WORDS_MAX 16
#define INPUT_MAX 4096
#define END_MARK  "\nend-of-words\n"

struct shell {
    const char *path, *locale;
    int to, from;
};
static struct shell shells[] = {{.path = "/bin/sh", .locale = "C"},
                                {.path = "/bin/dash", .locale = "C.UTF-8"},
                                {.path = "/bin/bash", .locale = "C.UTF-8"}};

static void shell_start(struct shell *s)
{
    int in[2], out[2];
    must(pipe(in) == 0 && pipe(out) == 0);
    if (fork() == 0) {
        must(dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        setenv("LC_ALL", s->locale, 1);
        execl(s->path, s->path, "-s", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    s->to = in[1];
    s->from = out[0];
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        shell_start(&shells[i]);
    return 0;
}

/* A shell that got out of step never says the mark: libFuzzer's -timeout ends that. Its clock also interrupts
 * calls. */
static void round_trip(struct shell *s, const char *command, const struct buf *want)
{
    size_t n = strlen(command), at = 0;
    must(TEMP_FAILURE_RETRY(write(s->to, command, n)) == (ssize_t)n);
    char *got = malloc(want->len + 1);
    must(got != NULL);
    while (at < want->len) {
        ssize_t some = TEMP_FAILURE_RETRY(read(s->from, got + at, want->len - at));
        must(some > 0);
        at += (size_t)some;
    }
    must(memcmp(got, buf_str(want), want->len) == 0);
    free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf struct buf command = BUF_INIT(SIZE_MAX), want = BUF_INIT(SIZE_MAX);
    if (n > INPUT_MAX)
        return 0;
    buf_puts(&command, "printf '%s\\0'");
    for (int i = 0; i < WORDS_MAX && n; i++) {
        char *word = fuzz_part(&data, &n, '\0');
        buf_puts(&command, " ");
        quote_sh(&command, word);
        buf_add(&want, word, strlen(word) + 1);
        free(word);
    }
    if (want.len == 0)
        return 0;
    buf_puts(&command, "; printf '%s' '" END_MARK "'\n");
    buf_puts(&want, END_MARK);
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        round_trip(&shells[i], buf_str(&command), &want);
    return 0;
}
