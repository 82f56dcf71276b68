/* SPDX-License-Identifier: MIT */
/* What is said in a room, in each product's form; pure (message.h). */
#include "chat/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "chat/signatures.h"

void said_fini(struct said *s)
{
    buf_fini(&s->text);
}

void say_text(struct said *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&s->text, fmt, ap);
    va_end(ap);
}

/* Zero width space: a mention or link with it inside is none, and people see no difference. */
#define GAP "\xe2\x80\x8b"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80);
}

/* What stands for the character at p, NULL when it stands for itself. */
static const char *safe_form(const char *p, bool lines)
{
    switch (*p) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '@': return "@" GAP;
    case '#': return "#" GAP;
    case '~': return "~" GAP; /* Mattermost's channels */
    case '`': return "'";
    case '|': return "\xc2\xa6";
    case '\t': return " ";
    case '\n': return lines ? NULL : " ";
    case ':': return p[1] == '/' && p[2] == '/' ? ":" GAP : NULL;
    case ']': return p[1] == '(' || p[1] == '[' || p[1] == ':' ? "]" GAP : NULL;
    case '!': return p[1] == '[' ? "!" GAP : NULL;
    case '*':
    case '_': return p[1] == *p || !is_word(p[1]) ? NULL : *p == '*' ? "*" GAP : "_" GAP;
    default: return NULL;
    }
}

/* www.example.org and mail.example.org are links to some clients without any scheme. */
static bool begins_www(const char *p)
{
    return (p[0] == 'w' || p[0] == 'W') && (p[1] == 'w' || p[1] == 'W') && (p[2] == 'w' || p[2] == 'W') &&
           p[3] == '.';
}

static void put_safe(struct said *s, const char *text, bool lines)
{
    auto_buf struct buf visible = BUF_INIT(SAID_TEXT_MAX);
    text_visible(&visible, text, strlen(text));
    for (const char *p = buf_str(&visible); *p; p++) {
        const char *form = safe_form(p, lines);
        if (form)
            buf_puts(&s->text, form);
        else
            buf_add(&s->text, p, 1);
        if (begins_www(p)) {
            buf_puts(&s->text, GAP);
        }
    }
}

void say_quote(struct said *s, const char *text)
{
    put_safe(s, text, false);
}

void say_output(struct said *s, const char *text)
{
    put_safe(s, text, true);
}

void say_button(struct said *s, const char *label, const char *action, const char *code,
                enum button_style style)
{
    must(s->n_buttons < SAID_BUTTONS_MAX);
    s->buttons[s->n_buttons++] =
        (struct button){.label = label, .action = action, .code = code, .style = style};
}

void say_cancel(struct said *s, const char *code)
{
    say_button(s, "Cancel", "cancel", code, BUTTON_PLAIN);
}

/* ---- forms */

/* A cut may have parted a character or an entity: jansson takes whole UTF-8 only. */
static json_t *text_json(const char *text, size_t n)
{
    json_t *j = json_stringn(text, n);
    for (int back = 0; !j && n > 0 && back < 8; back++)
        j = json_stringn(text, --n);
    return j ? j : json_string("");
}

static json_t *said_text(const struct said *s, const char *link_form)
{
    auto_buf struct buf out = BUF_INIT(2 * SAID_TEXT_MAX);
    buf_puts(&out, buf_str(&s->text));
    if (s->text.cut)
        buf_puts(&out, "...");
    if (s->link)
        buf_printf(&out, link_form, s->link, s->link_label ? s->link_label : s->link);
    return text_json(buf_str(&out), out.len);
}

static const char *style_name(enum button_style style)
{
    switch (style) {
    case BUTTON_PRIMARY: return "primary";
    case BUTTON_DANGER: return "danger";
    case BUTTON_PLAIN: return "default";
    }
    return "default";
}

/* verbatim: Slack looks for no names, channels and links of its own in it. */
static json_t *slack_blocks(const struct said *s)
{
    json_t *blocks = json_array(), *elements = json_array();
    json_array_append_new(blocks, json_pack("{s:s, s:{s:s, s:o, s:b}}", "type", "section", "text", "type",
                                            "mrkdwn", "text", said_text(s, "\n<%s|%s>"), "verbatim", 1));
    for (size_t i = 0; i < s->n_buttons; i++) {
        const struct button *b = &s->buttons[i];
        /* Slack's plain buttons have no style at all. */
        const char *style = b->style == BUTTON_PLAIN ? NULL : style_name(b->style);
        json_array_append_new(elements, json_pack("{s:s, s:s, s:s, s:s*, s:{s:s, s:s}}", "type", "button",
                                                  "action_id", b->action, "value", b->code, "style", style,
                                                  "text", "type", "plain_text", "text", b->label));
    }
    if (s->n_buttons)
        json_array_append_new(blocks, json_pack("{s:s, s:O}", "type", "actions", "elements", elements));
    json_decref(elements);
    return blocks;
}

json_t *slack_message(const struct said *s)
{
    return json_pack("{s:s, s:b, s:o, s:o}", "response_type", s->in_channel ? "in_channel" : "ephemeral",
                     "replace_original", s->replace, "text", said_text(s, "\n<%s|%s>"), "blocks",
                     slack_blocks(s));
}

json_t *slack_post(const struct said *s, const char *channel)
{
    return json_pack("{s:s, s:o, s:o, s:b, s:b, s:s}", "channel", channel, "text", said_text(s, "\n<%s|%s>"),
                     "blocks", slack_blocks(s), "unfurl_links", 0, "unfurl_media", 0, "parse", "none");
}

static json_t *mattermost_actions(const struct said *s, const char *url, const char *secret)
{
    json_t *actions = json_array();
    for (size_t i = 0; i < s->n_buttons; i++) {
        const struct button *b = &s->buttons[i];
        char what[64], proof[65];
        snprintf(what, sizeof what, "%s:%s", b->action, b->code);
        proof_make(secret, what, proof);
        json_array_append_new(actions, json_pack("{s:s, s:s, s:s, s:{s:s, s:{s:s, s:s, s:s}}}", "id",
                                                 b->action, "name", b->label, "style", style_name(b->style),
                                                 "integration", "url", url, "context", "action", b->action,
                                                 "code", b->code, "proof", proof));
    }
    return actions;
}

json_t *mattermost_message(const struct said *s, const char *action_url, const char *proof_secret)
{
    json_t *m = json_pack("{s:s, s:o}", "response_type", s->in_channel ? "in_channel" : "ephemeral", "text",
                          said_text(s, "\n%s"));
    if (s->n_buttons && action_url && proof_secret)
        json_object_set_new(m, "attachments",
                            json_pack("[{s:s, s:o}]", "fallback", "confirm or cancel", "actions",
                                      mattermost_actions(s, action_url, proof_secret)));
    return m;
}

json_t *webhook_message(const struct said *s)
{
    return json_pack("{s:o}", "text", said_text(s, "\n%s"));
}
