/* SPDX-License-Identifier: MIT */
/* What this program makes of pillar trees, many in one process: the counterpart of salt_pillar.py. Lines of
 * "ROOT<tab>ENV<tab>NODE" come in, one line each goes out: {"ok": PILLAR} or {"error": TEXT}. A map is
 * written
 * {"m": [[key, value], ...]} with typed keys, so that nothing gets lost which JSON has no word for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plans/pillar_priv.h"

static void key_print(struct buf *out, const struct entry *e)
{
    if (e->type == SCALAR_STR)
        json_string_add(out, e->key);
    else
        buf_puts(out, e->key);
}

static void print(struct buf *out, const struct value *v)
{
    if (v->kind == VALUE_SCALAR) {
        value_json(out, v);
        return;
    }
    bool map = v->kind == VALUE_MAP;
    buf_puts(out, map ? "{\"m\": [" : "[");
    for (size_t i = 0; i < v->n; i++) {
        buf_puts(out, i == 0 ? "" : ", ");
        if (map) {
            buf_puts(out, "[");
            key_print(out, &v->entries[i]);
            buf_puts(out, ", ");
        }
        print(out, map ? v->entries[i].value : v->items[i]);
        buf_puts(out, map ? "]" : "");
    }
    buf_puts(out, map ? "]}" : "]");
}

static void answer(const char *root, const char *env, const char *node)
{
    auto_problems struct problems problems = {.n = 0};
    auto_buf struct buf out = BUF_INIT(64u * 1024 * 1024);
    struct pillar *p = NULL;
    const struct pillar_request req = {.root = root, .env = env, .node = node};
    if (pillar_load_as(&req, &p, &problems)) {
        buf_puts(&out, "{\"ok\": ");
        print(&out, pillar_get(p, ""));
    } else {
        buf_puts(&out, "{\"error\": ");
        auto_buf struct buf text = BUF_INIT(1024u * 1024);
        for (size_t i = 0; i < problems.n; i++)
            buf_printf(&text, "%s\n", problems.lines[i]);
        json_string_add(&out, buf_str(&text));
    }
    pillar_free(p);
    (void)printf("%s}\n", buf_str(&out));
    (void)fflush(stdout);
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *env = strchr(line, '\t');
        char *node = env == NULL ? NULL : strchr(env + 1, '\t');
        if (node == NULL)
            return 2;
        *env++ = '\0';
        *node++ = '\0';
        node[strcspn(node, "\n")] = '\0';
        answer(line, env, node);
    }
    return 0;
}
