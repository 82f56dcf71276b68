/* SPDX-License-Identifier: MIT */
/* What a balancer's program answers. First byte: 'd' to a write, 'c' to a list with sessions, else a list without. Names are fit for
 * lb.before, no server is out and serving, and what "can" says is told for each server. */
#include "drivers/balancer/command/command.h"
#include "fuzz.h"

static void check_rows(const struct lb_table *t, unsigned can, bool with_counts)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct lb_server *s = &t->rows[i];
        must(command_name_valid(s->pool) && command_name_valid(s->name) && !strpbrk(s->name, " ;=/\n"));
        must(s->state > LB_UNKNOWN && s->state < LB_STATES && (s->state != LB_MAINT || (can & LB_CAN_MAINT)));
        must(!(lb_state_is_out(s->state) && s->serving));
        must(!(can & LB_CAN_WEIGHT) || s->weight >= 0);
        must(!with_counts || !(can & LB_CAN_COUNTS) || s->sessions >= 0);
        must(s->port >= 0 && s->port <= 65535);
        must(!s->traffic ||
             (s->traffic->requests >= -1 && s->traffic->errors >= -1 && s->traffic->answer_ms >= -1));
        must(lb_table_find(t, s->pool, s->name) == s);
    }
}

static void list(const char *text, bool with_counts)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table t = {.n = 0};
    unsigned can = LB_CAN_ALL | LB_TELLS_ALL;
    if (command_parse_list(text, with_counts, &a, &can, &t, &err)) {
        must((can & LB_TELLS_ALL) == LB_TELLS_ALL && !(can & ~(unsigned)(LB_CAN_ALL | LB_TELLS_ALL)));
        check_rows(&t, can, with_counts);
    } else {
        must(err.code == E_PROTO && err.text[0] && !strpbrk(err.text, "\n\x1b"));
    }
}

static void done(const char *text)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    const char *refusal;
    if (command_parse_done(text, &a, &refusal, &err))
        must(!refusal || (*refusal && !strpbrk(refusal, "\n\x1b")));
    else
        must(err.code == E_PROTO && err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    if (data[0] == 'd')
        done(text);
    else
        list(text, data[0] == 'c');
    free(text);
    return 0;
}
