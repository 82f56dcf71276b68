/* SPDX-License-Identifier: MIT */
/* Between node.c (reading, probing) and node_change.c. */
#ifndef RELEASE_DRIVERS_NODE_PRIV_H
#define RELEASE_DRIVERS_NODE_PRIV_H

#include "drivers/node/feed.h"
#include "drivers/transport/transport.h"

/* runner.sh */
extern const char runner_text[];
extern const unsigned int runner_text_len;

/* One string for a login shell: words quoted, separated by spaces. */
void words_add(struct buf *command, const char *word);
/* Shell text "export NAME='value'" for each, ending in ":\n"; goes before the command's input. */
void env_text(struct buf *out, const struct node_cmd *cmd);
/* Refuses what could not be carried: a bad user or variable name, a command longer than a node accepts. */
bool cmd_valid(struct op *op, const struct node_cmd *cmd);
/* The command string's own limit: Linux takes 128 KiB in one argument. */
#define COMMAND_MAX (120u * 1024u)

const char *target_state_dir(const struct target *t);
struct call_text {
    const char *command, *prelude; /* as in struct call_req */
    const struct buf *input;
};
/* One call from start to end with all its output; the link is leased and, when lost, marked broken. */
enum link_end node_call(struct op *op, const struct target *t, const struct call_text *text,
                        struct feed *feed, struct call_end *ret, struct err *err);

/* A runner call: this, further words, runner_command_end. Where there is no runner it says "install". */
void runner_command(struct buf *out, const char *mode, const char *nonce, const char *key);
void runner_command_end(struct buf *out, const struct target *t, const char *nonce);
const char *runner_prelude(struct op *op, const struct target *t);
enum link_end runner_install(struct op *op, const struct target *t, struct err *err);
/* For LINK_LATE, LINK_CANCELED, LINK_LOST, LINK_REFUSED: the op fails with the words for it. */
void node_fail(struct op *op, const struct target *t, enum link_end end, const struct err *err);
/* The owner as a word for the runner, "-" for none. */
const char *op_owner(const struct op *op);
/* Where versions that went by the environment's name kept the fence, "" when that is the place itself. */
const char *node_place_before(struct op *op);
/* The runner refused because of its fence: said. false: it did not. */
bool claim_refused(struct op *op, const struct target *t, const struct feed *feed);
/* As node_change, on another target. */
bool target_change(struct op *op, const struct target *t, const struct node_cmd *cmd,
                   struct node_result *ret);
/* Has the op a node? */
bool node_needed(struct op *op);

#endif
