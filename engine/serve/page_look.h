/* SPDX-License-Identifier: MIT */
/* What the views of the page share. Inside engine/serve. */
#ifndef RELEASE_SERVE_PAGE_LOOK_H
#define RELEASE_SERVE_PAGE_LOOK_H

#include "serve/page.h"
#include "serve/serve_priv.h"

/* Who looks, what they get, and which environments there are: the pillar is read once for each answer. */
struct page_look {
    struct request *r;
    struct reply *reply;
    const char *const *envs;
    size_t n_envs, apps;
};
struct page_look page_look_of(struct request *r, struct reply *reply);
const char *page_title_of(const struct page_look *l, const char *env);
void page_send(const struct page_look *l, const struct html_page *view, const struct buf *main);
/* What is wrong, as a page: a person is looking. */
void page_problem(const struct page_look *l, int status, const char *text);
bool page_env_known(const struct page_look *l, const char *env);
bool page_number(const char *text, int64_t *ret); /* of a path, > 0 */

/* page_report.c: views without a script. */
void page_report(struct request *r, struct reply *reply);
void page_stats(struct request *r, struct reply *reply);

#endif
