/* SPDX-License-Identifier: MIT */
/* release token: who may ask the server. */
#include "cli/session.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "state/tokens.h"

static const struct option_def options[] = {
    {.name = "role",
     .arg = "ROLE",
     .help = "viewer (looks), operator (gives orders) or admin (breaks locks)"},
    {.name = "bot", .help = "add: of a bot, which says for whom it speaks (X-Release-On-Behalf-Of)"},
    OPTION_END,
};

static int wrong(const char *usage)
{
    say_error("token: usage: release token %s", usage);
    return EXIT_USAGE;
}

static int add(struct cli *cli, struct store *store, const char *name)
{
    const char *role = cli_opt(cli, "role");
    char text[TOKEN_TEXT_MAX];
    struct err err;
    int right = role ? right_from_name(role) : RIGHT_NONE;
    if (right <= RIGHT_NONE) {
        say_error("token: --role: wanted viewer, operator or admin: 'release token add %s --role operator'",
                  name);
        return EXIT_USAGE;
    }
    if (!token_add(store,
                   &(struct token_new){.name = name,
                                       .role = (enum right)right,
                                       .bot = cli_flag(cli, "bot"),
                                       .made_by = cli_who(cli)},
                   text, &err))
        return say_err(&err);
    if (cli_flag(cli, "json"))
        out_printf("{\"kind\":\"token\",\"name\":\"%s\",\"role\":\"%s\",\"token\":\"%s\"}\n", name, role,
                   text);
    else {
        out_printf("%s\n", text);
        say_note("token of %s (%s): shown this once, kept nowhere; 'release token revoke %s' ends it", name,
                 role, name);
    }
    return 0;
}

static int revoke(struct store *store, const char *name)
{
    struct err err;
    bool was;
    if (!token_revoke(store, name, &was, &err))
        return say_err(&err);
    if (!was) {
        say_error("token: no token '%s' is in force; 'release token list' lists them", name);
        return EXIT_USAGE;
    }
    out_printf("token of %s is revoked\n", name);
    return 0;
}

static void put_json(const struct token_info *t)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:b, s:I, s:s, s:I, s:I}", "kind", "token", "name", t->name, "role",
                  right_name(t->role), "bot", t->bot, "made", (json_int_t)t->made_ms, "made_by", t->made_by,
                  "used", (json_int_t)t->used_ms, "revoked", (json_int_t)t->revoked_ms);
    must(o);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    out_printf("%s\n", text);
    json_decref(o);
}

static int list(struct cli *cli, struct store *store)
{
    struct token_info *tokens;
    struct table t;
    struct err err;
    char made[CLOCK_TEXT_MAX], used[CLOCK_TEXT_MAX];
    size_t n;
    if (!token_list(reader(store, &cli->arena), &tokens, &n, &err))
        return say_err(&err);
    table_init(&t, &cli->arena, 6);
    TABLE_ROW(&t, "NAME", "ROLE", "MADE", "BY", "LAST USED", "");
    for (size_t i = 0; i < n; i++) {
        const struct token_info *k = &tokens[i];
        if (cli_flag(cli, "json"))
            put_json(k);
        else
            TABLE_ROW(&t, k->name,
                      arena_printf(&cli->arena, "%s%s", right_name(k->role), k->bot ? ", bot" : ""),
                      clock_text(k->made_ms, made, sizeof made), k->made_by,
                      k->used_ms ? clock_text(k->used_ms, used, sizeof used) : "never",
                      k->revoked_ms ? "revoked" : "");
    }
    if (cli_flag(cli, "json"))
        return 0;
    auto_buf struct buf out = BUF_INIT(4 * 1024 * 1024);
    if (n == 0)
        buf_puts(&out, "no tokens yet; 'release token add NAME --role viewer' makes one\n");
    else
        table_render(&t, &out);
    out_buf(&out);
    return 0;
}

static int run(struct cli *cli)
{
    const char *what = cli->words[0], *name = cli->n_words > 1 ? cli->words[1] : NULL;
    bool listing = strcmp(what, "list") == 0, adding = strcmp(what, "add") == 0;
    auto_store struct store *store = NULL;
    if (!listing && !adding && strcmp(what, "revoke") != 0)
        return wrong("add NAME --role ROLE [--bot], list, or revoke NAME");
    if (listing ? name != NULL : name == NULL)
        return wrong(adding ? "add NAME --role ROLE [--bot]" : listing ? "list" : "revoke NAME");
    if (name && !name_valid(name, 64)) {
        say_error("token: '%s' cannot be a name (letters, digits, '.', '_' and '-')", name);
        return EXIT_USAGE;
    }
    int status = cli_store(cli, listing ? STORE_READ : STORE_WRITE, &store);
    if (status)
        return status;
    return listing ? list(cli, store) : adding ? add(cli, store, name) : revoke(store, name);
}

const struct command command_token = {
    .name = "token",
    .summary = "Who may ask the server: make, list and revoke tokens",
    .usage = "add NAME --role ROLE [--bot] | list | revoke NAME",
    .text =
        "A token is shown once, when it is made; the journal keeps its SHA-256. A viewer looks, an operator\n"
        "gives orders (run, rollback, resume, pause, abort, lock, unlock), an admin also breaks locks of "
        "others.\n"
        "A bot speaks for the people of its room: its orders stand in the journal as hubot:ann.",
    .example = "  release token add ci --role operator",
    .options = options,
    .min_words = 1,
    .max_words = 2,
    .run = run,
};
