/* SPDX-License-Identifier: MIT */
/* Answers of AWS and the files that its tools share. First byte: which parser. No row is both out and serving; a name found in an answer
 * is fit for lb.before. */
#include "drivers/aws/ini.h"
#include "drivers/aws/instances.h"
#include "drivers/balancer/aws/aws_lb.h"
#include "fuzz.h"

static void check_rows(const struct lb_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct lb_server *s = &t->rows[i];
        must(s->pool && s->name && *s->name && !strpbrk(s->name, " ;=/\n"));
        must(s->state == LB_READY || s->state == LB_DRAIN);
        must(!(s->state == LB_DRAIN && (s->serving || s->up)));
        must(!s->leaving || s->state == LB_DRAIN);
        must(s->port >= 0 && s->port <= 65535);
    }
}

static void instances(const struct xml *x, struct arena *a)
{
    struct aws_instances all = {.n = 0};
    struct lb_traffic t;
    struct err err = {0};
    const char *next;
    if (parse_instances(x, a, &all, &next, &err))
        must(next);
    for (size_t i = 0; i < all.n; i++) {
        must(str_starts(all.rows[i].id, "i-") && name_valid(all.rows[i].id, 300) && *all.rows[i].state);
        for (size_t k = 0; k < all.rows[i].n_tags; k++)
            must(!aws_tag_plain(all.rows[i].tags[k].value) ||
                 !strpbrk(all.rows[i].tags[k].value, "\n;&$`'\"\\"));
    }
    if (parse_metric_data(x, &t, &err))
        must(t.requests >= -1 && t.errors >= -1 && t.answer_ms >= -1);
}

static void answers(const char *text)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    static const struct target_group g = {.name = "site", .port = 8080};
    static const char *const asked[] = {"i-1:80"};
    struct lb_table t = {.n = 0};
    struct target_group *groups;
    struct scaling_group scaling[4];
    const char *zone = NULL;
    size_t n = 0;
    struct xml *x = xml_parse(&a, text, strlen(text), &err);
    if (!x) {
        must(err.code != E_NONE && err.text[0]);
        return;
    }
    instances(x, &a);
    if (parse_target_health(x, &g, asked, 1, &a, &t, &zone, &err))
        check_rows(&t);
    t.n = 0;
    if (parse_instance_health(x, "old", &a, &t, &err))
        check_rows(&t);
    t.n = 0;
    if (parse_scaling_groups(x, &a, scaling, &n, 4, &t, &err))
        check_rows(&t);
    must(n <= 4);
    if (parse_target_groups(x, &a, &groups, &n, &err))
        for (size_t i = 0; i < n; i++)
            must(groups[i].port >= 0 && groups[i].port <= 65535 && !strpbrk(groups[i].name, " ;="));
}

static void files(const char *text)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct ini ini;
    if (!ini_parse(&a, "f", text, &ini, &err)) {
        must(err.code != E_NONE && str_starts(err.text, "f:"));
        return;
    }
    for (size_t i = 0; i < ini.n; i++) {
        must(!strpbrk(ini.keys[i].name, "\n=") && !strstr(ini.keys[i].value, "\n\n"));
        must(ini_get(&ini, ini.keys[i].section, ini.keys[i].name) && ini_has(&ini, ini.keys[i].section));
    }
}

static void names(const char *text)
{
    auto_arena struct arena a = {0};
    struct aws_target t;
    const char *name, *region;
    if (target_parse(&a, text, &t))
        must(t.id && t.port >= 0 && t.port <= 65535);
    if (target_group_arn(&a, text, &name, &region))
        must(*name && region);
    if (aws_group_valid(text))
        must(!strpbrk(text, " ;=\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    switch (data[0]) {
    case 'i': files(text); break;
    case 'n': names(text); break;
    default: answers(text);
    }
    free(text);
    return 0;
}
