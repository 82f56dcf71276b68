/* SPDX-License-Identifier: MIT */
/* Credentials that have to be asked for: of STS, of a container's endpoint, of the instance's metadata. They are kept
 * until shortly before they end, for all ops of this process. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/host.h"
#include "base/str.h"
#include "drivers/aws/aws.h"
#include "drivers/aws/keep.h"
#include "drivers/op/auto_curlu.h"
#include "drivers/op/auto_json.h"
#include "drivers/op/http_call.h"

#define METADATA        "http://169.254.169.254"
#define CONTAINER       "169.254.170.2"
#define CONTAINER_EKS   "169.254.170.23"
#define LOCAL_MS        2000
#define LOCAL_MAX_BYTES ((size_t)64 << 10)
#define EARLY_S         300 /* renewed that long before they end */

struct aws_session {
    struct sigv4_keys keys;
    time_t until; /* 0: not told */
};

static time_t time_of(const char *text)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    return end ? timegm(&tm) : 0;
}

/* ---- local endpoints ------------------------------------------------------- */

static bool local_ask(struct aws *aws, const char *url, const char *method, const struct op_pair *header,
                      const char **ret)
{
    struct http_res res;
    int left = op_left_ms(aws->op);
    const struct http_req req = {.url = url,
                                 .method = method,
                                 .headers = header,
                                 .n_headers = header && header->value ? 1 : 0,
                                 .link_local = true,
                                 .max_bytes = LOCAL_MAX_BYTES,
                                 .timeout_ms = left < LOCAL_MS ? left : LOCAL_MS};
    op_asking(aws->op, aws->creds.from);
    bool fine = http_call(aws->op, &req, &res);
    op_asking(aws->op, NULL);
    if (!fine)
        return false;
    if (res.end == HTTP_ANSWERED && res.status == 200 && !res.cut) {
        *ret = res.body;
        return true;
    }
    const char *seen =
        res.end == HTTP_ANSWERED ? arena_printf(op_arena(aws->op), "status %d", res.status) : res.problem;
    op_fail(aws->op, E_AUTH,
            "no credentials of AWS: none in the environment or in ~/.aws, and %s cannot be asked (%s)",
            aws->creds.from, seen);
    return false;
}

/* The form that container and instance share. */
static bool session_json(struct aws *aws, const char *text, struct aws_session *ret)
{
    struct arena *a = op_arena(aws->op);
    auto_json json_t *all = json_loads(text, 0, NULL);
    const char *id = json_string_value(json_object_get(all, "AccessKeyId")),
               *secret = json_string_value(json_object_get(all, "SecretAccessKey")),
               *token = json_string_value(json_object_get(all, "Token"));
    if (!id || !secret) {
        op_fail(aws->op, E_PROTO, "%s: what it answered holds no credentials", aws->creds.from);
        return false;
    }
    ret->keys = (struct sigv4_keys){.id = arena_strdup(a, id),
                                    .secret = arena_strdup(a, secret),
                                    .token = token ? arena_strdup(a, token) : NULL};
    ret->until = time_of(json_string_value(json_object_get(all, "Expiration")));
    return true;
}

static bool ask_metadata(struct aws *aws, struct aws_session *ret)
{
    static const struct op_pair ttl = {.name = "X-aws-ec2-metadata-token-ttl-seconds", .value = "21600"};
    struct arena *a = op_arena(aws->op);
    const char *base = creds_env("AWS_EC2_METADATA_SERVICE_ENDPOINT"), *token, *role, *text;
    base = base ? base : METADATA;
    if (!local_ask(aws, arena_printf(a, "%s/latest/api/token", base), "PUT", &ttl, &token))
        return false;
    const struct op_pair with = {.name = "X-aws-ec2-metadata-token", .value = token};
    const char *list = arena_printf(a, "%s/latest/meta-data/iam/security-credentials/", base);
    if (!local_ask(aws, list, NULL, &with, &role))
        return false;
    role = arena_strndup(a, role, strcspn(role, "\r\n"));
    if (!name_valid(role, 128)) {
        op_fail(aws->op, E_AUTH, "no credentials of AWS: the instance has no role (instance profile)");
        return false;
    }
    return local_ask(aws, arena_printf(a, "%s%s", list, role), NULL, &with, &text) &&
           session_json(aws, text, ret);
}

/* Where a token may go: this machine, the container agents' addresses, or TLS. */
static bool container_url_allowed(const char *url)
{
    auto_curlu CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool fine = http_text_valid(url) && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    bool allowed = fine && (!strcmp(scheme, "https") ||
                            (!strcmp(scheme, "http") && (host_is_here(host) || !strcmp(host, CONTAINER) ||
                                                         !strcmp(host, CONTAINER_EKS))));
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    return allowed;
}

static bool ask_container(struct aws *aws, struct aws_session *ret)
{
    struct arena *a = op_arena(aws->op);
    struct err err = {0};
    const char *path = creds_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *text;
    const char *file = creds_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *url = path ? arena_printf(a, "http://" CONTAINER "%s", path)
                           : creds_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct op_pair header = {.name = "Authorization",
                             .value = creds_env("AWS_CONTAINER_AUTHORIZATION_TOKEN")};
    if (!url || !container_url_allowed(url)) {
        op_refused(aws->op, E_CONFIG, "%s leads to another machine without TLS",
                   path ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" : "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        return false;
    }
    if (file && !(header.value = creds_read(a, file, &err))) {
        op_refused(aws->op, E_CONFIG, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s", err.text);
        return false;
    }
    return local_ask(aws, url, NULL, &header, &text) && session_json(aws, text, ret);
}

/* ---- STS ------------------------------------------------------------------- */

static bool keys_of(struct aws *aws, const struct creds *c, struct sigv4_keys *ret);

static bool ask_sts(struct aws *aws, const struct creds *c, struct aws_session *ret)
{
    struct arena *a = op_arena(aws->op);
    struct err err = {0};
    struct sigv4_keys with;
    struct aws_answer answer;
    const char *token = c->kind == CREDS_WEB ? creds_read(a, c->token_file, &err) : NULL;
    const char *release = op_var(aws->op, "release");
    struct aws_question q = {.service = aws_service_find("sts"),
                             .action = c->kind == CREDS_WEB ? "AssumeRoleWithWebIdentity" : "AssumeRole"};
    if (err.code) {
        op_refused(aws->op, E_CONFIG, "%s: %s", c->from, err.text);
        return false;
    }
    aws_param(&q, "RoleArn", c->role);
    aws_param(&q, "RoleSessionName",
              c->session ? c->session : arena_printf(a, "release-%s", release ? release : "0"));
    if (c->duration_s > 0)
        aws_param(&q, "DurationSeconds", arena_printf(a, "%lld", (long long)c->duration_s));
    if (c->external_id)
        aws_param(&q, "ExternalId", c->external_id);
    if (token)
        aws_param(&q, "WebIdentityToken", token);
    if (!token && !keys_of(aws, c->source, &with))
        return false;
    if (!aws_ask_as(aws, token ? NULL : &with, &q, &answer))
        return false;
    if (answer.code) {
        aws_fail(aws, &q, &answer);
        return false;
    }
    const struct xml *got = xml_get(answer.result, "Credentials");
    ret->keys = (struct sigv4_keys){.id = xml_text(got, "AccessKeyId"),
                                    .secret = xml_text(got, "SecretAccessKey"),
                                    .token = xml_text(got, "SessionToken")};
    ret->until = time_of(xml_text(got, "Expiration"));
    if (*ret->keys.id && *ret->keys.secret && *ret->keys.token)
        return true;
    op_fail(aws->op, E_PROTO, "%s: STS answered without credentials", c->from);
    return false;
}

/* ---- kept ------------------------------------------------------------------ */

static bool ask_for(struct aws *aws, const struct creds *c, struct aws_session *ret)
{
    switch (c->kind) {
    case CREDS_ROLE:
    case CREDS_WEB: return ask_sts(aws, c, ret);
    case CREDS_CONTAINER: return ask_container(aws, ret);
    case CREDS_METADATA: return ask_metadata(aws, ret);
    case CREDS_KEYS: break;
    }
    ret->keys = c->keys;
    return true;
}

static bool recall(struct aws *aws, const char *key, struct sigv4_keys *ret)
{
    char *text = aws_keep_get(aws_keep_of(aws->op), key, op_arena(aws->op));
    if (!text)
        return false;
    ret->id = strsep(&text, "\n");
    ret->secret = strsep(&text, "\n");
    ret->token = text && *text ? text : NULL;
    return ret->secret != NULL;
}

static bool keys_of(struct aws *aws, const struct creds *c, struct sigv4_keys *ret)
{
    struct arena *a = op_arena(aws->op);
    struct aws_session s = {.until = 0};
    const char *key = arena_printf(a, "keys %s %s %s", c->from, c->role ? c->role : "", aws->region);
    if (c->kind != CREDS_KEYS && recall(aws, key, ret))
        return true;
    if (!ask_for(aws, c, &s))
        return false;
    *ret = s.keys;
    int64_t left_s = s.until ? (int64_t)s.until - time(NULL) - EARLY_S : 0;
    if (c->kind != CREDS_KEYS && left_s > 0)
        aws_keep_put(aws_keep_of(aws->op), key,
                     arena_printf(a, "%s\n%s\n%s", ret->id, ret->secret, ret->token ? ret->token : ""),
                     left_s * 1000);
    return true;
}

bool aws_keys(struct aws *aws)
{
    struct err err = {0};
    if (aws->known)
        return true;
    if (!creds_find(op_arena(aws->op), aws->profile, &aws->creds, &err)) {
        op_refused(aws->op, E_CONFIG, "credentials of AWS: %s", err.text);
        return false;
    }
    aws->ca = creds_env("AWS_CA_BUNDLE");
    if (!aws->ca)
        aws->ca = aws->creds.ca;
    return (aws->known = keys_of(aws, &aws->creds, &aws->keys));
}
