/* SPDX-License-Identifier: MIT */
/* What is released when it is no repository: files that were built elsewhere, one for each version. A version becomes a commit in
 * the controller's cache (drivers/verbs/sh/source.sh) and is from there on brought, kept and taken back as any other
 * (git.fetch, via: controller): the same bytes to every node, checked by hash, and of a new version what differs. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/op/http_call.h"
#include "drivers/verbs/git_carry.h"
#include "drivers/verbs/git_name.h"
#include "drivers/verbs/scripts.h"

#define REDIRECTS_MAX 5
#define ANSWER_MAX    4096       /* of what is no artifact */
#define DIGESTS_MAX   (1u << 20) /* a SHA256SUMS of all versions */

static const struct param params[] = {
    {.name = "artifact",
     .type = PARAM_STR,
     .required = true,
     .help =
         "an archive (tar, zip) or directory on the controller, or an https address; {rev} in it is what --rev says"},
    {.name = "sha256",
     .type = PARAM_STR,
     .help =
         "what the file must have: 64 hex digits, or where a file with them is (as sha256sum writes it), with {rev}"},
    {.name = "strip",
     .type = PARAM_INT,
     .deflt = "0",
     .help = "so many directories at the top of the archive are left out"},
    {.name = "token",
     .type = PARAM_SECRET,
     .help = "sent as 'Authorization: Bearer' to the artifact's address"},
    {.name = "ca",
     .type = PARAM_STR,
     .help = "file of certificates that vouch for the addresses; default: the system's"},
    {.name = "repo",
     .type = PARAM_STR,
     .required = true,
     .help = "what its versions are kept as; default {repo}"},
    {.name = "rev", .type = PARAM_STR, .required = true, .help = "the version, as typed"},
    {.name = "shared", .type = PARAM_LIST, .help = "paths: which of them does the version hold?"},
    PARAM_END,
};

struct source {
    struct op *op;
    const char *key, *repo, *version;
    const char *place; /* the address or path of this version */
    const char *sha256;
    bool known;
    const char *to; /* where a file that is fetched goes */
};

static bool is_address(const char *place)
{
    return str_starts(place, "https://") || str_starts(place, "http://");
}

/* {rev} filled in; the version is of plain signs, so it means the same in a path and an address. */
static const char *of_version(struct source *s, const char *pattern)
{
    auto_buf struct buf out = BUF_INIT(8192);
    const char *at;
    while ((at = strstr(pattern, SOURCE_VERSION)) != NULL) {
        buf_add(&out, pattern, (size_t)(at - pattern));
        buf_puts(&out, s->version);
        pattern = at + strlen(SOURCE_VERSION);
    }
    buf_puts(&out, pattern);
    return arena_strdup(op_arena(s->op), buf_str(&out));
}

static bool want_place(struct op *op, const char *what, const char *place)
{
    if (!str_starts(place, "http://"))
        return is_address(place) || want_path(op, what, place);
    op_refused(op, E_CONFIG, "source: %s: '%.200s': wanted https://, so that nobody on the way can change it",
               what, place);
    return false;
}

static bool want_version(struct op *op, const char *version)
{
    if (rev_valid(version) && word_valid(version, "._+-/", 200))
        return true;
    op_refused(op, E_USAGE,
               "'%.60s' is not the name of a version; wanted letters, digits, '.', '_', '+', '-'", version);
    return false;
}

/* ---- over the network ---------------------------------------------------------------------------- */

/* https://HOST:PORT of an address: who it is that gets a token. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
}

static bool same_origin(const char *a, const char *b)
{
    return origin_len(a) > 0 && origin_len(a) == origin_len(b) && strncasecmp(a, b, origin_len(a)) == 0;
}

static struct http_req request(struct source *s, const char *url)
{
    struct op *op = s->op;
    struct http_req req = {
        .url = url, .redirects = REDIRECTS_MAX, .max_bytes = ANSWER_MAX, .timeout_ms = op_left_ms(op)};
    const char *token = op_arg_text(op, "token"), *ca = op_arg_text(op, "ca");
    req.ca = *ca ? ca : NULL;
    if (*token && same_origin(url, s->place)) {
        struct op_pair *header = arena_alloc(op_arena(op), sizeof *header);
        *header = (struct op_pair){.name = "Authorization",
                                   .value = arena_printf(op_arena(op), "Bearer %s", token)};
        req.headers = header;
        req.n_headers = 1;
    }
    return req;
}

/* 200 and all of it; else op failed and says what came instead. */
static bool answered(struct op *op, const char *url, bool called, const struct http_res *res)
{
    if (!called)
        return false;
    if (res->end != HTTP_ANSWERED || res->problem)
        op_refused(op, E_NET, "%s: %s", url, res->problem ? res->problem : "the answer broke off");
    else if (res->status == 404)
        op_refused(op, E_NOTFOUND, "%s is not there (404): was this version built, and is that its name?",
                   url);
    else if (res->status == 401 || res->status == 403)
        op_refused(op, E_AUTH, "%s: answered %d; give `source: {token: file:PATH}`, or one that may read it",
                   url, res->status);
    else if (res->status != 200)
        op_refused(op, E_PROTO, "%s: answered %d, wanted 200", url, res->status);
    return !op_failed(op);
}

static bool fetch_to_file(struct source *s)
{
    FILE *to = fopen(s->to, "we");
    struct http_res res;
    if (!to)
        return op_fail(s->op, E_IO, "cannot write %s: %s", s->to, strerror(errno)), false;
    struct http_req req = request(s, s->place);
    req.to = to;
    bool called = http_call(s->op, &req, &res), written = fclose(to) == 0;
    if (answered(s->op, s->place, called, &res) && !written)
        op_fail(s->op, E_IO, "cannot write %s: is the disk full?", s->to);
    if (op_failed(s->op))
        unlink(s->to);
    return !op_failed(s->op);
}

/* ---- the digest ---------------------------------------------------------------------------------- */

static const char *text_at(struct source *s, const char *place)
{
    if (is_address(place)) {
        struct http_req req = request(s, place);
        struct http_res res;
        req.max_bytes = DIGESTS_MAX;
        if (!answered(s->op, place, http_call(s->op, &req, &res), &res))
            return NULL;
        if (!res.cut)
            return res.body;
    } else {
        auto_close_file FILE *f = fopen(place, "re");
        auto_free char *text = xcalloc(1, DIGESTS_MAX + 1);
        size_t n = f ? fread(text, 1, DIGESTS_MAX + 1, f) : 0;
        if (!f) {
            op_refused(s->op, E_NOTFOUND, "source: sha256: cannot read %s: %s", place, strerror(errno));
            return NULL;
        }
        if (n <= DIGESTS_MAX)
            return arena_strndup(op_arena(s->op), text, n);
    }
    op_refused(s->op, E_PROTO, "source: sha256: %s is longer than %u KiB: it is no file of digests", place,
               DIGESTS_MAX >> 10);
    return NULL;
}

/* A line of sha256sum's with the artifact's name, or a digest without any. */
static const char *digest_in(struct source *s, char *text)
{
    const char *slash = strrchr(s->place, '/'), *base = slash ? slash + 1 : s->place;
    char *save = NULL;
    for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        const char *name = line + strspn(line, "0123456789abcdef");
        if (name - line != SHA256_HEX_LEN)
            continue;
        name += strspn(name, " *");
        slash = strrchr(name, '/');
        if (*name == '\0' || strcmp(slash ? slash + 1 : name, base) == 0)
            return arena_strndup(op_arena(s->op), line, SHA256_HEX_LEN);
    }
    return NULL;
}

static bool digest_set(struct source *s)
{
    const char *given = op_arg_text(s->op, "sha256");
    s->sha256 = given;
    if (*given == '\0' || (strlen(given) == SHA256_HEX_LEN && is_hex(given, SHA256_HEX_LEN)))
        return true;
    const char *place = of_version(s, given);
    if (!want_place(s->op, "sha256", place))
        return false;
    const char *text = text_at(s, place);
    if (!text)
        return false;
    s->sha256 = digest_in(s, arena_strdup(op_arena(s->op), text));
    if (!s->sha256)
        op_refused(
            s->op, E_PROTO,
            "source: sha256: %s holds no SHA-256 of %s (wanted a line of sha256sum, or 64 hex digits alone)",
            place, s->place);
    return !op_failed(s->op);
}

/* ---- the cache ----------------------------------------------------------------------------------- */

static bool script(struct source *s, const char *act, const char *file, struct node_result *res)
{
    const char *args[] = {
        act,  s->key, s->repo, git_seconds_left(s->op), s->version, s->sha256, op_arg(s->op, "strip"),
        file, NULL};
    return target_read(s->op, &target_controller,
                       &(struct node_cmd){.script = script_source, .args = args, .quiet = true}, res);
}

static bool ask_known(struct source *s)
{
    struct node_result res = {0};
    if (!script(s, "known", "", &res))
        return false;
    report_apply(s->op, &res);
    char *line = arena_strdup(op_arena(s->op), res.out), *end = strpbrk(line, "\n");
    if (end)
        *end = '\0';
    s->known = strcmp(line, "known") == 0;
    s->to = str_starts(line, "place ") ? line + strlen("place ") : NULL;
    if (!op_failed(s->op) && !s->known && !s->to)
        op_fail(s->op, E_PROTO, "the cache did not say where the file goes: '%.100s'", line);
    return !op_failed(s->op);
}

static bool import(struct source *s, const char *file)
{
    struct node_result res = {0};
    if (!script(s, "import", file, &res))
        return false;
    report_apply(s->op, &res);
    return !op_failed(s->op);
}

/* A commit of the cache, named by its hash, is what it is. */
static bool in_cache(struct source *s)
{
    if (strlen(s->version) != 40 || !is_hex(s->version, 40))
        return false;
    const char *args[] = {"has", s->key, s->repo, git_seconds_left(s->op), s->version, NULL};
    struct node_result res = {0};
    return target_read(s->op, &target_controller,
                       &(struct node_cmd){.script = script_resolve, .args = args, .quiet = true}, &res) &&
           res.status == 0;
}

static bool bring(struct source *s)
{
    if (!digest_set(s))
        return false;
    if (!is_address(s->place))
        return import(s, s->place);
    return ask_known(s) && (s->known || (fetch_to_file(s) && import(s, s->to)));
}

static enum outcome source_resolve(struct op *op)
{
    struct source s = {.op = op, .repo = arg_or_var(op, "repo"), .version = op_arg_text(op, "rev")};
    if (!want_version(op, s.version))
        return op_end(op);
    s.key = git_repo_key(op, s.repo);
    s.place = of_version(&s, op_arg_text(op, "artifact"));
    bool by_hash = in_cache(&s);
    if (op_failed(op) || (!by_hash && (!want_place(op, "artifact", s.place) || !bring(&s))))
        return op_end(op);
    size_t n = 0;
    const char *const *shared = op_arg_list(op, "shared", &n);
    return git_name(
        op, s.repo, by_hash ? s.version : arena_printf(op_arena(op), "refs/tags/%s", s.version),
        &(struct git_wants){.submodules = "ignore", .lfs = "ignore", .shared = shared, .n_shared = n});
}

static const struct verb verbs[] = {
    {.name = "source.resolve",
     .help = "reads a version that was built elsewhere: facts as git.resolve's",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .default_timeout_ms = 600000,
     .params = params,
     .run = source_resolve},
    {0},
};

const struct driver source_driver = {
    .name = "source",
    .help =
        "Versions that were built elsewhere: an archive or a directory for each, on the controller or behind https. Needs tar, "
        "and unzip for zip archives.",
    .verbs = verbs,
};
