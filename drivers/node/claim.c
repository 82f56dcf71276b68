/* SPDX-License-Identifier: MIT */
/* The lock on the node (drivers/node/node.h): the runner's fence file names the journal that the node belongs to,
 * written complete in one step under the node's flock. Every changing step asks it again (node_change.c). */
#include "drivers/node/node_priv.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

const char *op_owner(const struct op *op)
{
    return op->spec.owner ? op->spec.owner : "-";
}

/* "j:IDENTITY.ENVIRONMENT,OLDER": is `owner` one of these? */
static bool word_in(const char *owners, const char *owner)
{
    size_t n = strlen(owner);
    for (const char *s = owners; *s; s += strcspn(s, ","), s += *s == ',')
        if (strcspn(s, ",") == n && strncmp(s, owner, n) == 0)
            return true;
    return false;
}

enum owned node_owned(const char *owners, const char *owner)
{
    size_t n = strcspn(owners, ".");
    if (strcmp(owner, "-") == 0)
        return OWNED_NOT;
    if (word_in(owners, owner))
        return OWNED_OURS;
    return owners[n] == '.' && strncmp(owner, owners, n + 1) == 0 ? OWNED_BESIDE : OWNED_ELSEWHERE;
}

/* "NUMBER OWNER HOLDER..." */
static void held_refused(struct op *op, const struct target *t, const char *words)
{
    struct arena *a = op_arena(op);
    size_t number = strcspn(words, " "), owner = strcspn(words + number + (words[number] != '\0'), " ");
    const char *name = arena_strndup(a, words + number + (words[number] != '\0'), owner);
    const char *holder = words + number + 1 + owner;
    holder = words[number] && *holder ? holder + 1 : "?";
    if (node_owned(op_owner(op), name) == OWNED_BESIDE)
        op_refused(op, E_LOCKED,
                   "%s: its directory is held by %s (lock grant %.*s of this journal, for another "
                   "environment)",
                   t->id, holder, (int)number, words);
    else
        op_refused(op, E_FENCED, "%s: held by %s (lock grant %.*s of another journal)", t->id, holder,
                   (int)number, words);
}

bool claim_refused(struct op *op, const struct target *t, const struct feed *feed)
{
    struct arena *a = op_arena(op);
    const char *id = t->id, *words, *space;
    if ((words = feed_line(feed, "fenced", a))) {
        space = strchr(words, ' ');
        op_refused(op, E_FENCED,
                   "%s: refused: lock grant %.*s (%s) was here after ours (%" PRId64
                   "); this release was taken over. 'release status' tells by whom",
                   id, (int)strcspn(words, " "), words, space ? space + 1 : "?", op->spec.fence);
        return true;
    }
    if ((words = feed_line(feed, "held", a))) {
        held_refused(op, t, words);
        return true;
    }
    return false;
}

const char *node_place_before(struct op *op)
{
    const char *env = op_var(op, "env"), *now = target_state_dir(op->spec.target);
    const char *before = env ? arena_printf(op_arena(op), ".release/%s/%s", env, op->spec.target->id) : "";
    return strcmp(before, now) == 0 ? "" : before;
}

static void claim_words(struct op *op, struct buf *command)
{
    char since[CLOCK_TEXT_MAX];
    const struct op_spec *spec = &op->spec;
    buf_printf(command, " %" PRId64, spec->fence);
    words_add(command, op_owner(op));
    buf_printf(command, " %" PRId64, spec->forced);
    words_add(command, arena_printf(op_arena(op), "%s since %s", spec->holder ? spec->holder : "?",
                                    clock_text(clock_wall_ms(), since, sizeof(since))));
    words_add(command, spec->target->identity ? spec->target->identity : "");
    words_add(command, node_place_before(op));
}

static void free_words(struct op *op, struct buf *command)
{
    buf_printf(command, " %" PRId64, op->spec.fence);
    words_add(command, op_owner(op));
}

static void judge(struct op *op, const struct feed *feed)
{
    const char *id = op->spec.target->id, *w;
    struct arena *a = op_arena(op);
    if (claim_refused(op, op->spec.target, feed))
        return;
    if ((w = feed_line(feed, "identity", a)))
        op_refused(op, E_IDENTITY, "%s: this is %s, and the plan was made for %s; nothing was done there", id,
                   w, op->spec.target->identity);
    else if ((w = feed_line(feed, "cannot", a)))
        op_refused(op, E_IO, "%s: cannot %s; is the disk full or read-only?", id, w);
    else if (!feed_line(feed, "state", a))
        op_fail(op, E_PROTO, "%s: the runner gave no answer to its lock", id);
}

/* One question, again when the link broke or the runner had to be installed first: both may be repeated. */
static enum outcome ask(struct op *op, const char *mode, void (*words)(struct op *, struct buf *))
{
    const struct target *t = op->spec.target;
    struct node_cmd quiet = {.quiet = true};
    struct err err = {0};
    enum link_end end = LINK_LOST;
    bool again = true;
    if (!node_needed(op))
        return op_end(op);
    for (int attempt = 0; attempt < 3 && again; attempt++) {
        struct taken taken;
        struct feed feed;
        struct call_end call_end = {0};
        auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
        taken_init(&taken, op, &quiet);
        feed_init(&feed, &taken);
        runner_command(&command, mode, feed.nonce, "lock");
        words(op, &command);
        runner_command_end(&command, t, feed.nonce);
        struct call_text text = {.command = buf_str(&command), .prelude = runner_prelude(op, t)};
        end = node_call(op, t, &text, &feed, &call_end, &err);
        again = end == LINK_LOST;
        if (end == LINK_OK && feed_line(&feed, "install", op_arena(op))) {
            end = runner_install(op, t, &err);
            again = end == LINK_OK || end == LINK_LOST;
        } else if (end == LINK_OK) {
            judge(op, &feed);
        }
        feed_fini(&feed);
        taken_fini(&taken);
    }
    if (end != LINK_OK)
        node_fail(op, t, end, &err);
    return op_end(op);
}

enum outcome node_claim(struct op *op)
{
    return ask(op, "claim", claim_words);
}

enum outcome node_free(struct op *op)
{
    return ask(op, "free", free_words);
}
