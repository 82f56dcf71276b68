/* SPDX-License-Identifier: MIT */
/* What elbv2, elb and asg do in the same way (aws_lb.h). */
#include <string.h>

#include "base/str.h"
#include "drivers/aws/keep.h"
#include "drivers/balancer/aws/aws_lb.h"

#define KNOWN_FOR_MS 60000

bool aws_name_valid(const char *name)
{
    return word_valid(name, ".:[]-", 256) && name[0] != '.';
}

bool aws_instance_valid(const char *name)
{
    return str_starts(name, "i-") && name[2] && word_valid(name, "-", 256);
}

/* Neither ';' nor '=' nor a blank, which part entries of lb.before. */
bool aws_group_valid(const char *name)
{
    return word_valid(name, "._:/-", 256);
}

bool aws_lb_open(struct lb *lb)
{
    for (size_t i = 0; i < lb->n_peers; i++) {
        struct aws *aws = arena_alloc(op_arena(lb->op), sizeof *aws);
        if (!aws_open(lb->op, lb->peers[i].text, aws))
            return false;
        lb->peers[i].own = aws;
    }
    return true;
}

struct aws *aws_lb_peer(struct lb *lb, size_t peer)
{
    return lb->peers[peer].own;
}

bool aws_lb_unknown(struct lb *lb, size_t peer, const char *noun, const char *name, const char *more)
{
    op_refused(
        lb->op, E_NOTFOUND, "%s: there is no %s %s for the credentials of %s%s; check %s, region and profile",
        lb->peers[peer].text, noun, name, aws_lb_peer(lb, peer)->creds.from, more, lb->kind->pools_param);
    return false;
}

bool aws_lb_tell(struct lb *lb, size_t peer, const struct aws_question *q, const char **ret_refusal)
{
    struct aws *aws = aws_lb_peer(lb, peer);
    struct aws_answer answer;
    if (!aws_ask(aws, q, &answer))
        return false;
    if (answer.code)
        *ret_refusal = aws_words(aws, q, &answer);
    return true;
}

bool aws_lb_delay_fits(struct lb *lb, const char *what, int64_t delay_s)
{
    int64_t timeout_s = op_arg_ms(lb->op, "drain_timeout") / 1000;
    if (delay_s < timeout_s)
        return true;
    op_refused(
        lb->op, E_CONFIG,
        "%s gives running requests %lld s (its own delay), and drain_timeout is %lld s: no node would be out in "
        "time. Make drain_timeout longer than the delay, or the delay shorter",
        what, (long long)delay_s, (long long)timeout_s);
    return false;
}

bool aws_lb_draining(struct lb *lb, int64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < lb->n; i++)
        for (size_t k = 0; k < lb->at[i].n; k++)
            *ret += lb->at[i].rows[k].leaving;
    return true;
}

const char *const *aws_lb_asked(struct lb *lb, size_t *ret_n)
{
    *ret_n = 1;
    return lb->server ? &lb->server : op_arg_list(lb->op, "servers", ret_n);
}

static const char *known_key(struct lb *lb, size_t peer, const char *kind, const char *name)
{
    const struct aws *aws = aws_lb_peer(lb, peer);
    return arena_printf(op_arena(lb->op), "%s %s %s %s %s", kind, aws->region,
                        aws->profile ? aws->profile : "", aws->endpoint ? aws->endpoint : "", name);
}

const char *aws_lb_known(struct lb *lb, size_t peer, const char *kind, const char *name)
{
    return aws_keep_get(aws_keep_of(lb->op), known_key(lb, peer, kind, name), op_arena(lb->op));
}

void aws_lb_learnt(struct lb *lb, size_t peer, const char *kind, const char *name, const char *value)
{
    aws_keep_put(aws_keep_of(lb->op), known_key(lb, peer, kind, name), value, KNOWN_FOR_MS);
}
