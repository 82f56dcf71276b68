/* SPDX-License-Identifier: MIT */
/* Who asks: a token in the Authorization header, a browser's login by cookie, or the name that the trusted
 * proxy vouches for. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hash.h"
#include "serve/serve_priv.h"
#include "state/tokens.h"

static const char *cookie_name(const struct serve *s)
{
    /* Browsers hold __Host- cookies to Secure, path / and this very host; they exist over TLS only. */
    return strncmp(s->url, "https://", 8) == 0 ? "__Host-release" : "release";
}

static void be(struct request *r, const struct token_info *t, enum via door, enum actor_via via)
{
    r->actor = (struct actor){.name = arena_printf(r->arena, "%s:%s", via_name(door), t->name),
                              .person = arena_printf(r->arena, "token:%" PRId64, t->id),
                              .unnamed_bot = t->bot,
                              .right = t->role,
                              .via = via,
                              .token = t->id,
                              .login = "",
                              .csrf = ""};
    used_token(r->serve, t->id);
}

/* A form of ours can name what a page of others cannot know: a digest of the cookie. */
static const char *csrf_of(struct request *r, const char *secret)
{
    char hex[SHA256_HEX_LEN + 1];
    const char *text = arena_printf(r->arena, "csrf %s", secret);
    sha256_hex(text, strlen(text), hex);
    return arena_strdup(r->arena, hex);
}

/* user@example.org and the like; what else a proxy says is nobody. */
static bool user_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    return n > 0 && n <= 64 && name[n] == '\0' && name[0] != '-';
}

/* A bot says for whom it speaks: "hubot:ann", always behind its token's own name, so that it cannot pose as a
 * person who came in by another door. Whose token it is decides, not how it is named. */
static bool for_a_person(struct request *r, const struct token_info *t, struct reply *reply)
{
    const char *person = request_header(r, "X-Release-On-Behalf-Of");
    if (!person)
        return true;
    if (!user_ok(person))
        return reply_error(reply, 400, "usage",
                           "X-Release-On-Behalf-Of: not a name (wanted: letters, digits and ._@+-, "
                           "at most 64)");
    if (!t->bot || !token_bot_name_ok(t->name))
        return reply_error(
            reply, 403, "auth",
            "the token '%s' cannot speak for people; a bot's token can: 'release token add hubot "
            "--role operator --bot'",
            t->name);
    r->actor.name = arena_printf(r->arena, "%s:%s", t->name, person);
    r->actor.person = arena_printf(r->arena, "%s/%s", r->actor.person, person);
    r->actor.unnamed_bot = false;
    return true;
}

static bool by_bearer(struct request *r, const char *header, struct reply *reply)
{
    struct token_info *t = NULL;
    struct err err;
    const char *text = strncasecmp(header, "Bearer ", 7) == 0 ? header + 7 : "";
    text += strspn(text, " ");
    if (!token_check(reader(r->store, r->arena), text, &t, &err))
        return reply_err(reply, &err);
    if (!t)
        return reply_error(reply, 401, "auth", "this token is not known here, or was revoked");
    be(r, t, VIA_API, ACTOR_BEARER);
    return for_a_person(r, t, reply);
}

static bool by_cookie(struct request *r, const char *cookie, struct reply *reply)
{
    struct token_info *t = NULL;
    struct err err;
    if (!login_check(reader(r->store, r->arena), cookie, &t, &err))
        return reply_err(reply, &err);
    if (t) {
        be(r, t, VIA_PAGE, ACTOR_COOKIE);
        r->actor.csrf = csrf_of(r, cookie);
        r->actor.login = login_hash(cookie, r->arena);
    }
    return true; /* an old cookie is nobody's */
}

static void by_proxy(struct request *r, const char *name)
{
    const struct serve_config *c = &r->serve->config;
    r->actor =
        (struct actor){.name = arena_printf(r->arena, "page:%s", name),
                       .person = arena_printf(r->arena, "proxy/%s", name),
                       .right = c->proxy_right,
                       .via = ACTOR_PROXY,
                       .login = "",
                       .csrf = csrf_of(r, arena_printf(r->arena, "%s %s", r->serve->proxy_secret, name))};
}

bool auth_find(struct request *r, struct reply *reply)
{
    const struct serve_config *c = &r->serve->config;
    const char *bearer = request_header(r, "Authorization");
    const char *cookie = cookie_get(r, cookie_name(r->serve));
    const char *user = c->proxy_header ? request_header(r, c->proxy_header) : NULL;
    r->actor = (struct actor){.name = "", .person = "", .login = "", .csrf = ""};
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
        return by_bearer(r, bearer, reply);
    if (user && strcmp(r->peer, c->proxy_address) == 0 && user_ok(user)) {
        by_proxy(r, user);
        return true;
    }
    return !cookie || by_cookie(r, cookie, reply);
}

bool auth_csrf_ok(const struct request *r)
{
    if (r->actor.via == ACTOR_BEARER)
        return true; /* no browser sends it by itself */
    const char *given = request_header(r, "X-CSRF-Token");
    if (!given)
        given = request_form(r, "csrf");
    return given && r->actor.csrf[0] && strlen(given) == SHA256_HEX_LEN &&
           secret_equal(given, r->actor.csrf, SHA256_HEX_LEN);
}

/* ---- logging in and out */

static const char *cookie_text(struct request *r, const char *value, int64_t seconds)
{
    const char *name = cookie_name(r->serve);
    return arena_printf(r->arena, "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s", name, value,
                        (long long)seconds, strcmp(name, "release") == 0 ? "" : "; Secure");
}

static bool wants_json(const struct request *r)
{
    const char *accept = request_header(r, "Accept");
    return accept && strstr(accept, "application/json");
}

/* A token may be pasted with blanks around it. */
static const char *token_given(struct request *r)
{
    const char *text = request_form(r, "token");
    size_t n;
    if (!text)
        return "";
    text += strspn(text, " \t\r\n");
    n = strcspn(text, " \t\r\n");
    return arena_strndup(r->arena, text, n);
}

static void login(struct request *r, struct reply *reply)
{
    struct token_info *t = NULL;
    struct err err;
    char cookie[LOGIN_TEXT_MAX];
    if (!token_check(reader(r->store, r->arena), token_given(r), &t, &err)) {
        reply_err(reply, &err);
        return;
    }
    if (!t && wants_json(r)) {
        reply_error(reply, 401, "auth", "this token is not known here, or was revoked");
        return;
    }
    if (!t) {
        reply_redirect(reply, "/login?failed=1");
        return;
    }
    struct store *w = serve_writer(r->serve, &err);
    bool ok = w && login_add(w, t->id, clock_wall_ms() + SERVE_LOGIN_MS, cookie, &err);
    if (w)
        serve_writer_done(r->serve);
    if (!ok) {
        reply_err(reply, &err);
        return;
    }
    if (wants_json(r))
        reply_json(reply, 200,
                   json_pack("{s:s, s:s, s:s}", "name", t->name, "role", right_name(t->role), "csrf",
                             csrf_of(r, cookie)));
    else
        reply_redirect(reply, "/");
    reply_header(reply, "Set-Cookie", cookie_text(r, cookie, SERVE_LOGIN_MS / 1000));
}

static void logout(struct request *r, struct reply *reply)
{
    const char *cookie = cookie_get(r, cookie_name(r->serve));
    struct err err;
    struct store *w = cookie ? serve_writer(r->serve, &err) : NULL;
    bool ok = !cookie || (w && login_end(w, cookie, &err));
    if (w)
        serve_writer_done(r->serve);
    if (!ok) {
        reply_err(reply, &err);
        return;
    }
    reply_redirect(reply, "/login");
    reply_header(reply, "Set-Cookie", cookie_text(r, "", 0));
}

static void me(struct request *r, struct reply *reply)
{
    static const char *const vias[] = {"nobody", "token", "login", "proxy"};
    reply_json(reply, 200,
               json_pack("{s:s, s:s, s:s, s:s}", "name", r->actor.name, "role", right_name(r->actor.right),
                         "via", vias[r->actor.via], "csrf", r->actor.csrf));
}

const struct route auth_routes[] = {
    {.method = "POST", .pattern = "/login", .right = RIGHT_NONE, .handle = login},
    {.method = "POST", .pattern = "/logout", .right = RIGHT_VIEWER, .handle = logout},
    {.method = "GET", .pattern = "/api/v1/me", .right = RIGHT_VIEWER, .handle = me},
    ROUTE_END,
};
