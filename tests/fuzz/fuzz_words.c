/* SPDX-License-Identifier: MIT */
/* Small readers of what people type: names, revisions, durations, sizes, hints. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"prod", "test", "balancer", "release", "haproxy.drain", "x"};
    char *s = fuzz_text(data, n);
    int64_t v = 0;
    char text[DURATION_TEXT_MAX];
    if (duration_parse(s, &v)) {
        must(v >= 0);
        must(strlen(duration_text(v, text, sizeof(text))) < sizeof(text));
    }
    if (size_parse(s, &v))
        must(v >= 0);
    if (name_valid(s, 64))
        must(s[0] != '-' && s[0] != '.' && strlen(s) <= 64 && !strpbrk(s, "/ \t\n;'\"$`\\*?"));
    if (rev_valid(s))
        must(s[0] != '-' && !strpbrk(s, " \t\r\n~^:?*[\\") && !strstr(s, "..") && !strstr(s, "@{") &&
             strlen(s) <= 200);
    int i = str_nearest(s, names, 6);
    must(i >= -1 && i < 6);
    free(s);
    return 0;
}
