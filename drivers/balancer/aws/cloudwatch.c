/* SPDX-License-Identifier: MIT */
/* What went through a target group or a classic balancer, as CloudWatch counts it: by minutes and for all its servers together, so that
 * nothing here is said of a single one. Minutes come late: the last one that is counted began two minutes ago. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "drivers/balancer/aws/aws_lb.h"

#define MINUTES 5
#define LATE_S  120

/* Sums of each of these. */
enum series { REQUESTS, ERRORS, SECONDS, ANSWERS, N_SERIES };

static const struct metric {
    const char *name, *stat;
} of_application[N_SERIES] = {{"RequestCount", "Sum"},
                              {"HTTPCode_Target_5XX_Count", "Sum"},
                              {"TargetResponseTime", "Sum"},
                              {"TargetResponseTime", "SampleCount"}},
  of_classic[N_SERIES] = {{"RequestCount", "Sum"},
                          {"HTTPCode_Backend_5XX", "Sum"},
                          {"Latency", "Sum"},
                          {"Latency", "SampleCount"}};

static const char *iso(struct arena *a, time_t at)
{
    char text[32];
    struct tm tm;
    (void)gmtime_r(&at, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return arena_strdup(a, text);
}

static void dimension(struct arena *a, struct aws_question *q, const char *metric, size_t i, const char *name,
                      const char *value)
{
    const char *one = arena_printf(a, "%s.Metric.Dimensions.member.%zu", metric, i);
    aws_param(q, arena_printf(a, "%s.Name", one), name);
    aws_param(q, arena_printf(a, "%s.Value", one), value);
}

static void series_ask(struct arena *a, struct aws_question *q, const struct aws_counted *c, size_t k)
{
    const struct metric *m = c->group ? &of_application[k] : &of_classic[k];
    const char *one = arena_printf(a, "MetricDataQueries.member.%zu", k + 1),
               *stat = arena_printf(a, "%s.MetricStat", one);
    aws_param(q, arena_printf(a, "%s.Id", one), arena_printf(a, "s%zu", k));
    aws_param(q, arena_printf(a, "%s.Stat", stat), m->stat);
    aws_param(q, arena_printf(a, "%s.Period", stat), "60");
    aws_param(q, arena_printf(a, "%s.Metric.Namespace", stat), c->group ? "AWS/ApplicationELB" : "AWS/ELB");
    aws_param(q, arena_printf(a, "%s.Metric.MetricName", stat), m->name);
    dimension(a, q, stat, 1, c->group ? "LoadBalancer" : "LoadBalancerName", c->balancer);
    if (c->group)
        dimension(a, q, stat, 2, "TargetGroup", c->group);
}

static bool values_sum(const struct xml *result, double *io)
{
    for (const struct xml *x = xml_get(result, "Values/member"); x; x = xml_next(x)) {
        char *end;
        double v = strtod(x->text, &end);
        if (!*x->text || *end || !isfinite(v) || v < 0)
            return false;
        *io += v;
    }
    return xml_get(result, "Values/member") != NULL;
}

/* Nothing is told of what was nothing: without a request in these minutes there is no number at all, and with some the errors that are
 * not there are none. */
bool parse_metric_data(const struct xml *result, struct lb_traffic *ret, struct err *err)
{
    double sums[N_SERIES] = {0};
    bool there[N_SERIES] = {false};
    const struct xml *list = xml_get(result, "MetricDataResults");
    if (!list)
        return err_set(err, E_PROTO, "the answer has no MetricDataResults");
    for (const struct xml *x = xml_get(list, "member"); x; x = xml_next(x)) {
        const char *id = xml_text(x, "Id");
        size_t k = id[0] == 's' && id[1] >= '0' && id[1] < '0' + N_SERIES && !id[2] ? (size_t)(id[1] - '0')
                                                                                    : N_SERIES;
        if (k == N_SERIES)
            return err_set(err, E_PROTO, "the answer has a series that nobody asked for");
        there[k] = values_sum(x, &sums[k]) || there[k];
    }
    *ret = (struct lb_traffic){.requests = -1, .errors = -1, .answer_ms = -1};
    if (there[REQUESTS] && sums[REQUESTS] < 1e15 && sums[ERRORS] < 1e15) {
        ret->requests = (int64_t)llround(sums[REQUESTS]);
        ret->errors = (int64_t)llround(sums[ERRORS]);
    }
    if (there[SECONDS] && there[ANSWERS] && sums[ANSWERS] >= 1 && sums[SECONDS] / sums[ANSWERS] < 1e9)
        ret->answer_ms = (int64_t)llround(sums[SECONDS] / sums[ANSWERS] * 1000);
    return true;
}

bool aws_lb_count(struct lb *lb, size_t peer, const struct aws_counted *c, struct lb_pool_traffic *ret)
{
    struct arena *a = op_arena(lb->op);
    struct aws_question q = {.service = aws_service_find("cloudwatch"), .action = "GetMetricData"};
    struct aws_answer answer;
    struct err err = {0};
    time_t end = (time(NULL) - LATE_S) / 60 * 60 + 60;
    aws_param(&q, "StartTime", iso(a, end - MINUTES * 60));
    aws_param(&q, "EndTime", iso(a, end));
    for (size_t k = 0; k < N_SERIES; k++)
        series_ask(a, &q, c, k);
    *ret = (struct lb_pool_traffic){.pool = c->pool, .seconds = MINUTES * 60};
    if (!aws_read(aws_lb_peer(lb, peer), &q, &answer))
        return false;
    return parse_metric_data(answer.result, &ret->traffic, &err) || lb_not_understood(lb, peer, &err);
}
