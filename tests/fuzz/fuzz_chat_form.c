/* SPDX-License-Identifier: MIT */
/* Bodies of forms, as rooms and browsers send them: pairs of clean text, or refused. */
#include "fuzz.h"

#include "serve/serve_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    struct pair *pairs = NULL;
    size_t n_pairs = 0, total = 0;
    char *text = malloc(n + 1);
    must(text != NULL);
    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    if (pairs_parse(&arena, text, &pairs, &n_pairs)) {
        must(n_pairs <= 100);
        for (size_t i = 0; i < n_pairs; i++)
            total += strlen(pairs[i].name) + strlen(pairs[i].value);
        must(total <= n);
    }
    free(text);
    arena_fini(&arena);
    return 0;
}
