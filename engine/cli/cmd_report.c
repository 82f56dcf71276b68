/* SPDX-License-Identifier: MIT */
/* release report: what a release was, fit for a pull request, a ticket or a post-mortem. */
#include "cli/session.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/auto.h"
#include "cli/doc_text.h"
#include "serve/html_doc.h"
#include "serve/report_of.h"

#define REPORT_MAX (32 * 1024 * 1024)

static const struct option_def options[] = {
    {.name = "html", .help = "a page by itself: nothing is fetched, nothing runs"},
    {.name = "md", .help = "Markdown, for a pull request or a ticket"},
    OPTION_END,
};

static void put_json(const struct report *rep, struct buf *out)
{
    json_t *o = report_json(rep);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    json_decref(o);
    buf_printf(out, "%s\n", text);
}

static int run(struct cli *cli)
{
    auto_store struct store *store = NULL;
    auto_buf struct buf out = BUF_INIT(REPORT_MAX);
    struct release_info *r;
    struct report rep;
    struct err err;
    int status;
    if (cli_flag(cli, "html") + cli_flag(cli, "md") + cli_flag(cli, "json") > 1) {
        say_error("report: --html, --md and --json are three forms of it; give one");
        return EXIT_USAGE;
    }
    if ((status = cli_store(cli, STORE_READ, &store)) || (status = cli_release_meant(cli, store, &r)))
        return status;
    if (!report_of_release(reader(store, &cli->arena), r, &rep, &err))
        return say_err(&err);
    const struct doc doc = report_doc(&rep, &cli->arena);
    if (cli_flag(cli, "json"))
        put_json(&rep, &out);
    else if (cli_flag(cli, "html"))
        html_doc_alone(&out, &doc);
    else if (cli_flag(cli, "md"))
        doc_markdown(&doc, &out);
    else
        doc_text(&doc, &out);
    out_buf(&out);
    return 0;
}

const struct command command_report = {
    .name = "report",
    .summary = "What a release was: who, what, why, its way, its failures, its times",
    .usage = "[N | ENV] [--html] [--md]",
    .text =
        "N is the number of a release; without it the newest one. For a pull request, a ticket or a post-mortem:\n"
        "commits, timeline, how many nodes were in rotation, slowest steps, failures with the last output, and how\n"
        "long earlier ones took. What the journal does not know is said to be unknown.",
    .example =
        "  release report 41 --md | gh pr comment 7 --body-file -\n  release report 41 --html > release-41.html",
    .options = options,
    .max_words = 1,
    .run = run,
};
