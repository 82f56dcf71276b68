/* SPDX-License-Identifier: MIT */
/* The page's part of the server: its files, and its views written by the server. Scripts take the views over;
 * without them they stay as they are. */
#include "serve/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "serve/api.h"
#include "serve/fold.h"
#include "serve/page_look.h"

#define HISTORY_PAGE 50
#define NODES_SHOWN  500 /* without script */

static const char *type_of(const char *name)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i].end) == 0)
            return types[i].type;
    return NULL; /* the template is no file of its own */
}

static void file(struct request *r, struct reply *reply)
{
    const struct page_file *f = page_file_find(r->vars[0]);
    const char *type = f ? type_of(f->name) : NULL;
    const char *known = request_header(r, "If-None-Match");
    if (type) {
        bool same = known && strcmp(known, f->tag) == 0;
        reply_text(reply, same ? 304 : 200, type, f->data, same ? 0 : f->n);
        reply_header(reply, "Cache-Control", "no-cache"); /* kept, and asked after each time */
        reply_header(reply, "ETag", f->tag);
    } else
        reply_error(reply, 404, "notfound", "there is no such file");
}

/* ---- what all views share */

struct page_look page_look_of(struct request *r, struct reply *reply)
{
    struct page_look l = {.r = r, .reply = reply};
    l.envs = api_envs(r->serve, r->store, r->arena, &l.n_envs);
    l.apps = api_apps(r->store, l.envs, l.n_envs, r->arena);
    return l;
}

static bool apart(const struct page_look *l)
{
    return l->apps > 1;
}

const char *page_title_of(const struct page_look *l, const char *env)
{
    return env_title(l->r->store, env, apart(l), l->r->arena);
}

void page_send(const struct page_look *l, const struct html_page *view, const struct buf *main)
{
    const struct request *r = l->r;
    auto_buf struct buf person = BUF_INIT(4096), html = BUF_INIT(8 * 1024 * 1024);
    struct html_page page = *view;
    if (r->actor.name[0]) {
        html_row(&person, "<div class=\"person\"><b>%s</b> ", r->actor.name);
        html_row(&person, "<span>%s</span>", right_name(r->actor.right));
        if (r->actor.via == ACTOR_COOKIE)
            html_row(
                &person,
                "<form method=\"post\" action=\"/logout\"><input type=\"hidden\" name=\"csrf\" value=\"%s\">"
                "<button class=\"button\">Log out</button></form>",
                r->actor.csrf);
        buf_puts(&person, "</div>");
    }
    page.csrf = r->actor.csrf;
    page.app = view->env ? env_app(r->store, view->env, r->arena) : "";
    page.apps = arena_printf(r->arena, "%zu", l->apps);
    page.person = buf_str(&person);
    page.main = buf_str(main);
    html_shell(&html, &page);
    reply_html(l->reply, 200, buf_str(&html), html.len);
}

/* What is wrong, as a page: a person is looking. */
void page_problem(const struct page_look *l, int status, const char *text)
{
    auto_buf struct buf main = BUF_INIT(64 * 1024);
    html_row(&main, "<p class=\"error\" role=\"alert\">%s</p>", text);
    page_send(l, &(struct html_page){.title = "release"}, &main);
    l->reply->status = status;
}

/* The newest release or rollback; tasks and exec are not what an environment runs. */
static bool last_of(struct request *r, const char *env, struct release_info **ret, struct err *err)
{
    struct release_info *list;
    size_t n;
    *ret = NULL;
    if (!release_list(reader(r->store, r->arena), &(struct newest){.env = env, .limit = HISTORY_PAGE}, &list,
                      &n, err))
        return false;
    for (size_t i = 0; i < n && !*ret; i++)
        if (KIND_MOVES(list[i].kind))
            *ret = &list[i];
    return true;
}

static bool put_state(struct request *r, const char *env, struct buf *out, struct err *err)
{
    struct release_info *last, *unfinished;
    struct lock_info lock;
    if (!lock_get(reader(r->store, r->arena), env, &lock, err) || !last_of(r, env, &last, err) ||
        !release_unfinished(reader(r->store, r->arena), env, &unfinished, err))
        return false;
    if (lock.held)
        html_row(out, "<p class=\"banner is-warn\"><b>Lock:</b> %s</p>\n", lock_text(&lock, r->arena));
    else
        buf_puts(out, "<p>Lock: free</p>\n");
    if (unfinished)
        html_release_line(out, lock.held && lock.release == unfinished->id ? "Running" : "Unfinished",
                          unfinished);
    if (last && !(unfinished && unfinished->id == last->id))
        html_release_line(out, "Last", last);
    if (!last && !unfinished)
        buf_puts(out, "<p class=\"quiet\">No release yet.</p>\n");
    return true;
}

/* ---- views */

static void envs(struct request *r, struct reply *reply)
{
    auto_buf struct buf main = BUF_INIT(4 * 1024 * 1024);
    struct err err;
    struct page_look l = page_look_of(r, reply);
    buf_puts(&main, "<h1>Environments</h1>\n<ul class=\"cards\">\n");
    for (size_t i = 0; i < l.n_envs; i++) {
        html_row(&main, "<li class=\"card\"><h2><a href=\"/env/%s\">", l.envs[i]);
        html_row(&main, "%s</a></h2>\n", page_title_of(&l, l.envs[i]));
        if (!put_state(r, l.envs[i], &main, &err)) {
            page_problem(&l, 503, err.text);
            return;
        }
        buf_puts(&main, "</li>\n");
    }
    buf_puts(&main, l.n_envs
                        ? "</ul>\n"
                        : "</ul>\n<p class=\"quiet\">No environment in the pillar and no release yet.</p>\n");
    page_send(&l, &(struct html_page){.title = "Environments", .view = "envs"}, &main);
}

bool page_env_known(const struct page_look *l, const char *env)
{
    for (size_t i = 0; i < l->n_envs; i++)
        if (strcmp(l->envs[i], env) == 0)
            return true;
    return false;
}

static void env(struct request *r, struct reply *reply)
{
    const char *name = r->vars[0];
    auto_buf struct buf main = BUF_INIT(8 * 1024 * 1024);
    struct env_state st;
    struct release_info *list;
    struct err err;
    size_t n;
    struct page_look l = page_look_of(r, reply);
    if (!env_valid(name) || !page_env_known(&l, name)) {
        page_problem(&l, 404, "There is no such environment.");
        return;
    }
    html_row(&main, "<div class=\"release-head\"><h1>%s</h1>\n", page_title_of(&l, name));
    if (!put_state(r, name, &main, &err) || !env_state_read(r->store, name, r->arena, &st, &err) ||
        !release_list(reader(r->store, r->arena), &(struct newest){.env = name, .limit = 10}, &list, &n,
                      &err)) {
        page_problem(&l, 503, err.text);
        return;
    }
    buf_puts(&main, "</div>\n<section class=\"panel\"><h2>Nodes, as last known</h2>\n");
    html_node_table(&main, &st, NODES_SHOWN);
    if (st.n_nodes > NODES_SHOWN)
        buf_printf(&main, "<p class=\"quiet\">and %zu more</p>\n", st.n_nodes - NODES_SHOWN);
    if (st.n_gone)
        html_row(&main, "<p class=\"quiet\">%s</p>\n", env_gone_text(&st, r->arena));
    buf_puts(&main, "</section>\n<section class=\"panel\"><h2>Releases</h2>\n");
    html_release_table(&main, list, n, apart(&l));
    html_row(&main, "<p><a href=\"/history?env=%s\">all of them</a>", name);
    html_row(&main, " - <a href=\"/env/%s/stats\">how it was released</a></p></section>\n", name);
    page_send(&l, &(struct html_page){.title = page_title_of(&l, name), .view = "env", .env = name}, &main);
}

bool page_number(const char *text, int64_t *ret)
{
    char *end;
    *ret = strtoll(text, &end, 10);
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && strlen(text) < 16;
}

/* A tile and a timeline in words. */
static void put_fold(struct request *r, int64_t id, struct buf *out)
{
    struct err err;
    struct fold *f = fold_get(r->serve, r->store, id, &err);
    if (!f) {
        html_row(out, "<p class=\"error\">%s</p>\n", err.text);
        return;
    }
    buf_puts(out, "<section class=\"panel\"><h2>Nodes</h2>\n");
    html_model(out, &f->model, NODES_SHOWN);
    buf_puts(out, "</section>\n");
    fold_put(r->serve, f);
}

static void release(struct request *r, struct reply *reply)
{
    auto_buf struct buf main = BUF_INIT(1024 * 1024);
    struct release_info *info = NULL;
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
    const char *number = arena_printf(r->arena, "%" PRId64, info->id);
    const char *title =
        arena_printf(r->arena, "%s %s, %s", kind_name(info->kind), number, page_title_of(&l, info->env));
    html_row(&main, "<div class=\"release-head\"><h1>%s</h1>\n", title);
    html_release_facts(&main, info);
    html_row(&main, "<p><a href=\"/env/%s\">the environment</a>", info->env);
    html_row(&main, " - <a href=\"/release/%s/report\">report</a></p></div>\n", number);
    put_fold(r, info->id, &main);
    page_send(&l, &(struct html_page){.title = title, .view = "release", .env = info->env, .release = number},
              &main);
}

static void history(struct request *r, struct reply *reply)
{
    const char *name = request_query(r, "env");
    auto_buf struct buf main = BUF_INIT(4 * 1024 * 1024);
    struct release_info *list;
    struct err err;
    int64_t before;
    size_t n;
    if (!request_number(r, "before", 0, &before, reply))
        return;
    struct page_look l = page_look_of(r, reply);
    if (name && !env_valid(name)) {
        page_problem(&l, 404, "There is no such environment.");
        return;
    }
    if (!release_list(reader(r->store, r->arena),
                      &(struct newest){.env = name, .limit = HISTORY_PAGE, .before = before}, &list, &n,
                      &err)) {
        page_problem(&l, 503, err.text);
        return;
    }
    html_row(&main, "<h1>History%s</h1>\n<section class=\"panel\">\n",
             name ? arena_printf(r->arena, ": %s", page_title_of(&l, name)) : "");
    html_release_table(&main, list, n, apart(&l));
    if (n == HISTORY_PAGE) {
        buf_printf(&main, "<p><a href=\"/history?before=%" PRId64, list[n - 1].id);
        if (name)
            html_row(&main, "&amp;env=%s", name);
        buf_puts(&main, "\">older ones</a></p>\n");
    }
    buf_puts(&main, "</section>\n");
    page_send(&l, &(struct html_page){.title = "History", .view = "history", .env = name}, &main);
}

static void login(struct request *r, struct reply *reply)
{
    auto_buf struct buf main = BUF_INIT(16 * 1024);
    /* Whoever comes in here is told of nothing that there is. */
    const struct page_look l = {.r = r, .reply = reply};
    buf_puts(&main, "<form class=\"panel login\" method=\"post\" action=\"/login\">\n<h1>Log in</h1>\n");
    if (request_query(r, "failed"))
        buf_puts(&main,
                 "<p class=\"error\" role=\"alert\">This token is not known here, or was revoked.</p>\n");
    buf_puts(&main, "<p class=\"field\"><label for=\"token\">Token</label><input id=\"token\" name=\"token\" "
                    "type=\"password\" "
                    "autocomplete=\"current-password\" required autofocus>"
                    "<small>'release token add NAME --role operator' makes one.</small></p>\n"
                    "<p><button class=\"button is-primary\">Log in</button></p></form>\n");
    page_send(&l, &(struct html_page){.title = "Log in", .view = "login"}, &main);
}

static const struct route routes[] = {
    {.method = "GET", .pattern = "/", .right = RIGHT_VIEWER, .flags = ROUTE_HTML, .handle = envs},
    {.method = "GET", .pattern = "/env/{env}", .right = RIGHT_VIEWER, .flags = ROUTE_HTML, .handle = env},
    {.method = "GET",
     .pattern = "/release/{n}",
     .right = RIGHT_VIEWER,
     .flags = ROUTE_HTML,
     .handle = release},
    {.method = "GET",
     .pattern = "/env/{env}/stats",
     .right = RIGHT_VIEWER,
     .flags = ROUTE_HTML,
     .handle = page_stats},
    {.method = "GET",
     .pattern = "/release/{n}/report",
     .right = RIGHT_VIEWER,
     .flags = ROUTE_HTML,
     .handle = page_report},
    {.method = "GET", .pattern = "/history", .right = RIGHT_VIEWER, .flags = ROUTE_HTML, .handle = history},
    {.method = "GET", .pattern = "/login", .right = RIGHT_NONE, .flags = ROUTE_HTML, .handle = login},
    {.method = "GET", .pattern = "/page/{file}", .right = RIGHT_NONE, .handle = file},
    ROUTE_END,
};

const struct serve_part page_part = {.name = "page", .routes = routes};
