/* SPDX-License-Identifier: MIT */
/* Runs kept scenarios: each file must end as it says and tell its story to the letter.
 *
 *   sim-scenarios FILE...            --accept FILE... writes the story that is told now into the file */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "scenario.h"

static char *read_all(const char *path)
{
    struct buf text = BUF_INIT(16u << 20);
    auto_close_file FILE *f = fopen(path, "r");
    char block[4096];
    if (!f)
        return NULL;
    for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;)
        buf_add(&text, block, n);
    buf_puts(&text, "");
    return text.data;
}

static void write_all(const char *path, const struct scenario *sc, const struct buf *story)
{
    struct buf text = BUF_INIT(16u << 20);
    auto_close_file FILE *f = fopen(path, "w");
    must(f != NULL);
    scenario_text(sc, &text);
    fprintf(f, "%sstory\n%s", buf_str(&text), buf_str(story));
    buf_fini(&text);
}

/* Prints the first line that differs, with what is around it. */
static void show_difference(const char *wanted, const char *told)
{
    const char *w = wanted, *t = told;
    for (;;) {
        size_t a = strcspn(w, "\n"), b = strcspn(t, "\n");
        if (a != b || memcmp(w, t, a) != 0) {
            printf("  wanted: %.*s\n  told:   %.*s\n", (int)a, w, (int)b, t);
            return;
        }
        if (!w[a] || !t[b])
            return;
        w += a + 1;
        t += b + 1;
    }
}

static bool check(const char *path, bool accept)
{
    struct scenario sc;
    struct verdict v;
    struct err err;
    struct buf story = BUF_INIT(16u << 20);
    auto_free char *text = read_all(path);
    if (!text || !scenario_parse(text, &sc, &err)) {
        printf("%s: %s\n", path, text ? err.text : "cannot be read");
        return false;
    }
    scenario_run(&sc, &story, &v);
    bool same = strcmp(buf_str(&story), buf_str(&sc.story)) == 0;
    if (!v.good)
        printf("%s: %s\n%s", path, v.why, accept ? "" : buf_str(&story));
    else if (accept)
        write_all(path, &sc, &story);
    else if (!same)
        printf("%s: the story differs\n", path);
    if (v.good && !accept && !same)
        show_difference(buf_str(&sc.story), buf_str(&story));
    scenario_fini(&sc);
    buf_fini(&story);
    return v.good && (same || accept);
}

int main(int argc, char **argv)
{
    bool accept = argc > 1 && strcmp(argv[1], "--accept") == 0;
    int wrong = 0, n = 0;
    for (int i = 1 + accept; i < argc; i++, n++)
        wrong += !check(argv[i], accept);
    printf("%d scenarios, %d wrong\n", n, wrong);
    return wrong || n == 0 ? 1 : 0;
}
