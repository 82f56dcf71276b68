/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. Each tests/fuzz/fuzz_NAME.c is one libFuzzer program: hostile bytes go in, and
 * beside "no crash" it demands a property that somebody relies on (`must` aborts, libFuzzer keeps the input).
 */
#ifndef RELEASE_TESTS_FUZZ_H
#define RELEASE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "drivers/op/op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The input as C text, in memory of exactly its size, so that one byte too far is seen. Ends at the first
 * NUL, as every text does that reaches a parser. */
static inline char *fuzz_text(const uint8_t *data, size_t n)
{
    size_t len = strnlen((const char *)data, n);
    char *text = malloc(len + 1);
    must(text != NULL);
    if (len)
        memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

/* Cuts the input at its first `sep`: the part before it, and the rest into *data and *n. */
static inline char *fuzz_part(const uint8_t **data, size_t *n, int sep)
{
    const uint8_t *end = *n ? memchr(*data, sep, *n) : NULL;
    size_t len = end ? (size_t)(end - *data) : *n;
    char *text = fuzz_text(*data, len);
    size_t used = end ? len + 1 : len;
    *data += used;
    *n -= used;
    return text;
}

/* One number out of the end of the input; 0 when it is used up. */
static inline unsigned fuzz_byte(const uint8_t *data, size_t *n)
{
    return *n ? data[--*n] : 0;
}

/* An op that no verb runs: what a driver's inside needs to report to. */
static inline struct op *fuzz_op(const char *const *secrets, struct op_sink sink)
{
    static const struct verb verb = {.name = "fuzz.input", .effect = EFFECT_CHANGE};
    static const struct target target = {.id = "app1", .transport = "local", .host = "localhost"};
    const struct op_spec spec = {.verb = &verb,
                                 .target = &target,
                                 .secrets = secrets,
                                 .sink = sink,
                                 .deadline_mono_ms = clock_mono_ms() + 5000,
                                 .cancel_fd = -1,
                                 .fence = 7,
                                 .step_key = "41-7"};
    return op_new(&spec);
}

#endif
