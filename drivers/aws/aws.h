/* SPDX-License-Identifier: MIT */
/* A small client of AWS's query protocol: one signed POST, an XML answer (docs/protocols.md#aws).
 *
 * What AWS throttles was certainly not done: it is asked again after a pause under op_wait, up to the op's deadline. So
 * is a 5xx to a question that changes nothing; one to a change leaves its outcome to the verbs' reading back. */
#ifndef RELEASE_DRIVERS_AWS_H
#define RELEASE_DRIVERS_AWS_H

#include "drivers/aws/creds.h"
#include "drivers/op/xml.h"
#include "drivers/op/driver.h"

struct aws_service {
    const char *name; /* "elbv2": in the pillar, and in AWS_ENDPOINT_URL_... as `env` says */
    const char *host; /* HOST.REGION.amazonaws.com, and the name in the signature's scope */
    const char *version, *env;
    const char *rights; /* what policies call it; NULL: as host */
};
/* NULL: unknown. */
const struct aws_service *aws_service_find(const char *name);
const char *aws_service_names(struct arena *a);

/* One op's client. */
struct aws {
    struct op *op;
    const char *region, *profile, *endpoint, *ca; /* NULL: none given */
    struct creds creds;
    struct sigv4_keys keys; /* those that requests are signed with */
    bool known;             /* creds and keys are there */
    bool alone;             /* the op is one change: what AWS certainly did not do, the op did not do */
    void *own;              /* the caller's */
};
/* region: by its name. profile, endpoint: arguments of the op, of these names. */
bool aws_open(struct op *op, const char *region, struct aws *ret);
bool aws_region_valid(const char *name);

#define AWS_PARAMS_MAX 240
struct aws_question {
    const struct aws_service *service;
    const char *action;
    bool changes;
    struct op_pair params[AWS_PARAMS_MAX];
    size_t n;
};
void aws_param(struct aws_question *q, const char *name, const char *value);

struct aws_answer {
    int status;
    const char *code, *words; /* what AWS says against it; NULL: it is done */
    const struct xml *result; /* the children are what was asked for; NULL with `code` */
    const char *request;      /* id, "" when not told */
    const char *skew;         /* "this machine's clock ...", when it is far from AWS's; NULL */
};
/* false: op failed (no way there, no credentials, throttled until the deadline, no XML). */
bool aws_ask(struct aws *aws, const struct aws_question *q, struct aws_answer *ret);
/* "eu-west-1: DescribeTargetHealth: AWS answered Throttling: words": for messages. */
const char *aws_words(struct aws *aws, const struct aws_question *q, const struct aws_answer *answer);
/* The op fails with them: nothing was learnt. */
void aws_fail(struct aws *aws, const struct aws_question *q, const struct aws_answer *answer);
/* aws_ask, and an answer with a code fails the op. */
bool aws_read(struct aws *aws, const struct aws_question *q, struct aws_answer *ret);

/* ---- for call.c: remote.c ------------------------------------------------------------------------------- */

/* aws->keys, asked for where they have to be. false: op failed. */
bool aws_keys(struct aws *aws);
/* One request, unsigned without keys. */
bool aws_ask_as(struct aws *aws, const struct sigv4_keys *keys, const struct aws_question *q,
                struct aws_answer *ret);

/* Parameters of every verb that talks to AWS. */
#define AWS_P_PROFILE                                                                                        \
    {                                                                                                        \
        .name = "profile", .type = PARAM_STR,                                                                \
        .help = "profile of ~/.aws whose credentials are used; default: as AWS's own tools find them"        \
    }
#define AWS_P_ENDPOINT                                                                                       \
    {                                                                                                        \
        .name = "endpoint", .type = PARAM_STR,                                                               \
        .help = "URL that is asked instead of AWS's own; default: AWS_ENDPOINT_URL, else AWS's"              \
    }

#endif
