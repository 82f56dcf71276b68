/* SPDX-License-Identifier: MIT */
/* Journal rows as a damaged journal may hold them: into records, replayed by the core, then the orders of a
 * resume. A row that is taken means the same when it is written again. One line of the input is one row:
 * kind|node|step|role|code|attempt|back|a|b|facts; a line "!" plus a letter is an event for the core. */
#include "fuzz_plans.h"
#include "run/run_priv.h"

static struct arena forever;
static struct plan *plan;
static struct core_plan rules;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    root_make();
    file_put("pillar/prod.sls", good_pillar, sizeof(good_pillar) - 1);
    must(root_compile("rolling", &forever, &plan));
    bridge_core_plan(plan, &forever, &rules);
    return 0;
}

static long field_number(char **io)
{
    char *field = strsep(io, "|");
    return field ? strtol(field, NULL, 10) : 0;
}

static const char *field_text(char **io)
{
    char *field = strsep(io, "|");
    return field ? field : "";
}

static struct row row_read(char *line)
{
    struct row row = {.release = 41, .verb = "", .text = ""};
    row.kind = (enum row_kind)((unsigned long)field_number(&line) % (ROW_COUNT + 1));
    row.node = field_text(&line);
    row.step = (int)field_number(&line);
    row.role = field_text(&line);
    row.code = field_text(&line);
    row.attempt = (int)field_number(&line);
    row.back = field_number(&line) != 0;
    row.a = field_number(&line);
    row.b = field_number(&line);
    row.facts = line ? line : "";
    return row;
}

static void row_take(struct core *core, const struct node_index *index, struct facts *facts, char *line)
{
    auto_arena struct arena arena = {0};
    struct record record, again;
    struct row row = row_read(line), written;
    if (!rows_to_record(plan, index, &row, &record))
        return;
    const struct row_context ctx = {.plan = plan, .release = 41, .facts = facts, .arena = &arena};
    rows_from_record(&ctx, &record, &written);
    must(rows_to_record(plan, index, &written, &again));
    must(again.kind == record.kind && again.code == record.code && again.attempt == record.attempt &&
         again.back == record.back && again.node == record.node && again.step == record.step &&
         again.a == record.a && again.b == record.b);
    facts_set_json(facts, record.node, row.facts);
    core_replay(core, &record);
}

/* Outcomes for whatever the last event asked for. */
static void event_take(struct core *core, struct update *update, char what, int64_t *now)
{
    static const enum order orders[] = {ORDER_RESUME, ORDER_ROLLBACK, ORDER_STOP, ORDER_ABORT};
    struct event ev = {.now_ms = *now += 1000, .kind = EV_TIMER};
    if (what >= '0' && what <= '3')
        ev = (struct event){.now_ms = *now, .kind = EV_ORDER, .order = orders[what - '0']};
    else if (what == 's')
        ev.kind = EV_START;
    else if (what >= 'a' && what <= 'c' && update->n_ops)
        ev = (struct event){.now_ms = *now,
                            .kind = EV_OUTCOME,
                            .op = update->ops[0].op,
                            .node = update->ops[0].node,
                            .outcome = what == 'a'   ? OUT_OK
                                       : what == 'b' ? OUT_FAILED
                                                     : OUT_UNKNOWN,
                            .ready = true,
                            .gauge = 3};
    core_step(core, &ev, update);
    for (uint32_t i = 0; i < update->n_ops; i++) {
        const struct plan_step *step;
        must(bridge_verb(plan, &update->ops[i], &step) != NULL);
    }
    (void)core_check(core); /* a journal that lies may break rules, never memory */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    static struct update update;
    int64_t now = 1;
    int exit_status;
    enum why why;
    struct core *core = core_init(arena_alloc(&arena, core_size(&rules)), &rules);
    const struct node_index *index = node_index_new(plan, &arena);
    struct facts *facts = facts_new(plan);
    update = (struct update){.n_ops = 0};
    for (int i = 0; n && i < 400; i++) {
        char *line = fuzz_part(&data, &n, '\n');
        if (line[0] == '!')
            event_take(core, &update, line[1], &now);
        else
            row_take(core, index, facts, line);
        free(line);
    }
    (void)core_ended(core, &exit_status, &why);
    facts_free(facts);
    return 0;
}
