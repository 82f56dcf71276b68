/* SPDX-License-Identifier: MIT */
/* release prepare: what the servers of an environment lack before a first release, and with --apply what of it can
 * be done without harm: a host's key that a person named by its fingerprint, a directory that is missing. Nothing
 * that is there is changed, and what runs there is only proposed. */
#include "cli/prepare.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "watch/json.h"

/* A host behind jump hosts shows its key when theirs are known: each round may bring the next. */
#define ROUNDS_MAX 8

static const struct option_def options[] = {
    {.name = "apply",
     .help = "do what can be done without harm: keys that --host-key names, missing directories"},
    {.name = "host-key",
     .arg = "SHA256:..",
     .help = "the key with this fingerprint is the host's own",
     .many = true},
    {.name = "only", .arg = "NODE,..", .help = "only these nodes"},
    PILLAR_OPTIONS,
    OPTION_END,
};

static struct plan_step dir_step(const char *verb, int64_t timeout_ms)
{
    return (struct plan_step){.verb = verb,
                              .label = verb,
                              .phase = PHASE_PREPARE,
                              .timeout_ms = timeout_ms,
                              .interval_ms = 500,
                              .where = "command line"};
}

/* The nodes, and the hosts of balancers that are reached through SSH. */
static int ask_all(struct session *s, struct plan *plan, struct host_keys *keys, struct probe **ret)
{
    struct plan_step look = dir_step("release.prepared", 30000);
    size_t n;
    int status = probe_step(s, plan, &look, ret, &n);
    if (status)
        return status;
    host_keys_take(keys, *ret, n);
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        struct plan_role *role = arena_alloc(&s->cli->arena, sizeof *role);
        struct probe *probes;
        *role = plan_role_of(plan, r);
        if (!role->show_step.verb)
            continue;
        if ((status = probe_step(s, plan, &role->show_step, &probes, &n)))
            return status;
        for (size_t i = 0; i < n; i++)
            probes[i].node = "balancer";
        host_keys_take(keys, probes, n);
    }
    return 0;
}

static bool is_named(struct cli *cli, const char *print)
{
    size_t n;
    const char *const *named = cli_opts(cli, "host-key", &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(named[i], print) == 0)
            return true;
    return false;
}

/* *ret_more: keys became known, so more may be asked now. */
static int keys_apply(struct cli *cli, struct host_keys *keys, bool *ret_more)
{
    struct err err;
    *ret_more = false;
    for (size_t i = 0; i < keys->n; i++) {
        struct host_key *key = &keys->list[i];
        if (key->named || !cli_flag(cli, "apply") || !is_named(cli, key->print))
            continue;
        if (!host_key_write(key, &err)) {
            err_wrap(&err, "prepare: the key of %s", key->name);
            return say_err(&err);
        }
        key->named = *ret_more = true;
        say_note("%s: %s is known now (%s)", key->name, key->print, key->file);
    }
    return 0;
}

/* A fingerprint that nobody shows is a mistake of whoever typed it, or the answer to another machine. */
static int keys_unseen(struct cli *cli, const struct host_keys *keys)
{
    size_t n, unseen = 0;
    const char *const *named = cli_opts(cli, "host-key", &n);
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < keys->n; k++)
            seen |= strcmp(keys->list[k].print, named[i]) == 0;
        if (!seen)
            say_note("--host-key %s: no host that is unknown here shows this key (is it known already?)",
                     named[i]);
        unseen += !seen;
    }
    return unseen > 0 && cli_flag(cli, "apply") && keys->n > 0 ? EXIT_PREFLIGHT : 0;
}

static void put_keys(struct lacks *lacks, const struct host_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        const struct host_key *key = &keys->list[i];
        if (!key->named)
            lacks_add(
                lacks, key->node,
                (struct lack){.kind = "host-key",
                              .text = arena_printf(lacks->arena, "host %s is not known; it shows %s (%s)",
                                                   key->name, key->print, key->type)});
    }
}

/* ---- what is shown */

static void put_json(struct buf *out, const char *env, const struct lack *lack)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:o?, s:b}", "kind", "lack", "env", env, "what", lack->kind,
                  "nodes", lack->nodes, "text", watch_text_json(lack->text, strlen(lack->text)), "do",
                  lack->act ? watch_text_json(lack->act, strlen(lack->act)) : NULL, "applies", lack->does);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    buf_printf(out, "%s\n", text);
    json_decref(o);
}

static void put_lack(struct buf *out, const struct lack *lack)
{
    size_t n = strlen(lack->nodes);
    bool named = strncmp(lack->text, lack->nodes, n) == 0 && str_starts(lack->text + n, ": ");
    if (!named)
        buf_printf(out, "%s: ", lack->nodes);
    text_visible(out, lack->text, strlen(lack->text));
    buf_puts(out, lack->does ? "; --apply makes it\n" : "\n");
    if (!lack->act)
        return;
    for (const char *p = lack->act; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        buf_puts(out, "    ");
        text_visible(out, p, strcspn(p, "\n"));
        buf_puts(out, "\n");
    }
}

/* The command that takes the keys, to be given when they were compared. */
static void put_keys_act(struct cli *cli, const char *env, const struct host_keys *keys, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < keys->n; i++)
        n += !keys->list[i].named;
    if (n == 0)
        return;
    buf_puts(
        out,
        "Compare each key with what the host itself says (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there). "
        "Where they are the same:\n    release prepare ");
    if (cli_opt(cli, "root")) {
        buf_puts(out, "--root ");
        quote_sh(out, cli_opt(cli, "root"));
        buf_puts(out, " ");
    }
    buf_printf(out, "%s --apply", env);
    for (size_t i = 0; i < keys->n; i++)
        if (!keys->list[i].named)
            buf_printf(out, " --host-key %s", keys->list[i].print);
    buf_puts(out, "\n");
}

static void show(struct cli *cli, const char *env, const struct lacks *lacks, const struct host_keys *keys)
{
    auto_buf struct buf out = BUF_INIT(8 * 1024 * 1024);
    bool json = cli_flag(cli, "json");
    for (size_t i = 0; i < lacks->n; i++) {
        if (json)
            put_json(&out, env, &lacks->list[i]);
        else
            put_lack(&out, &lacks->list[i]);
    }
    if (!json)
        put_keys_act(cli, env, keys, &out);
    out_buf(&out);
}

/* ---- what is done */

/* Under the lock and in the journal, as `exec` is. */
static int make_dirs(struct session *s, struct plan *plan, const bool *dirs)
{
    struct plan *some = plan_of_nodes(plan, dirs, &s->cli->arena);
    struct plan_step *step = arena_alloc(&s->cli->arena, sizeof *step);
    int status;
    if (some->n_nodes == 0)
        return 0;
    *step = dir_step("release.prepare", 60000);
    plan_only_step(some, step, "prepare");
    if ((status = session_refuse_unfinished(s)) || (status = session_lock(s, "prepare", 0, false)) ||
        (status = session_preflight(s, some)))
        return status;
    return session_start(s, some, 0);
}

static int apply(struct session *s, struct plan *plan, const struct lacks *lacks, const bool *dirs)
{
    size_t left = 0;
    for (size_t i = 0; i < lacks->n; i++)
        left += !lacks->list[i].does;
    int status = make_dirs(s, plan, dirs);
    return status ? status : left ? EXIT_PREFLIGHT : 0;
}

static int prepare(struct session *s, struct plan *plan)
{
    struct cli *cli = s->cli;
    struct host_keys keys = {.arena = &cli->arena};
    struct lacks lacks = {.arena = &cli->arena};
    struct probe *probes = NULL;
    bool more = true, *dirs = arena_array(&cli->arena, plan->n_nodes + 1, sizeof *dirs);
    int status = session_secrets(s, plan);
    for (int round = 0; round < ROUNDS_MAX && more && !status; round++) {
        if (!(status = ask_all(s, plan, &keys, &probes)))
            status = keys_apply(cli, &keys, &more);
    }
    if (status)
        return status;
    put_keys(&lacks, &keys);
    prepare_judge(&lacks, plan, probes, dirs);
    if ((status = prepare_apps(s, plan, probes, &lacks)))
        return status;
    show(cli, s->env, &lacks, &keys);
    int unseen = keys_unseen(cli, &keys);
    if (cli_flag(cli, "apply"))
        status = apply(s, plan, &lacks, dirs);
    else if (lacks.n)
        status = EXIT_PREFLIGHT;
    if (!status && !unseen && !cli_flag(cli, "json"))
        out_printf("%s: nothing is lacking; next: release check %s\n", s->env, s->env);
    return status ? status : unseen;
}

static int run(struct cli *cli)
{
    return session_with_plan(cli, cli_plan_look, cli_flag(cli, "apply") ? STORE_WRITE : STORE_READ, prepare);
}

const struct command command_prepare = {
    .name = "prepare",
    .summary = "What the servers lack before a first release; --apply does what is safe",
    .usage = "[ENV] [--apply] [--host-key SHA256:..]",
    .text =
        "Looks at every node: is its host key known, are there the user, git and the directory, does what starts "
        "and\nstops the application know it? It prints what is lacking and what to do about it, and ends with 6 then.\n"
        "--apply makes directories that are missing (through sudo where the login may ask it for exactly that), "
        "and\nadds those host keys to known_hosts that --host-key names by the fingerprint shown before. What is "
        "there is\nnever changed; configuration of supervisord and systemd is proposed, not written.",
    .example = "  release prepare prod\n  release prepare prod --apply --host-key SHA256:Qn8x...",
    .options = options,
    .max_words = 1,
    .run = run,
};
