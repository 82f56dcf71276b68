/* SPDX-License-Identifier: MIT */
/* Reference pages out of the tables that the program itself goes by, so that they cannot drift: docs/cli.md
 * is `release help --markdown`, docs/verbs.md is `release help --verbs`, one verb is `release help
 * haproxy.drain`. A test compares both files with what is printed. */
#include "cli/docs.h"

#include <string.h>

#include "drivers/op/driver.h"

static const char *type_text(const struct param *p)
{
    switch (p->type) {
    case PARAM_STR: return "text";
    case PARAM_INT: return "number";
    case PARAM_BOOL: return "yes or no";
    case PARAM_DURATION: return "duration";
    case PARAM_SIZE: return "size";
    case PARAM_LIST: return "list";
    case PARAM_MAP: return "map";
    case PARAM_CHOICE: return p->choices ? p->choices : "choice";
    case PARAM_SECRET: return "secret (file:PATH or env:NAME)";
    }
    return "?";
}

static const char *scope_text(enum scope scope)
{
    switch (scope) {
    case SCOPE_NODE: return "on the node";
    case SCOPE_BALANCER: return "on the balancers, about one node";
    case SCOPE_CONTROLLER: return "on the controller";
    case SCOPE_FLEET: return "on the balancers, about all nodes";
    }
    return "?";
}

static void put_facts(struct buf *out, const struct verb *v, const char *sep)
{
    char text[DURATION_TEXT_MAX];
    buf_printf(out, "%s; %s", effect_name(v->effect), scope_text(v->scope));
    if (v->observe)
        buf_printf(out, "%sobserved by %s", sep, v->observe);
    if (v->undo_arg)
        buf_printf(out, "%s`undo` in the place of `%s` takes it back", sep, v->undo_arg);
    if (v->escalate)
        buf_printf(out, "%shalf-way to the deadline %s", sep, v->escalate);
    if (v->kill)
        buf_printf(out, "%sat the deadline, with on_timeout: kill, %s", sep, v->kill);
    if (v->waits)
        buf_printf(out, "%srepeated until it is so", sep);
    if (v->forward_only)
        buf_printf(out, "%snot run on the way back", sep);
    if (v->default_timeout_ms)
        buf_printf(out, "%stimeout %s", sep, duration_text(v->default_timeout_ms, text, sizeof text));
}

static void help_one_verb(struct buf *out, const struct driver *d, const struct verb *v)
{
    buf_printf(out, "%s - %s\n\n", v->name, v->help);
    put_facts(out, v, "; ");
    buf_puts(out, "\n");
    for (const struct param *p = v->params; p && p->name; p++) {
        buf_printf(out, "  %-14s %s%s%s%s: %s\n", p->name, type_text(p), p->required ? ", required" : "",
                   p->deflt ? ", default " : "", p->deflt ? p->deflt : "", p->help);
    }
    buf_printf(out, "\nIn a plan or a `build:` list:\n  - %s: {", v->name);
    size_t n = 0;
    for (const struct param *p = v->params; p && p->name; p++)
        if (p->required)
            buf_printf(out, "%s%s: ...", n++ ? ", " : "", p->name);
    buf_printf(out, "}\n\n%s: %s\n", d->name, d->help);
}

bool help_verb(struct buf *out, const char *name)
{
    const struct driver *d = NULL;
    const struct verb *v = verb_find(name, &d);
    if (v)
        help_one_verb(out, d, v);
    return v != NULL;
}

/* ---- markdown */

/* A table cell: bars would end it. */
static void put_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_puts(out, "\\");
        buf_add(out, text, 1);
    }
}

static void markdown_params(struct buf *out, const struct param *params)
{
    if (!params || !params->name)
        return;
    buf_puts(out, "\n| parameter | type | default | |\n|---|---|---|---|\n");
    for (const struct param *p = params; p->name; p++) {
        buf_printf(out, "| `%s` | ", p->name);
        put_cell(out, type_text(p));
        buf_puts(out, " | ");
        put_cell(out, p->required ? "required" : p->deflt ? p->deflt : "");
        buf_puts(out, " | ");
        put_cell(out, p->help);
        buf_puts(out, " |\n");
    }
}

void docs_verbs(struct buf *out)
{
    buf_puts(
        out,
        "# Verbs: what a step of a plan can call\n\n"
        "Printed by `release help --verbs` from the tables of the drivers. Besides its own parameters every\n"
        "step takes `timeout` (its whole deadline), `retries` (after a certain failure) and `once` (before,\n"
        "first, after: once in a release instead of once a node).\n");
    for (const struct driver *const *d = driver_table; *d; d++) {
        buf_printf(out, "\n## %s\n\n%s\n", (*d)->name, (*d)->help);
        for (const struct verb *v = (*d)->verbs; v->name; v++) {
            buf_printf(out, "\n### %s\n\n%s\n\n*", v->name, v->help);
            put_facts(out, v, "; ");
            buf_puts(out, "*\n");
            markdown_params(out, v->params);
        }
    }
}

static void markdown_options(struct buf *out, const struct option_def *o)
{
    if (!o || !o->name)
        return;
    buf_puts(out, "\n| option | |\n|---|---|\n");
    for (; o->name; o++) {
        buf_printf(out, "| `--%s%s%s` | ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        put_cell(out, o->help);
        buf_printf(out, "%s |\n", o->many ? " (may be repeated)" : "");
    }
}

void docs_cli(struct buf *out)
{
    buf_puts(out,
             "# The command line\n\n"
             "Printed by `release help --markdown` from the tables of the program. Options may stand before "
             "or after\n"
             "the environment; `ENV` may be left out when the pillar has only one.\n\n## Common options\n");
    markdown_options(out, common_options);
    for (const struct command *const *c = command_table; *c; c++) {
        buf_printf(out, "\n## release %s\n\n    release %s %s\n\n%s.\n", (*c)->name, (*c)->name, (*c)->usage,
                   (*c)->summary);
        if ((*c)->text)
            buf_printf(out, "\n%s\n", (*c)->text);
        markdown_options(out, (*c)->options);
        buf_puts(out, "\nExample:\n\n```\n");
        buf_printf(out, "%s\n```\n", (*c)->example);
    }
}
