/* SPDX-License-Identifier: MIT */
/* One request to AWS and what came back (aws.h). */
#include <ctype.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/host.h"
#include "base/str.h"
#include "drivers/aws/aws.h"
#include "drivers/op/auto_curlu.h"
#include "drivers/op/http_call.h"

#define ANSWER_MAX_BYTES ((size_t)8 << 20)
#define CALL_MS          10000
#define PAUSE_FIRST_MS   200
#define PAUSE_MAX_MS     5000
#define SKEW_S           300 /* AWS refuses what is further off */
#define FORM             "application/x-www-form-urlencoded; charset=utf-8"

static const struct aws_service services[] = {
    {.name = "autoscaling", .host = "autoscaling", .version = "2011-01-01", .env = "AUTO_SCALING"},
    {.name = "cloudformation", .host = "cloudformation", .version = "2010-05-15", .env = "CLOUDFORMATION"},
    {.name = "cloudwatch",
     .host = "monitoring",
     .version = "2010-08-01",
     .env = "CLOUDWATCH",
     .rights = "cloudwatch"},
    {.name = "ec2", .host = "ec2", .version = "2016-11-15", .env = "EC2"},
    {.name = "elasticache", .host = "elasticache", .version = "2015-02-02", .env = "ELASTICACHE"},
    {.name = "elb", .host = "elasticloadbalancing", .version = "2012-06-01", .env = "ELASTIC_LOAD_BALANCING"},
    {.name = "elbv2",
     .host = "elasticloadbalancing",
     .version = "2015-12-01",
     .env = "ELASTIC_LOAD_BALANCING_V2"},
    {.name = "rds", .host = "rds", .version = "2014-10-31", .env = "RDS"},
    {.name = "redshift", .host = "redshift", .version = "2012-12-01", .env = "REDSHIFT"},
    {.name = "sns", .host = "sns", .version = "2010-03-31", .env = "SNS"},
    {.name = "sts", .host = "sts", .version = "2011-06-15", .env = "STS"},
};
#define N_SERVICES (sizeof(services) / sizeof(services[0]))

const struct aws_service *aws_service_find(const char *name)
{
    for (size_t i = 0; i < N_SERVICES; i++) {
        if (!strcmp(services[i].name, name))
            return &services[i];
    }
    return NULL;
}

const char *aws_service_names(struct arena *a)
{
    auto_buf struct buf b = BUF_INIT(500);
    for (size_t i = 0; i < N_SERVICES; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", services[i].name);
    return arena_strdup(a, buf_str(&b));
}

void aws_param(struct aws_question *q, const char *name, const char *value)
{
    must(q->n < AWS_PARAMS_MAX);
    q->params[q->n++] = (struct op_pair){.name = name, .value = value};
}

/* It becomes a part of a host's name. */
bool aws_region_valid(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 40 && islower((unsigned char)name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[n - 1] != '-';
}

bool aws_open(struct op *op, const char *region, struct aws *ret)
{
    *ret = (struct aws){
        .op = op, .region = region, .profile = op_arg(op, "profile"), .endpoint = op_arg(op, "endpoint")};
    if (region && aws_region_valid(region))
        return true;
    op_refused(op, E_CONFIG, "\"%s\" cannot be a region of AWS; wanted one like eu-central-1",
               region ? region : "");
    return false;
}

/* ---- where to -------------------------------------------------------------- */

struct where {
    const char *url, *host; /* host: as in the header */
};

static const char *default_url(const struct aws *aws, const struct aws_service *s)
{
    return arena_printf(op_arena(aws->op), "https://%s.%s.amazonaws.com%s", s->host, aws->region,
                        str_starts(aws->region, "cn-") ? ".cn" : "");
}

/* The order of AWS's tools; the pillar before all of them. */
static const char *endpoint_of(const struct aws *aws, const struct aws_service *s)
{
    const char *url = aws->endpoint;
    if (!url)
        url = creds_env(arena_printf(op_arena(aws->op), "AWS_ENDPOINT_URL_%s", s->env));
    if (!url)
        url = creds_env("AWS_ENDPOINT_URL");
    if (!url)
        url = aws->creds.endpoint;
    return url ? url : default_url(aws, s);
}

/* Session tokens go over it: https, or this machine. */
static bool where_of(const struct aws *aws, const struct aws_service *s, struct where *ret)
{
    struct arena *a = op_arena(aws->op);
    const char *url = endpoint_of(aws, s);
    auto_curlu CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
    bool fine = http_text_valid(url) && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK && !strcmp(path, "/");
    bool safe = fine && (!strcmp(scheme, "https") || (!strcmp(scheme, "http") && host_is_here(host)));
    bool has_port = fine && curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK;
    if (safe)
        *ret = (struct where){
            .url = arena_printf(a, "%s://%s%s%s/", scheme, host, has_port ? ":" : "", has_port ? port : ""),
            .host = arena_printf(a, "%s%s%s", host, has_port ? ":" : "", has_port ? port : "")};
    else
        op_refused(aws->op, E_CONFIG,
                   "the endpoint of %s in %s is not a URL like https://HOST[:PORT] (plain http only to this "
                   "machine): %s",
                   s->name, aws->region, http_text_valid(url) ? url : "it has control characters");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    return safe;
}

/* ---- one request ----------------------------------------------------------- */

/* It reached nobody, or AWS threw it away unread. Among other changes of the op that says nothing about the op. */
static void not_done(struct aws *aws, const struct aws_question *q, const char *words)
{
    if (q->changes && aws->alone)
        op_refused(aws->op, E_NET, "%s; it was certainly not done", words);
    else
        op_fail(aws->op, E_NET, "%s", words);
}

static void no_answer(struct aws *aws, const struct aws_question *q, const char *host,
                      const struct http_res *res)
{
    const char *words =
        arena_printf(op_arena(aws->op), "%s: %s of %s: %s; check region, endpoint and the way there",
                     aws->region, q->action, host, res->problem);
    if (res->end == HTTP_NOT_SENT)
        not_done(aws, q, words);
    else
        op_fail(aws->op, E_NET, "%s", words);
}

static const char *form_of(struct arena *a, const struct aws_question *q)
{
    struct op_pair *all = arena_array(a, q->n + 2, sizeof *all);
    if (q->n)
        memcpy(all, q->params, q->n * sizeof *all);
    all[q->n] = (struct op_pair){.name = "Action", .value = q->action};
    all[q->n + 1] = (struct op_pair){.name = "Version", .value = q->service->version};
    return sigv4_encode(a, all, q->n + 2);
}

static bool send_once(struct aws *aws, const struct sigv4_keys *keys, const struct aws_question *q,
                      struct http_res *ret)
{
    struct arena *a = op_arena(aws->op);
    char date[SIGV4_DATE_LEN + 1];
    struct where where;
    struct op_pair headers[6];
    size_t n = 0;
    const char *body = form_of(a, q);
    if (!where_of(aws, q->service, &where))
        return false;
    sigv4_date(time(NULL), date);
    headers[n++] = (struct op_pair){.name = "Content-Type", .value = FORM};
    headers[n++] = (struct op_pair){.name = "Host", .value = where.host};
    headers[n++] = (struct op_pair){.name = "X-Amz-Date", .value = date};
    if (keys && keys->token)
        headers[n++] = (struct op_pair){.name = "X-Amz-Security-Token", .value = keys->token};
    const struct sigv4_request sign = {.method = "POST",
                                       .path = "/",
                                       .query = "",
                                       .headers = headers,
                                       .n_headers = n,
                                       .body = body,
                                       .n_body = strlen(body),
                                       .region = aws->region,
                                       .service = q->service->host,
                                       .date = date};
    if (keys) {
        const char *value = sigv4_authorization(a, keys, &sign, NULL);
        headers[n++] = (struct op_pair){.name = "Authorization", .value = value};
    }
    int left = op_left_ms(aws->op);
    const struct http_req req = {.url = where.url,
                                 .body = body,
                                 .body_len = strlen(body),
                                 .headers = headers,
                                 .n_headers = n,
                                 .ca = aws->ca,
                                 .max_bytes = ANSWER_MAX_BYTES,
                                 .timeout_ms = left < CALL_MS ? left : CALL_MS};
    op_asking(aws->op, where.host);
    bool fine = http_call(aws->op, &req, ret);
    op_asking(aws->op, NULL);
    if (fine && ret->end != HTTP_ANSWERED)
        no_answer(aws, q, where.host, ret);
    return fine && ret->end == HTTP_ANSWERED;
}

/* ---- its answer ------------------------------------------------------------ */

/* "its clock is 10m behind"; NULL: near enough, or not told. */
static const char *skew_of(struct arena *a, const struct http_res *res)
{
    const char *date = http_header(res, "Date");
    time_t there = date ? curl_getdate(date, NULL) : -1;
    int64_t diff = there == -1 ? 0 : (int64_t)time(NULL) - there;
    char text[DURATION_TEXT_MAX];
    if (llabs(diff) < SKEW_S)
        return NULL;
    return arena_printf(
        a, "this machine's clock is %s %s AWS's: set it (NTP), requests are signed with the time",
        duration_text(llabs(diff) * 1000, text, sizeof text), diff < 0 ? "behind" : "ahead of");
}

static const char *first_line(struct arena *a, const char *text, size_t max)
{
    auto_buf struct buf b = BUF_INIT(max);
    text += strspn(text, " \t\r\n");
    text_visible(&b, text, strcspn(text, "\r\n"));
    return arena_strdup(a, buf_str(&b));
}

/* Errors look one way from EC2, another from all else. */
static void take_error(struct arena *a, const struct xml *root, struct aws_answer *io)
{
    const struct xml *e = xml_get(root, "Error");
    if (!e)
        e = xml_get(root, "Errors/Error");
    io->code = first_line(a, xml_text(e, "Code"), 100);
    io->words = first_line(a, xml_text(e, "Message"), 400); /* the rest may repeat what was signed */
    if (!*io->code)
        io->code = arena_printf(a, "%d", io->status);
}

static const char *request_id(const struct xml *root)
{
    static const char *const paths[] = {"ResponseMetadata/RequestId", "requestId", "RequestId", "RequestID"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (*xml_text(root, paths[i]))
            return xml_text(root, paths[i]);
    }
    return "";
}

static bool no_xml(struct aws *aws, const struct aws_question *q, const struct http_res *res,
                   const struct err *err)
{
    const char *line = first_line(op_arena(aws->op), res->body, 120);
    op_fail(aws->op, E_PROTO,
            "%s: %s: status %d, and %s (\"%s\"); is a proxy or another service in its place?", aws->region,
            q->action, res->status, err->text, line);
    return false;
}

static bool understand(struct aws *aws, const struct aws_question *q, const struct http_res *res,
                       struct aws_answer *ret)
{
    struct arena *a = op_arena(aws->op);
    struct err err = {0};
    *ret = (struct aws_answer){.status = res->status, .request = "", .skew = skew_of(a, res)};
    bool html = strncasecmp(res->body, "<!doctype html", 14) == 0 || strncasecmp(res->body, "<html", 5) == 0;
    if (res->cut)
        err_set(&err, E_LIMIT, "the answer is longer than %zu MiB", ANSWER_MAX_BYTES >> 20);
    else if (html)
        err_set(&err, E_PROTO, "the answer is a page in HTML");
    struct xml *root = err.code ? NULL : xml_parse(a, res->body, res->body_len, &err);
    if (!root && res->status >= 500) { /* a gateway's own words */
        ret->code = arena_printf(a, "%d", res->status);
        ret->words = first_line(a, res->body, 120);
        return true;
    }
    if (!root)
        return no_xml(aws, q, res, &err);
    ret->request = first_line(a, request_id(root), 100);
    const struct xml *inner = xml_get(root, arena_printf(a, "%sResult", q->action));
    ret->result = inner ? inner : root;
    if (res->status < 200 || res->status > 299)
        take_error(a, root, ret);
    else if (strcmp(root->name, arena_printf(a, "%sResponse", q->action)) != 0) {
        err_set(&err, E_PROTO, "the answer is a <%s>, wanted a <%sResponse>", first_line(a, root->name, 60),
                q->action);
        return no_xml(aws, q, res, &err);
    }
    return true;
}

/* ---- asking, and again ----------------------------------------------------- */

static bool one_of(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(word, *list))
            return true;
    }
    return false;
}

static bool is_throttled(const struct aws_answer *r)
{
    static const char *const codes[] = {"Throttling",
                                        "ThrottlingException",
                                        "ThrottledException",
                                        "RequestLimitExceeded",
                                        "RequestThrottled",
                                        "TooManyRequestsException",
                                        "SlowDown",
                                        "RequestThrottledException",
                                        "EC2ThrottledException",
                                        "BandwidthLimitExceeded",
                                        "PriorRequestNotComplete",
                                        "429",
                                        NULL};
    return r->code && (r->status == 429 || one_of(r->code, codes));
}

/* The pause before try n: doubled each time, and of random length, so that many do not come back at once. */
static int pause_ms(int n)
{
    char hex[5];
    int most = PAUSE_FIRST_MS << (n < 5 ? n : 5);
    most = most > PAUSE_MAX_MS ? PAUSE_MAX_MS : most;
    random_hex(2, hex);
    return most / 2 + (int)(strtol(hex, NULL, 16) % (most / 2 + 1));
}

bool aws_ask_as(struct aws *aws, const struct sigv4_keys *keys, const struct aws_question *q,
                struct aws_answer *ret)
{
    struct http_res res;
    int64_t began_ms = clock_mono_ms();
    for (int tries = 1;; tries++) {
        if (!send_once(aws, keys, q, &res) || !understand(aws, q, &res, ret))
            return false;
        bool again = is_throttled(ret) || (ret->code && res.status >= 500 && !q->changes);
        if (!again)
            break;
        int pause = pause_ms(tries - 1);
        if (pause + 500 > op_left_ms(aws->op)) {
            const char *words =
                arena_printf(op_arena(aws->op), "%s; asked %d times in %.1f s", aws_words(aws, q, ret), tries,
                             (double)(clock_mono_ms() - began_ms) / 1000);
            if (is_throttled(ret))
                not_done(aws, q, words);
            else
                op_fail(aws->op, E_NET, "%s", words);
            return false;
        }
        bool late = false;
        if (!op_wait_ms(aws->op, -1, 0, pause, &late) && !late)
            return false;
    }
    if (!ret->code || res.status < 500)
        return true;
    op_fail(aws->op, E_NET, "%s", aws_words(aws, q, ret));
    return false;
}

bool aws_ask(struct aws *aws, const struct aws_question *q, struct aws_answer *ret)
{
    return aws_keys(aws) && aws_ask_as(aws, &aws->keys, q, ret);
}

/* ---- words ----------------------------------------------------------------- */

static const char *advice(struct aws *aws, const struct aws_question *q, const struct aws_answer *r)
{
    static const char *const expired[] = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", NULL};
    static const char *const unknown[] = {"InvalidClientTokenId",        "AuthFailure",
                                          "UnrecognizedClientException", "SignatureDoesNotMatch",
                                          "InvalidSignatureException",   "MissingAuthenticationToken",
                                          "IncompleteSignature",         NULL};
    static const char *const denied[] = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation",
                                         NULL};
    const char *from = aws->creds.from ? aws->creds.from : "none";
    struct arena *a = op_arena(aws->op);
    if (r->skew)
        return arena_printf(a, "; %s", r->skew);
    if (one_of(r->code, expired))
        return arena_printf(a, "; the credentials of %s have expired: renew them", from);
    if (one_of(r->code, unknown))
        return arena_printf(a, "; check the credentials of %s", from);
    if (one_of(r->code, denied))
        return arena_printf(a, "; the policy of %s must allow %s:%s", from,
                            q->service->rights ? q->service->rights : q->service->host, q->action);
    return "";
}

const char *aws_words(struct aws *aws, const struct aws_question *q, const struct aws_answer *answer)
{
    return arena_printf(op_arena(aws->op), "%s: %s: AWS answered %s: %s%s", aws->region, q->action,
                        answer->code, *answer->words ? answer->words : "(no words)", advice(aws, q, answer));
}

void aws_fail(struct aws *aws, const struct aws_question *q, const struct aws_answer *answer)
{
    bool login = *advice(aws, q, answer) != '\0';
    op_fail(aws->op, login ? E_AUTH : E_REFUSED, "%s", aws_words(aws, q, answer));
}

bool aws_read(struct aws *aws, const struct aws_question *q, struct aws_answer *ret)
{
    if (!aws_ask(aws, q, ret))
        return false;
    if (ret->code)
        aws_fail(aws, q, ret);
    return !ret->code;
}
