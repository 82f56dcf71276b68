/* SPDX-License-Identifier: MIT */
/* How a Varnish is made to fail the probe of those in front of it: a VCL of our own becomes active. It answers the
 * probed path with 503 and hands everything else, through a label, to the VCL that was active before; that one keeps
 * its backends and what their probes know, so nothing starts cold, neither now nor on the way back. */
#include "drivers/balancer/varnish/varnish.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define DOWN_PREFIX "release_down_"
#define UP_PREFIX   "release_up_"

/* A VCL string cannot hold quotes or percent signs: varnish_probe_path_valid. */
static const char down_vcl[] = "vcl 4.1;\n"
                               "backend release_none none;\n"
                               "sub vcl_recv {\n"
                               "  if (req.url == \"%s\" || req.url ~ \"^%s[?]\") {\n"
                               "    return (synth(%d, \"leaving rotation\"));\n"
                               "  }\n"
                               "  return (vcl(%s));\n"
                               "}\n";

bool varnish_probe_path_valid(const char *s)
{
    if (!s || s[0] != '/' || strlen(s) > 200)
        return false;
    for (; *s; s++) {
        if (!isascii((unsigned char)*s) || !(isalnum((unsigned char)*s) || strchr("/._~-", *s)))
            return false;
    }
    return true;
}

static bool is_down(const struct varnish_vcls *v)
{
    return str_starts(v->active, DOWN_PREFIX);
}

/* NULL: not known any more. */
static const char *vcl_before(const struct varnish_vcls *v)
{
    const char *suffix = v->active + strlen(DOWN_PREFIX);
    for (size_t i = 0; i < v->n; i++) {
        const struct varnish_vcl *row = &v->rows[i];
        if (row->label && str_starts(row->name, UP_PREFIX) && !strcmp(row->name + strlen(UP_PREFIX), suffix))
            return row->target;
    }
    return NULL;
}

/* return(vcl(label)) works from the active VCL only: where the user's VCL does the same, ours cannot stand
 * before it. */
static bool labels_of_others(const struct varnish_vcls *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->rows[i].label && !str_starts(v->rows[i].name, UP_PREFIX))
            return true;
    }
    return false;
}

/* One word of a CLI command. */
static const char *cli_quote(struct op *op, const char *text)
{
    auto_buf struct buf b = BUF_INIT(8192);
    buf_puts(&b, "\"");
    for (; *text; text++) {
        if (*text == '\n')
            buf_puts(&b, "\\n");
        else
            buf_printf(&b, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    }
    buf_puts(&b, "\"");
    return arena_strdup(op_arena(op), buf_str(&b));
}

/* false: not done; the op failed, or *ret_refusal says what Varnish has against it. */
__attribute__((format(printf, 3, 4))) static bool tell(struct vcli *c, const char **ret_refusal,
                                                       const char *fmt, ...)
{
    int status;
    char *body;
    va_list ap;
    va_start(ap, fmt);
    const char *command = arena_vprintf(op_arena(c->op), fmt, ap);
    va_end(ap);
    if (!vcli_ask(c, &status, &body, "%s", command))
        return false;
    if (status != VARNISH_OK)
        *ret_refusal = arena_printf(op_arena(c->op), "%s: %.*s: %d %s", c->admin->text,
                                    (int)strcspn(command, " "), command, status, lb_first_line(c->op, body));
    return status == VARNISH_OK;
}

/* Drops what earlier drains left: down VCLs first, they refer to the labels. An error is no harm: a busy one
 * goes next time. */
static void clean_up(struct vcli *c, const struct varnish_vcls *v)
{
    int status;
    char *body;
    static const char *const prefixes[] = {DOWN_PREFIX, UP_PREFIX};
    for (int p = 0; p < 2; p++) {
        for (size_t i = 0; i < v->n; i++) {
            if (str_starts(v->rows[i].name, prefixes[p]) && !v->rows[i].active &&
                !vcli_ask(c, &status, &body, "vcl.discard %s", v->rows[i].name))
                return;
        }
    }
}

bool varnish_can_leave(struct vcli *c, const char **ret_refusal)
{
    struct varnish_vcls now;
    if (!vcli_vcls(c, &now))
        return false;
    if (!is_down(&now) && labels_of_others(&now))
        *ret_refusal = arena_printf(op_arena(c->op),
                                    "%s: this Varnish uses VCL labels, so a VCL of ours cannot stand before "
                                    "%s; give down_cmd and up_cmd",
                                    c->admin->text, now.active);
    return true;
}

bool varnish_leaves(struct vcli *c, bool *ret)
{
    struct varnish_vcls now;
    if (!vcli_vcls(c, &now))
        return false;
    *ret = is_down(&now);
    return true;
}

bool varnish_leave(struct vcli *c, const char *path, int status, const char **ret_refusal)
{
    struct op *op = c->op;
    struct varnish_vcls now;
    if (!varnish_can_leave(c, ret_refusal) || *ret_refusal)
        return *ret_refusal != NULL;
    if (!vcli_vcls(c, &now))
        return false;
    if (is_down(&now))
        return true;
    clean_up(c, &now);
    const char *suffix = arena_printf(op_arena(op), "%" PRIx64, (uint64_t)clock_wall_ms());
    const char *up = arena_printf(op_arena(op), UP_PREFIX "%s", suffix);
    const char *down = arena_printf(op_arena(op), DOWN_PREFIX "%s", suffix);
    const char *vcl = arena_printf(op_arena(op), down_vcl, path, path, status, up);
    if (!tell(c, ret_refusal, "vcl.label %s %s", up, now.active) ||
        !tell(c, ret_refusal, "vcl.inline %s %s", down, cli_quote(op, vcl)) ||
        !tell(c, ret_refusal, "vcl.use %s", down))
        return *ret_refusal != NULL;
    op_say(op, "%s: the probe of %s now gets %d", c->admin->text, path, status);
    return true;
}

bool varnish_return(struct vcli *c, const char **ret_refusal)
{
    struct varnish_vcls now;
    if (!vcli_vcls(c, &now))
        return false;
    if (!is_down(&now)) /* restarted meanwhile, or somebody's hand: it serves by its own VCL */
        return true;
    const char *target = vcl_before(&now);
    if (!target) {
        *ret_refusal =
            arena_printf(op_arena(c->op),
                         "%s: which VCL was active before %s is not known; `vcl.use` the right one by hand",
                         c->admin->text, now.active);
        return true;
    }
    if (!tell(c, ret_refusal, "vcl.use %s", target))
        return *ret_refusal != NULL;
    if (vcli_vcls(c, &now))
        clean_up(c, &now);
    return !op_failed(c->op);
}
