/* SPDX-License-Identifier: MIT */
/* Tokens and logins: rows that hold hashes, never what was handed out. */
#include "state/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "state/store_priv.h"

#define SECRET_BYTES 32

struct token_row {
    struct token_info info;
    const char *hash;
};

static void token_from_row(struct query *q, struct arena *arena, struct token_row *ret)
{
    ret->info = (struct token_info){
        .id = query_int(q, 0),
        .name = query_text(q, 1, arena),
        .role = (enum right)query_word(q, 2, right_from_name),
        .made_ms = query_int(q, 4),
        .made_by = query_text(q, 5, arena),
        .used_ms = query_int(q, 6),
        .revoked_ms = query_int(q, 7),
        .bot = query_int(q, 8) != 0,
    };
    ret->hash = query_text(q, 3, arena);
}

/* The first row of a question about tokens; info.id 0 when there is none. */
static bool token_one(struct reader r, const struct statement *what, struct token_row *ret, struct err *err)
{
    auto_query struct query q;
    *ret = (struct token_row){.hash = ""};
    if (!query_open(&q, r.store, what, err))
        return false;
    if (query_next(&q, err))
        token_from_row(&q, r.arena, ret);
    return !q.failed;
}

static bool name_is_free(struct store *s, const char *name, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct token_row row;
    if (!token_one(reader(s, &arena), SQL(TOKEN_NAMED, arg_text(name)), &row, err))
        return false;
    return row.info.id == 0 || err_set(err, E_USAGE,
                                       "token '%s' (%s) is in force since %" PRId64
                                       "; 'release token revoke %s' ends it, another name stands beside it",
                                       name, right_name(row.info.role), row.info.made_ms, name);
}

bool token_bot_name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    return n > 0 && n <= 16 && name[n] == '\0' && via_from_name(name) < 0 && strcmp(name, "cli") != 0;
}

bool token_add(struct store *s, const struct token_new *t, char ret_text[TOKEN_TEXT_MAX], struct err *err)
{
    char secret[2 * SECRET_BYTES + 1], hash[SHA256_HEX_LEN + 1];
    if (t->bot && !token_bot_name_ok(t->name))
        return err_set(
            err, E_USAGE,
            "'%s' cannot be a bot's name, which stands before the people it speaks for: wanted 1 to 16 "
            "small letters, and none of api, page, slack, mattermost, cli",
            t->name);
    random_hex(SECRET_BYTES, secret);
    sha256_hex(secret, strlen(secret), hash);
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = name_is_free(s, t->name, err) &&
              sql_run(s,
                      SQL(TOKEN_INSERT, arg_text(t->name), arg_text(right_name(t->role)), arg_text(hash),
                          arg_int(clock_wall_ms()), arg_text(t->made_by), arg_int(t->bot)),
                      err);
    snprintf(ret_text, TOKEN_TEXT_MAX, "rt%" PRId64 "-%s", (int64_t)(ok ? sql_id(s) : 0), secret);
    return tx_close(&tx, ok, err);
}

bool token_list(struct reader r, struct token_info **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct token_info);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(TOKEN_LIST), err))
        return false;
    while (query_next(&q, err)) {
        struct token_row row;
        token_from_row(&q, r.arena, &row);
        *(struct token_info *)vec_add(&found) = row.info;
    }
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool token_revoke(struct store *s, const char *name, bool *ret, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct token_row row;
    struct tx tx;
    *ret = false;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = token_one(reader(s, &arena), SQL(TOKEN_NAMED, arg_text(name)), &row, err);
    *ret = ok && row.info.id != 0;
    if (*ret)
        ok = sql_run(s, SQL(TOKEN_REVOKE, arg_int(row.info.id), arg_int(clock_wall_ms())), err);
    return tx_close(&tx, ok, err);
}

/* "rt3-<64 hex>" -> 3 and where the digits begin. */
static bool token_split(const char *text, int64_t *ret_id, const char **ret_secret)
{
    char *end = NULL;
    if (strncmp(text, "rt", 2) != 0 || text[2] < '1' || text[2] > '9')
        return false;
    *ret_id = strtoll(text + 2, &end, 10);
    *ret_secret = end + 1;
    return *end == '-' && end - text < 20 && strlen(end + 1) == 2 * SECRET_BYTES;
}

bool token_check(struct reader r, const char *text, struct token_info **ret, struct err *err)
{
    int64_t id;
    const char *secret;
    struct token_row row;
    char hash[SHA256_HEX_LEN + 1];
    *ret = NULL;
    if (!token_split(text, &id, &secret))
        return true;
    if (!token_one(r, SQL(TOKEN_GET, arg_int(id)), &row, err))
        return false;
    sha256_hex(secret, 2 * SECRET_BYTES, hash);
    if (row.info.id == 0 || row.info.revoked_ms != 0 || strlen(row.hash) != SHA256_HEX_LEN ||
        !secret_equal(row.hash, hash, SHA256_HEX_LEN))
        return true;
    *ret = arena_alloc(r.arena, sizeof(**ret));
    **ret = row.info;
    return true;
}

bool token_used(struct store *s, int64_t id, int64_t at_ms, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, sql_run(s, SQL(TOKEN_USED, arg_int(id), arg_int(at_ms)), err), err);
}

/* ---- logins */

bool login_add(struct store *s, int64_t token, int64_t expires_ms, char ret_cookie[LOGIN_TEXT_MAX],
               struct err *err)
{
    char hash[SHA256_HEX_LEN + 1];
    int64_t now = clock_wall_ms();
    random_hex(SECRET_BYTES, ret_cookie);
    sha256_hex(ret_cookie, strlen(ret_cookie), hash);
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok =
        sql_run(s, SQL(LOGIN_EXPIRE, arg_int(now)), err) &&
        sql_run(s, SQL(LOGIN_INSERT, arg_text(hash), arg_int(token), arg_int(now), arg_int(expires_ms)), err);
    return tx_close(&tx, ok, err);
}

const char *login_hash(const char *cookie, struct arena *arena)
{
    char hash[SHA256_HEX_LEN + 1];
    sha256_hex(cookie, strlen(cookie), hash);
    return arena_strdup(arena, hash);
}

bool token_in_force(struct store *s, int64_t token, const char *login, bool *ret, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct token_row row;
    const struct statement *of_login = SQL(LOGIN_GET, arg_text(login), arg_int(clock_wall_ms()));
    const struct statement *of_token = SQL(TOKEN_GET, arg_int(token));
    bool ok = token_one(reader(s, &arena), login[0] ? of_login : of_token, &row, err);
    *ret = ok && row.info.id == token && row.info.revoked_ms == 0;
    return ok;
}

bool login_check(struct reader r, const char *cookie, struct token_info **ret, struct err *err)
{
    char hash[SHA256_HEX_LEN + 1];
    struct token_row row;
    *ret = NULL;
    /* The index is searched by the hash: what its timing tells is of no use to whoever lacks the cookie. */
    sha256_hex(cookie, strlen(cookie), hash);
    if (!token_one(r, SQL(LOGIN_GET, arg_text(hash), arg_int(clock_wall_ms())), &row, err))
        return false;
    if (row.info.id == 0 || row.info.revoked_ms != 0)
        return true;
    *ret = arena_alloc(r.arena, sizeof(**ret));
    **ret = row.info;
    return true;
}

bool login_end(struct store *s, const char *cookie, struct err *err)
{
    char hash[SHA256_HEX_LEN + 1];
    struct tx tx;
    sha256_hex(cookie, strlen(cookie), hash);
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, sql_run(s, SQL(LOGIN_DELETE, arg_text(hash)), err), err);
}
