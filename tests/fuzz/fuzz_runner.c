/* SPDX-License-Identifier: MIT */
/* What a lying node can say (docs/promises.md#s25): bytes of both streams with the runner's lines in between,
 * through the feed, the judgement and the report of a script, as node_change would. First byte of each piece,
 * cut by NUL: which stream; \x01 in it stands for the marker of this call. Nothing of it may count twice, and
 * the op must end in words. */
#include "drivers/node/node_change.c" /* its judge is the thing to be tried, and nobody else's business */
#include "drivers/node/report.h"
#include "fuzz.h"

static int64_t logged;

static void sink(void *ctx, int stream, const char *data, size_t n)
{
    (void)ctx;
    must(stream >= 0 && stream <= 2 && (n == 0 || data != NULL));
    logged += (int64_t)n;
}

static void pieces_feed(struct feed *feed, const uint8_t *data, size_t n, unsigned step)
{
    while (n) {
        auto_buf struct buf text = BUF_INIT(1 << 20);
        char *piece = fuzz_part(&data, &n, 0);
        for (const char *p = piece + (piece[0] != '\0'); *p; p++)
            if (*p == '\x01')
                buf_printf(&text, "\n%s ", feed->nonce);
            else
                buf_add(&text, p, 1);
        for (size_t i = 0; i < text.len; i += step)
            feed_output(feed, piece[0] == 'o' ? 1 : 2, text.data + i,
                        text.len - i < step ? text.len - i : step);
        free(piece);
    }
    feed_end(feed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 32768)
        return 0;
    unsigned step = fuzz_byte(data, &n) % 61 + 1;
    struct op *op = fuzz_op(NULL, (struct op_sink){.write = sink});
    struct node_cmd cmd = {.script = "true", .cwd = "/srv"};
    struct change ch = {.op = op,
                        .target = op->spec.target,
                        .cmd = &cmd,
                        .key = "41-7",
                        .installed = true,
                        .silent = SILENT_MAX};
    struct feed feed;
    struct node_result ret = {.status = -1};
    bool good = false;
    logged = 0;
    taken_init(&ch.taken, op, &cmd);
    feed_init(&feed, &ch.taken);
    pieces_feed(&feed, data, n, step);
    must(logged == ch.taken.got[0] + ch.taken.got[1]);
    must(judge(&ch, &feed, &ret, &good) == DONE);
    must(good != op_failed(op));
    if (good) {
        enum outcome out = report_apply(op, &ret);
        must(out == OUT_OK || op_err(op)->text[0] != '\0');
    } else {
        must(op_err(op)->text[0] != '\0');
    }
    for (size_t i = 0; i < op->n_facts; i++)
        must(op->facts[i].name && op->facts[i].value);
    feed_fini(&feed);
    taken_fini(&ch.taken);
    op_free(op);
    return 0;
}
