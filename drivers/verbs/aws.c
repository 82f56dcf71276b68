/* SPDX-License-Identifier: MIT */
/* aws.call: one signed request to a named service and action of AWS, as a step: a snapshot before a release, a process of an
 * Auto Scaling group suspended. What it answers is kept by name.
 *
 * Whether AWS did an action whose answer was lost cannot be asked in general, so it is neither taken for done nor asked for
 * again: the step fails, and whoever looked there releases again. */
#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "drivers/aws/aws.h"

#define KEPT_MAX 20

static bool question_of(struct op *op, struct aws_question *ret)
{
    size_t n;
    const struct op_pair *pairs = op_arg_map(op, "params", &n);
    *ret = (struct aws_question){
        .service = aws_service_find(op_arg(op, "service")), .action = op_arg(op, "action"), .changes = true};
    if (!ret->service || !word_valid(ret->action, "", 256) || n > AWS_PARAMS_MAX) {
        op_refused(
            op, E_CONFIG,
            "aws.call: service '%s' is not one of %s, or the action is no name, or it has more than %d "
            "parameters",
            op_arg(op, "service"), aws_service_names(op_arena(op)), AWS_PARAMS_MAX);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!word_valid(pairs[i].name, "._-", 256)) {
            op_refused(op, E_CONFIG, "aws.call: a name in params is none of AWS's: Names.member.1");
            return false;
        }
        aws_param(ret, pairs[i].name, pairs[i].value);
    }
    return true;
}

/* What the pillar wants kept: by its path in the answer, or as the first element of that name directly below. AWS did it in any
 * case: what is not there is said. */
static void keep(struct op *op, const struct aws_answer *answer)
{
    size_t n;
    const char *const *paths = op_arg_list(op, "keep", &n);
    op_fact(op, "aws.request", "%s", answer->request);
    op_say(op, "AWS did %s (request %s)", op_arg(op, "action"),
           *answer->request ? answer->request : "not told");
    for (size_t i = 0; i < n && i < KEPT_MAX; i++) {
        auto_buf struct buf b = BUF_INIT(500);
        const char *text = xml_text(answer->result, paths[i]);
        if (!*text) {
            op_say(op, "%s: not kept: the answer has no such element", paths[i]);
            continue;
        }
        text_visible(&b, text, strcspn(text, "\r\n"));
        op_fact(op, arena_printf(op_arena(op), "aws.%s", paths[i]), "%s", buf_str(&b));
        op_say(op, "%s: %s", paths[i], buf_str(&b));
    }
}

static enum outcome run_call(struct op *op)
{
    struct aws aws;
    struct aws_question q;
    struct aws_answer answer;
    if (!question_of(op, &q) || !aws_open(op, op_arg(op, "region"), &aws) || !aws_keys(&aws))
        return op_end(op);
    aws.alone = true;
    op_sending(op);
    if (!aws_ask(&aws, &q, &answer))
        return op_end(op);
    if (answer.code)
        return op_refused(op, E_REFUSED, "%s", aws_words(&aws, &q, &answer));
    keep(op, &answer);
    return op_end(op);
}

/* Only asked when nobody knows what became of the call: its answer was lost, or this program ended before it came. Certain is
 * that the step is not to be passed over, so it failed; the next release asks again. */
static enum outcome run_called(struct op *op)
{
    return op_refused(
        op, E_STATE,
        "aws.call: nobody knows whether AWS did %s in %s: the answer was lost. Look there before "
        "it is released again: that asks for it once more",
        op_arg(op, "action"), op_arg(op, "region"));
}

static bool call_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(args[i].name, "service") && !aws_service_find(args[i].value))
            return err_set(err, E_CONFIG, "service '%s' is not known here; wanted one of %s", args[i].value,
                           aws_service_names(&a));
        if (!strcmp(args[i].name, "region") && !aws_region_valid(args[i].value))
            return err_set(err, E_CONFIG, "'%s' cannot be a region of AWS; wanted one like eu-central-1",
                           args[i].value);
        if (!strcmp(args[i].name, "action") && !word_valid(args[i].value, "", 256))
            return err_set(err, E_CONFIG, "'%s' cannot be an action of AWS; wanted one like CreateSnapshot",
                           args[i].value);
    }
    return true;
}

static const struct param call_params[] = {
    {.name = "service",
     .type = PARAM_STR,
     .required = true,
     .help = "ec2, rds, autoscaling, ... : services with a query protocol"},
    {.name = "action", .type = PARAM_STR, .required = true, .help = "CreateSnapshot"},
    {.name = "region", .type = PARAM_STR, .required = true, .help = "eu-central-1"},
    {.name = "params",
     .type = PARAM_MAP,
     .help = "the action's parameters as AWS names them: {VolumeId: vol-1}"},
    {.name = "keep", .type = PARAM_LIST, .help = "what of the answer goes into the history: [snapshotId]"},
    AWS_P_PROFILE,
    AWS_P_ENDPOINT,
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "aws.call",
     .help = "one signed request to AWS, not repeated by itself; the ids of its answer are kept",
     .effect = EFFECT_CHANGE,
     .observe = "aws.called",
     .scope = SCOPE_CONTROLLER,
     .does = DOES_CMD,
     .default_timeout_ms = 60000,
     .params = call_params,
     .check = call_check,
     .run = run_call},
    {.name = "aws.called",
     .help = "stops a release whose aws.call has no answer: nobody knows whether AWS did it",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .does = DOES_LOOK,
     .default_timeout_ms = 15000,
     .params = call_params,
     .run = run_called},
    {0},
};

extern const struct driver aws_driver;
const struct driver aws_driver = {
    .name = "aws",
    .help =
        "One request to a service of AWS that has a query protocol, from this machine, with credentials as AWS's own tools "
        "find them.",
    .verbs = verbs,
};
