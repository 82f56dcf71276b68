/* The lock on the node (drivers/node.h): the runner's fence file names the journal that the node belongs to,
 * written complete in one step under the node's flock. Every changing step asks it again (node_change.c). */
#include "drivers/node_priv.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

const char *op_owner(const struct op *op)
{
    return op->spec.owner ? op->spec.owner : "-";
}

bool claim_refused(struct op *op, const struct feed *feed)
{
    struct arena *a = op_arena(op);
    const char *id = op->spec.target->id, *words, *space;
    if ((words = feed_line(feed, "fenced", a))) {
        space = strchr(words, ' ');
        op_refused(op, E_FENCED,
                   "%s: refused: lock grant %.*s (%s) was here after ours (%" PRId64
                   "); this release was taken over. 'release status' tells by whom",
                   id, (int)strcspn(words, " "), words, space ? space + 1 : "?", op->spec.fence);
        return true;
    }
    if ((words = feed_line(feed, "held", a))) {
        space = strchr(words, ' ');
        op_refused(op, E_FENCED, "%s: held by %s (lock grant %.*s of another journal)", id,
                   space ? space + 1 : "?", (int)strcspn(words, " "), words);
        return true;
    }
    return false;
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
    if (claim_refused(op, feed))
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
