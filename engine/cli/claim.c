/* SPDX-License-Identifier: MIT */
/* The lock on the nodes, as the commands use it: taken before the plan is frozen, given back when nothing is
 * left to do. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/hash.h"

static void add_line_of(const char *path, struct buf *out)
{
    char line[256] = "";
    auto_close_file FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f))
        buf_puts(out, line);
}

/* As older versions named a journal: by where it lies. Nodes that were claimed so are still ours. */
static const char *owner_by_place(struct session *s)
{
    char hex[SHA256_HEX_LEN + 1];
    auto_free char *path = realpath(store_place(s->store), NULL);
    auto_buf struct buf text = BUF_INIT(8192);
    add_line_of("/etc/machine-id", &text);
    if (text.len == 0)
        buf_puts(&text, s->opt.host); /* a name may change, but there is nothing better */
    buf_printf(&text, "\n%s", path ? path : store_place(s->store));
    sha256_hex(text.data, text.len, hex);
    return arena_printf(&s->cli->arena, "j:%.16s", hex);
}

const char *session_owner(struct session *s)
{
    char hex[SHA256_HEX_LEN + 1];
    struct err err;
    const char *id;
    auto_buf struct buf name = BUF_INIT(ENV_NAME_MAX);
    if (!store_identity(reader(s->store, &s->cli->arena), &id, &err) || !id[0])
        id = "none"; /* there is no journal yet: it owns no node */
    buf_printf(&name, "%s:%s", s->key.app, s->key.env);
    sha256_hex(name.data, name.len, hex);
    return arena_printf(&s->cli->arena, "j:%s.%.8s,%s", id, hex, owner_by_place(s));
}

/* Two environments with a node in common are one to the lock: in this journal by its sites, on the node by
 * the fence in the directory. */
static int take_sites(struct session *s, const struct plan *plan, bool going_on)
{
    struct err err;
    size_t n;
    const struct site *sites = run_sites(plan, &s->cli->arena, &n);
    if (sites_take(s->store, &(struct sites){.env = s->env, .list = sites, .n = n}, going_on, &err))
        return 0;
    err_wrap(&err, "%s", s->cli->command->name);
    return say_err(&err);
}

int session_claim(struct session *s, const struct plan *plan)
{
    struct err err;
    int status = take_sites(s, plan, false);
    if (status)
        return status;
    if (run_claim(plan, &s->opt, false, &err))
        return 0;
    if (err.code == E_LOCKED) {
        say_error(
            "%s: %s is locked: %s; nothing was touched. 'release resume', 'release rollback' or 'release "
            "unlock --force --reason WHY' of that environment frees it",
            s->cli->command->name, s->env, err.text);
        return EXIT_LOCKED;
    }
    if (err.code != E_FENCED) {
        say_error("%s: %s: %s; nothing was touched", s->cli->command->name, s->env, err.text);
        return EXIT_PREFLIGHT;
    }
    say_error(
        "%s: %s is locked: %s; nothing was touched. Look there first; when that journal is lost, 'release "
        "unlock %s --force --fence N --reason WHY' with the number of that grant takes the nodes from it",
        s->cli->command->name, s->env, err.text, s->env);
    return EXIT_LOCKED;
}

int session_claim_again(struct session *s, const struct plan *plan)
{
    struct err err;
    int status = take_sites(s, plan, true);
    if (status)
        return status;
    if (run_claim(plan, &s->opt, true, &err))
        return 0;
    say_error("%s: %s: %s; nothing more was done. The nodes are another controller's by now; 'release unlock "
              "%s --force --reason WHY' gives the release up in this journal",
              s->cli->command->name, s->env, err.text, s->env);
    return EXIT_PERSON;
}

void session_free(struct session *s, const struct plan *plan, int64_t id)
{
    struct release_info *r = NULL;
    struct err err;
    const char *left;
    bool open_end =
        id > 0 && (!release_get(reader(s->store, &s->cli->arena), id, &r, &err) || !r || r->resumable);
    bool continues = KIND_MOVES(plan->kind);
    if (open_end && continues)
        return;
    run_free(plan, &s->opt, &s->cli->arena, &left);
    if (left)
        say_note("the lock on %s could not be given back (no answer); to this journal that is no obstacle",
                 left);
}

int session_superseded(struct session *s, const struct plan *plan, int64_t id, const struct err *err)
{
    say_error("%s %" PRId64 " of %s is superseded: %s; nothing more was started. 'release unlock %s --force "
              "--reason WHY' gives it up in this journal",
              kind_name(plan->kind), id, s->env, err->text, s->env);
    return EXIT_PERSON;
}
