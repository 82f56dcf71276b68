/* SPDX-License-Identifier: MIT */
/* From a wish to an order: what needs a yes, whose, and what is done with it. The rules of confirmations and
 * approvals; the rows are state/chat.h's. */
#ifndef RELEASE_CHAT_ASKS_H
#define RELEASE_CHAT_ASKS_H

#include "chat/message.h"
#include "serve/serve.h"
#include "state/chat.h"

#define ASK_CONFIRM_MS (5 * 60 * 1000)
#define ASK_APPROVE_MS (15 * 60 * 1000)

/* Who wants something, and where they are. */
struct asker {
    const char *who;    /* "slack:ann" */
    const char *person; /* "slack/T1/U1"; of the page and the API struct actor's: "token:3/ann" */
    enum via via;
    const char *place;    /* recorded with orders: "T1/C1/U1", an address */
    const char *reply_to; /* response_url that was vetted, or "" */
};

/* What the environment asks of people. false: it is not there (E_CONFIG, with those that are). */
struct consent {
    bool confirm, second;
};
bool consent_of(const char *root, const char *env, struct consent *ret, struct err *err) MUST_CHECK;

/* The wish as the row keeps it, and back; strings live in `arena`. */
const char *wish_text(const struct order_wish *w, struct arena *arena);
bool wish_load(const struct ask *a, struct arena *arena, struct order_wish *ret);

/* Who waits there, for the lock or for a yes, is not who waited: pages that look at it ask anew. */
void waits_changed(struct serve *s, const char *env);

/* Starts the order at once; its answers go to the asker. */
bool ask_go(struct serve *s, const struct order_wish *w, const struct asker *who, int64_t *ret_order,
            struct err *err) MUST_CHECK;
/* A child looks at what it would do (*ret_look: its order); the question, or for verb `plan` the answer,
 * follows. Who asks on the page or by the API has confirmed already: a second person is asked next. */
bool ask_look(struct serve *s, const struct order_wish *w, const struct asker *who, int64_t *ret_look,
              char ret_code[ASK_CODE_LEN + 1], struct err *err) MUST_CHECK;
/* Only nodes and repository know what it would do: it is looked at before the question (run; rollback to a
 * revision or a moment). Of what else is asked about the journal knows. */
bool ask_wants_look(const struct order_wish *w);
/* rollback, resume: which release it is about, by the journal; the wish names it from then on. false:
 * E_NOTFOUND when there is none. */
bool ask_subject(struct store *store, struct order_wish *w, struct arena *arena, struct release_info **ret,
                 struct err *err) MUST_CHECK;
/* A question without a plan (rollback, resume), or one that waits for a second person at once (page, API):
 * state is ASK_CONFIRM or ASK_APPROVE. */
bool ask_open(struct serve *s, const struct order_wish *w, const struct asker *who, enum ask_state state,
              char ret_code[ASK_CODE_LEN + 1], struct err *err) MUST_CHECK;

/* What was looked at, or confirmed, waits for a second person now, and rooms and pages are told. `step` says
 * what changes with it. *ret_moved false: it was answered meanwhile. */
bool ask_second(struct serve *s, const struct ask *a, struct ask_step step, bool *ret_moved,
                struct err *err) MUST_CHECK;
/* Came from the page or the API, where the order itself names the environment a second time. */
bool ask_confirmed(const struct ask *a);
/* "run of f5d9859f5d98 (main), stages 1,100%, only app1"; "rollback of release 41". */
void ask_tell(struct said *out, const struct ask *a, struct arena *arena);

/* May this person say this to that ask? NULL: yes; else the sentence that says why not. Pure. */
enum ask_reply { ANSWER_CONFIRM, ANSWER_CANCEL, ANSWER_APPROVE };
const char *answer_refused(const struct ask *a, enum ask_reply answer, const struct asker *who,
                           int64_t now_ms, struct arena *arena);
/* Does it. The sentence of the result is in `out`; false: nothing was done, err has the sentence. */
struct ask_answer {
    const char *code;
    enum ask_reply reply;
    const struct asker *who;
};
bool ask_answer(struct serve *s, struct reader r, const struct ask_answer *answer, struct said *out,
                struct err *err) MUST_CHECK;

#endif
