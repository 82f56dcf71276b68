/* SPDX-License-Identifier: MIT */
/* The report of a release and the figures of an environment, as the command line has them. */
#include <inttypes.h>

#include "base/clock.h"
#include "serve/html_doc.h"
#include "serve/page_look.h"
#include "serve/report_of.h"
#include "watch/stats.h"

#define STATS_MS (INT64_C(90) * 86400000)

void page_report(struct request *r, struct reply *reply)
{
    auto_buf struct buf main = BUF_INIT(8 * 1024 * 1024);
    struct release_info *info = NULL;
    struct report rep;
    struct err err;
    int64_t id;
    struct page_look l = page_look_of(r, reply);
    if (page_number(r->vars[0], &id) && !release_get(reader(r->store, r->arena), id, &info, &err)) {
        page_problem(&l, 503, err.text);
        return;
    }
    if (!info) {
        page_problem(&l, 404, "There is no such release.");
        return;
    }
    if (!report_of_release(reader(r->store, r->arena), info, &rep, &err)) {
        page_problem(&l, 503, err.text);
        return;
    }
    const struct doc doc = report_doc(&rep, r->arena);
    const char *number = arena_printf(r->arena, "%" PRId64, info->id);
    buf_puts(&main, "<section class=\"panel\">\n");
    html_doc(&main, &doc);
    html_row(&main, "<p><a href=\"/release/%s\">the release</a></p></section>\n", number);
    page_send(&l,
              &(struct html_page){.title = doc.title, .view = "report", .env = info->env, .release = number},
              &main);
}

void page_stats(struct request *r, struct reply *reply)
{
    const char *env = r->vars[0];
    auto_buf struct buf main = BUF_INIT(1024 * 1024);
    struct stats stats;
    struct err err;
    int64_t now = clock_wall_ms();
    struct page_look l = page_look_of(r, reply);
    if (!env_valid(env) || !page_env_known(&l, env)) {
        page_problem(&l, 404, "There is no such environment.");
        return;
    }
    if (!stats_read(reader(r->store, r->arena),
                    &(struct stats_span){.env = env, .from_ms = now - STATS_MS, .to_ms = now}, &stats,
                    &err)) {
        page_problem(&l, 503, err.text);
        return;
    }
    const struct doc doc = stats_doc(&stats, r->arena);
    buf_puts(&main, "<section class=\"panel\">\n");
    html_doc(&main, &doc);
    html_row(&main, "<p><a href=\"/env/%s\">the environment</a></p></section>\n", env);
    page_send(&l, &(struct html_page){.title = doc.title, .view = "stats", .env = env}, &main);
}
