/* SPDX-License-Identifier: MIT */
/* What is said in a room, and its form for Slack, Mattermost and plain webhooks. Pure.
 *
 * A `said` is made of pieces that are already safe: say_text puts texts of ours, say_quote those of anybody
 * else (branch names, reasons, people, what nodes print). */
#ifndef RELEASE_CHAT_MESSAGE_H
#define RELEASE_CHAT_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define SAID_TEXT_MAX    2900 /* a Slack section takes 3000 characters */
#define SAID_BUTTONS_MAX 3

/* DANGER: what takes something away (a way back), so that it is never the colour of "go on". */
enum button_style { BUTTON_PRIMARY, BUTTON_DANGER, BUTTON_PLAIN };
struct button {
    const char *label, *action, *code; /* "Release", "confirm", "K7Q2" */
    enum button_style style;
};
struct said {
    struct buf text;               /* lines; escaped */
    const char *link, *link_label; /* a page of ours, or NULL */
    struct button buttons[SAID_BUTTONS_MAX];
    size_t n_buttons;
    bool in_channel; /* everybody sees it; else the person alone */
    bool replace;    /* over the message with the buttons */
};
#define SAID_INIT ((struct said){.text = BUF_INIT(SAID_TEXT_MAX)})
void said_fini(struct said *s);
#define auto_said __attribute__((cleanup(said_fini)))

/* Our own words. */
void say_text(struct said *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Anybody's words: control bytes are shown, & < > are entities, no mention, link or markup comes through;
 * line ends become spaces (docs/promises.md#s12). */
void say_quote(struct said *s, const char *text);
/* A block of what a program printed: several lines, the same care. */
void say_output(struct said *s, const char *text);
void say_button(struct said *s, const char *label, const char *action, const char *code,
                enum button_style style);
/* The button beside it that does nothing. */
void say_cancel(struct said *s, const char *code);

/* Bodies; the caller decrefs. */
json_t *slack_message(const struct said *s);                   /* response to a command, response_url */
json_t *slack_post(const struct said *s, const char *channel); /* chat.postMessage, chat.update */
/* action_url: where buttons post to; proof_secret: see proof_make. NULL: no buttons, the typed code is
 * enough. */
json_t *mattermost_message(const struct said *s, const char *action_url, const char *proof_secret);
json_t *webhook_message(const struct said *s);

#endif
