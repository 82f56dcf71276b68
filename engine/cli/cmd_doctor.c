/* SPDX-License-Identifier: MIT */
/* release doctor: for whoever has just installed it, or wonders which journal and which root a command here means. It only
 * looks, and only at this machine. */
#include "cli/doctor.h"

#include <jansson.h>
#include <string.h>

#include "base/auto.h"
#include "watch/json.h"

static const struct option_def options[] = {PILLAR_OPTIONS, OPTION_END};

void findings_add(struct findings *f, struct finding one)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 32;
        struct finding *more = arena_array(&f->cli->arena, f->cap, sizeof *more);
        for (size_t i = 0; i < f->n; i++)
            more[i] = f->list[i];
        f->list = more;
    }
    f->list[f->n++] = one;
}

static const char *const level_names[] = {
    [FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_WRONG] = "wrong"};

static void put_json(struct buf *out, const struct finding *one)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o?}", "kind", "finding", "level", level_names[one->level],
                          "what", one->what, "found", watch_text_json(one->found, strlen(one->found)), "mend",
                          one->mend ? watch_text_json(one->mend, strlen(one->mend)) : NULL);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    buf_printf(out, "%s\n", text);
    json_decref(o);
}

static void put_text(struct buf *out, const struct findings *f)
{
    struct table t;
    table_init(&t, &f->cli->arena, 3);
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *one = &f->list[i];
        const char *mend =
            one->mend ? arena_printf(&f->cli->arena, "%s; %s", one->found, one->mend) : one->found;
        TABLE_ROW(&t, level_names[one->level], one->what, mend);
    }
    table_render(&t, out);
}

static int show(const struct findings *f)
{
    auto_buf struct buf out = BUF_INIT(1024 * 1024);
    size_t wrong = 0;
    int status = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (cli_flag(f->cli, "json"))
            put_json(&out, &f->list[i]);
        if (f->list[i].level == FINDING_WRONG && wrong++ == 0)
            status = f->list[i].status;
    }
    if (!cli_flag(f->cli, "json"))
        put_text(&out, f);
    out_buf(&out);
    if (wrong)
        say_error("doctor: %zu thing%s to mend", wrong, wrong == 1 ? "" : "s");
    return status;
}

static int run(struct cli *cli)
{
    struct findings f = {.cli = cli};
    findings_add(&f, (struct finding){.what = "release", .found = cli->version});
    doctor_journal(&f);
    doctor_root(&f);
    doctor_programs(&f);
    doctor_limits(&f);
    doctor_libraries(&f);
    return show(&f);
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "Is this machine fit: programs, libraries, which journal, which root",
    .usage = "[ENV]",
    .text =
        "Looks at this machine only, and changes nothing: which journal and which root a command here means and "
        "why,\nthe programs it calls, the libraries it runs with. With ENV its pillar and plan are read, too. Ends "
        "with 7 when\nthe journal cannot be used, 2 when pillar or plan have mistakes, 6 when a program is missing.",
    .example = "  release doctor\n  release doctor prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
