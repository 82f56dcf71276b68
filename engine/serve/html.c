/* SPDX-License-Identifier: MIT */
/* HTML by the server. Every value passes html_text; what is a format string here is a constant. */
#include "serve/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "watch/watch.h"

#define REV_SHOWN 12

static void escape(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        switch (text[i]) {
        case '&': buf_puts(out, "&amp;"); break;
        case '<': buf_puts(out, "&lt;"); break;
        case '>': buf_puts(out, "&gt;"); break;
        case '"': buf_puts(out, "&quot;"); break;
        case '\'': buf_puts(out, "&#39;"); break;
        default: buf_add(out, text + i, 1); break;
        }
}

void html_text(struct buf *out, const char *text)
{
    auto_buf struct buf safe = BUF_INIT(1024 * 1024);
    text_visible(&safe, text ? text : "", text ? strlen(text) : 0);
    escape(out, buf_str(&safe), safe.len);
}

void html_row(struct buf *out, const char *fmt, const char *text)
{
    const char *at = strstr(fmt, "%s");
    must(at);
    buf_add(out, fmt, (size_t)(at - fmt));
    html_text(out, text);
    buf_puts(out, at + 2);
}

/* ---- the shell */

static void put_value(struct buf *out, const struct html_page *p, const char *name, size_t n)
{
    const struct {
        const char *name, *value;
        bool is_html;
    } values[] = {{"title", p->title, false}, {"view", p->view, false},       {"env", p->env, false},
                  {"csrf", p->csrf, false},   {"release", p->release, false}, {"person", p->person, true},
                  {"app", p->app, false},     {"apps", p->apps, false},       {"main", p->main, true}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (strlen(values[i].name) != n || memcmp(values[i].name, name, n) != 0)
            continue;
        if (values[i].is_html)
            buf_puts(out, values[i].value ? values[i].value : "");
        else
            html_text(out, values[i].value);
        return;
    }
    must(false); /* index.html names something that is not here */
}

void html_shell(struct buf *out, const struct html_page *page)
{
    const struct page_file *file = page_file_find("index.html");
    must(file);
    const char *at = file->data;
    for (const char *open; (open = strstr(at, "{{")) != NULL;) {
        const char *close = strstr(open, "}}");
        must(close);
        buf_add(out, at, (size_t)(open - at));
        put_value(out, page, open + 2, (size_t)(close - open - 2));
        at = close + 2;
    }
    buf_puts(out, at);
}

/* ---- pieces */

static void put_time(struct buf *out, int64_t ms)
{
    char when[CLOCK_TEXT_MAX];
    html_row(out, "<time>%s</time>", ms ? clock_text(ms, when, sizeof when) : "–");
}

static void put_rev(struct buf *out, const char *rev)
{
    char cut[REV_SHOWN + 1];
    snprintf(cut, sizeof cut, "%s", rev && rev[0] ? rev : "-");
    html_row(out, "<span class=\"mono\">%s</span>", cut);
}

static void put_took(struct buf *out, const struct release_info *r)
{
    char took[DURATION_TEXT_MAX];
    int64_t ms = r->ended_ms - r->started_ms;
    html_text(out, r->ended_ms ? duration_text(ms >= 10000 ? ms / 1000 * 1000 : ms, took, sizeof took) : "–");
}

static void put_result(struct buf *out, const struct release_info *r)
{
    const char *kind = r->exit_status == 0 ? "good" : r->exit_status < 0 ? "busy" : "bad";
    buf_printf(out, "<span class=\"is-%s\">", kind);
    html_text(out, end_text(r));
    if (r->exit_status >= 0)
        buf_printf(out, " (exit %d)", r->exit_status);
    buf_puts(out, r->resumable ? ", can be resumed</span>" : "</span>");
}

static void put_link(struct buf *out, const struct release_info *r)
{
    buf_printf(out, "<a href=\"/release/%" PRId64 "\">", r->id);
    html_text(out, kind_name(r->kind));
    buf_printf(out, " %" PRId64 "</a>", r->id);
}

void html_release_line(struct buf *out, const char *head, const struct release_info *r)
{
    html_row(out, "<p>%s: ", head);
    put_link(out, r);
    buf_puts(out, " to ");
    put_rev(out, r->rev);
    html_row(out, ", by %s, ", r->who);
    put_time(out, r->started_ms);
    buf_puts(out, ": ");
    put_result(out, r);
    buf_puts(out, "</p>\n");
}

void html_release_table(struct buf *out, const struct release_info *list, size_t n, bool apart)
{
    auto_arena struct arena arena = {0};
    if (!n) {
        buf_puts(out, "<p class=\"quiet\">No releases yet.</p>\n");
        return;
    }
    buf_puts(out, "<div class=\"scroll\"><table "
                  "class=\"stack\"><thead><tr><th>release</th><th>env</th><th>revision</th>"
                  "<th>started</th><th>took</th><th>by</th><th>result</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const struct release_info *r = &list[i];
        buf_puts(out, "<tr><th scope=\"row\">");
        put_link(out, r);
        html_row(out, "</th><td data-label=\"env\">%s", env_title_with(r->env, apart ? r->app : "", &arena));
        buf_puts(out, "</td><td data-label=\"revision\">");
        put_rev(out, r->rev);
        buf_puts(out, "</td><td data-label=\"started\">");
        put_time(out, r->started_ms);
        buf_puts(out, "</td><td data-label=\"took\">");
        put_took(out, r);
        html_row(out, "</td><td data-label=\"by\">%s", r->who);
        html_row(out, "@%s</td><td data-label=\"result\">", r->host);
        put_result(out, r);
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</tbody></table></div>\n");
}

void html_release_facts(struct buf *out, const struct release_info *r)
{
    buf_puts(out, "<dl class=\"facts\"><div><dt>revision</dt><dd>");
    put_rev(out, r->rev);
    html_row(out, "</dd></div><div><dt>asked for</dt><dd>%s</dd></div>", r->rev_typed);
    html_row(out, "<div><dt>plan</dt><dd>%s</dd></div>", r->plan_name);
    html_row(out, "<div><dt>by</dt><dd>%s", r->who);
    html_row(out, "@%s</dd></div><div><dt>started</dt><dd>", r->host);
    put_time(out, r->started_ms);
    buf_puts(out, "</dd></div><div><dt>took</dt><dd>");
    put_took(out, r);
    buf_puts(out, "</dd></div><div><dt>result</dt><dd>");
    put_result(out, r);
    buf_puts(out, "</dd></div></dl>\n");
    if (r->summary && r->summary[0])
        html_row(out, "<p>%s</p>\n", r->summary);
}

void html_node_table(struct buf *out, const struct env_state *st, size_t most)
{
    const struct node_state_info *nodes = st->nodes;
    size_t n = st->n_nodes < most ? st->n_nodes : most;
    if (!n) {
        buf_puts(out, "<p class=\"quiet\">No node is known yet: the first release makes them known.</p>\n");
        return;
    }
    buf_puts(
        out,
        "<div class=\"scroll\"><table class=\"stack\"><thead><tr><th>node</th><th>revision</th><th>since</th>"
        "<th>owed</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        html_row(out, "<tr><th scope=\"row\">%s</th><td data-label=\"revision\">", nodes[i].node);
        put_rev(out, nodes[i].rev);
        buf_printf(out,
                   "</td><td data-label=\"since\"><a href=\"/release/%" PRId64 "\">release %" PRId64 "</a> ",
                   nodes[i].release, nodes[i].release);
        put_time(out, nodes[i].at_ms);
        html_row(out, "</td><td data-label=\"owed\">%s", nodes[i].debt ? nodes[i].debt_text : "–");
        buf_puts(out, st->left && st->left[i] ? "; it left the pillar</td></tr>\n" : "</td></tr>\n");
    }
    buf_puts(out, "</tbody></table></div>\n");
}

static bool needs_eyes(enum shown s)
{
    return s == SHOWN_FAILED || s == SHOWN_LEFT || s == SHOWN_BACK || s == SHOWN_OUT;
}

static void put_model_node(struct buf *out, const struct model *m, size_t i)
{
    const struct model_node *n = &m->nodes[i];
    char took[DURATION_TEXT_MAX];
    html_row(out, "<tr><th scope=\"row\">%s</th>", m->plan->nodes[i]);
    html_row(out, "<td data-label=\"state\">%s</td>", shown_name(n->state));
    html_row(out, "<td data-label=\"step\">%s</td>", watch_label(m->plan, n->step));
    html_row(out, "<td data-label=\"was out\">%s</td>",
             n->out_ms ? duration_text(n->out_ms, took, sizeof took) : "–");
    html_row(out, "<td data-label=\"said\">%s</td></tr>\n", n->text);
}

void html_model(struct buf *out, const struct model *m, size_t most)
{
    size_t shown = 0;
    buf_puts(out, "<p>");
    for (int s = 0; s < SHOWN_COUNT; s++)
        if (m->counts[s])
            buf_printf(out, "%" PRIu32 " %s; ", m->counts[s], shown_name((enum shown)s));
    html_row(out, "%s</p>\n", m->ended ? "" : life_name(m->life));
    buf_puts(
        out,
        "<div class=\"scroll\"><table class=\"stack\"><thead><tr><th>node</th><th>state</th><th>step</th>"
        "<th>was out</th><th>said last</th></tr></thead><tbody>\n");
    for (int eyes = 1; eyes >= 0; eyes--)
        for (size_t i = 0; i < m->plan->n_nodes && shown < most; i++)
            if (needs_eyes(m->nodes[i].state) == (eyes == 1)) {
                put_model_node(out, m, i);
                shown++;
            }
    buf_puts(out, "</tbody></table></div>\n");
    if (m->plan->n_nodes > shown)
        buf_printf(out, "<p class=\"quiet\">and %zu more</p>\n", m->plan->n_nodes - shown);
}
