/* SPDX-License-Identifier: MIT */
/* AWS's answers about groups and who is in them (aws_lb.h). A state or a form that nobody here knows is an error: nothing
 * is taken for out, or for healthy, that was not said to be. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "drivers/balancer/aws/aws_lb.h"

#define ROWS_MAX 20000

/* ---- names ----------------------------------------------------------------- */

static bool port_of(const char *text, int *ret)
{
    char *end;
    long v = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;
    if (v < 1 || v > 65535 || *end)
        return false;
    *ret = (int)v;
    return true;
}

bool target_parse(struct arena *a, const char *name, struct aws_target *ret)
{
    const char *colon = strchr(name, ':'), *close = *name == '[' ? strchr(name, ']') : NULL;
    *ret = (struct aws_target){.id = name};
    if (*name == '[') {
        if (!close || close == name + 1)
            return false;
        ret->id = arena_strndup(a, name + 1, (size_t)(close - name) - 1);
        return !close[1] || (close[1] == ':' && port_of(close + 2, &ret->port));
    }
    if (!colon || strchr(colon + 1, ':')) /* more than one: an address of IPv6 */
        return *name != '\0';
    ret->id = arena_strndup(a, name, (size_t)(colon - name));
    return *ret->id && port_of(colon + 1, &ret->port);
}

const char *target_name(struct arena *a, const struct aws_target *t, int own_port, const char *const *asked,
                        size_t n_asked)
{
    const char *full = arena_printf(a, strchr(t->id, ':') ? "[%s]:%d" : "%s:%d", t->id, t->port);
    for (size_t i = 0; i < n_asked; i++) {
        if (!strcmp(asked[i], full))
            return full;
    }
    return t->port == own_port || t->port == 0 ? t->id : full;
}

bool target_group_arn(struct arena *a, const char *arn, const char **ret_name, const char **ret_region)
{
    char *text = arena_strdup(a, arn), *rest = text;
    const char *head = strsep(&rest, ":");
    (void)strsep(&rest, ":"); /* the partition: aws, aws-cn, ... */
    const char *service = strsep(&rest, ":"), *region = strsep(&rest, ":");
    (void)strsep(&rest, ":"); /* the account */
    const char *kind = strsep(&rest, "/"), *name = strsep(&rest, "/");
    if (strcmp(head, "arn") != 0 || !service || strcmp(service, "elasticloadbalancing") != 0 || !kind ||
        strcmp(kind, "targetgroup") != 0 || !name || !*name || !rest || !*rest)
        return false;
    *ret_name = name;
    *ret_region = region;
    return true;
}

/* ---- lists ----------------------------------------------------------------- */

static size_t members(const struct xml *list)
{
    size_t n = 0;
    for (const struct xml *x = xml_get(list, "member"); x; x = xml_next(x))
        n++;
    return n;
}

static bool room(struct lb_table *io, size_t more, struct arena *a, struct err *err)
{
    if (io->n + more > ROWS_MAX)
        return err_set(err, E_LIMIT, "the answer has more than %d rows", ROWS_MAX);
    struct lb_server *rows = arena_array(a, io->n + more + 1, sizeof *rows);
    if (io->n)
        memcpy(rows, io->rows, io->n * sizeof *rows);
    io->rows = rows;
    return true;
}

static const char *shown(struct arena *a, const char *text)
{
    auto_buf struct buf b = BUF_INIT(200);
    text_visible(&b, text, strcspn(text, "\r\n"));
    return arena_strdup(a, buf_str(&b));
}

static const char *words_of(struct arena *a, const char *reason, const char *text)
{
    return !*reason && !*text
               ? NULL
               : arena_printf(a, "%s%s%s", shown(a, reason), *reason && *text ? ": " : "", shown(a, text));
}

bool parse_seconds(const char *text, int64_t *ret)
{
    char *end;
    if (!text || !isdigit((unsigned char)*text) || strlen(text) > 9)
        return false;
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

const char *parse_attribute(const struct xml *result, const char *key)
{
    for (const struct xml *x = xml_get(result, "Attributes/member"); x; x = xml_next(x)) {
        if (!strcmp(xml_text(x, "Key"), key))
            return xml_text(x, "Value");
    }
    return NULL;
}

/* ---- target groups --------------------------------------------------------- */

bool parse_target_groups(const struct xml *result, struct arena *a, struct target_group **ret, size_t *ret_n,
                         struct err *err)
{
    const struct xml *list = xml_get(result, "TargetGroups");
    if (!list)
        return err_set(err, E_PROTO, "the answer has no TargetGroups");
    struct target_group *rows = arena_array(a, members(list) + 1, sizeof *rows);
    *ret = rows;
    *ret_n = 0;
    for (const struct xml *x = xml_get(list, "member"); x; x = xml_next(x)) {
        struct target_group g = {.name = xml_text(x, "TargetGroupName"),
                                 .arn = xml_text(x, "TargetGroupArn"),
                                 .type = xml_text(x, "TargetType"),
                                 .balancer = xml_text(x, "LoadBalancerArns/member")};
        bool has_port = *xml_text(x, "Port") != '\0';
        if (!aws_group_valid(g.name) || !aws_group_valid(g.arn) ||
            (has_port && !port_of(xml_text(x, "Port"), &g.port)))
            return err_set(err, E_PROTO, "the answer has a target group without a usable name, ARN or port");
        rows[(*ret_n)++] = g;
    }
    return true;
}

#define NOT_IN_USE "Target.NotInUse"

/* What AWS calls the states of a target. `in`: still registered. */
static const struct health {
    const char *state, *reason; /* reason NULL: any */
    bool in, serving, up;
} healths[] = {
    {.state = "healthy", .in = true, .serving = true, .up = true},
    {.state = "initial", .in = true},
    {.state = "unhealthy", .in = true},
    {.state = "unhealthy.draining", .in = true},
    /* No load balancer uses the group, or none does in the target's zone: it gets nothing, and nobody checks it. */
    {.state = "unused", .reason = NOT_IN_USE, .in = true, .up = true},
    {.state = "unused", .reason = "Target.NotRegistered"},
    {.state = "unused", .in = true},
    /* Checks are switched off: it gets requests. */
    {.state = "unavailable", .reason = "Target.HealthCheckDisabled", .in = true, .serving = true, .up = true},
    {.state = "unavailable", .in = true},
    {.state = "draining"},
};

static const struct health *health_find(const char *state, const char *reason)
{
    for (size_t i = 0; i < sizeof(healths) / sizeof(healths[0]); i++) {
        if (!strcmp(healths[i].state, state) && (!healths[i].reason || !strcmp(healths[i].reason, reason)))
            return &healths[i];
    }
    return NULL;
}

static bool is_asked(const char *name, const char *const *asked, size_t n_asked)
{
    for (size_t i = 0; i < n_asked; i++) {
        if (!strcmp(asked[i], name))
            return true;
    }
    return false;
}

static bool target_take(const struct xml *x, const struct target_group *g, const char *const *asked,
                        size_t n_asked, struct arena *a, struct lb_server *ret, struct err *err)
{
    const char *state = xml_text(x, "TargetHealth/State"), *reason = xml_text(x, "TargetHealth/Reason");
    struct aws_target t = {.id = xml_text(x, "Target/Id")};
    const struct health *h = health_find(state, reason);
    bool has_port = *xml_text(x, "Target/Port") != '\0';
    if (!aws_name_valid(t.id) || (has_port && !port_of(xml_text(x, "Target/Port"), &t.port)))
        return err_set(err, E_PROTO, "target group %s: a target without a usable id or port", g->name);
    if (!h)
        return err_set(err, E_PROTO,
                       "target group %s: target %s is in a state that is not known here: \"%s\"", g->name,
                       t.id, shown(a, state));
    *ret = (struct lb_server){.pool = g->name,
                              .name = target_name(a, &t, g->port, asked, n_asked),
                              .state = h->in ? LB_READY : LB_DRAIN,
                              .serving = h->serving,
                              .up = h->up,
                              .unused = h->reason && !strcmp(h->reason, NOT_IN_USE),
                              .weight = -1,
                              .leaving = strcmp(state, "draining") == 0,
                              .sessions = -1,
                              .queued = -1,
                              .status = shown(a, state),
                              .check = words_of(a, reason, xml_text(x, "TargetHealth/Description")),
                              .addr = t.id,
                              .port = t.port ? t.port : g->port};
    return true;
}

/* One that gets requests, or is checked for them, shows that a balancer uses the group: then a target that is not in use stands
 * where it does not serve. */
static void judge_use(struct lb_server *rows, size_t n)
{
    bool used = false;
    for (size_t i = 0; i < n; i++)
        used = used || (strcmp(rows[i].status, "unused") != 0 && !rows[i].leaving);
    for (size_t i = 0; i < n && used; i++)
        rows[i].unused = false;
}

bool parse_target_health(const struct xml *result, const struct target_group *g, const char *const *asked,
                         size_t n_asked, struct arena *a, struct lb_table *io, const char **ret_zone_all,
                         struct err *err)
{
    const struct xml *list = xml_get(result, "TargetHealthDescriptions");
    if (!list)
        return err_set(err, E_PROTO, "target group %s: the answer has no TargetHealthDescriptions", g->name);
    if (!room(io, members(list), a, err))
        return false;
    size_t first = io->n;
    for (const struct xml *x = xml_get(list, "member"); x; x = xml_next(x)) {
        struct lb_server *s = &io->rows[io->n];
        if (!target_take(x, g, asked, n_asked, a, s, err))
            return false;
        if (s->state == LB_DRAIN && !s->leaving) /* said to be not registered: as not listed */
            continue;
        if (!strcmp(xml_text(x, "Target/AvailabilityZone"), "all") && is_asked(s->name, asked, n_asked))
            *ret_zone_all = s->name;
        io->n++;
    }
    judge_use(io->rows + first, io->n - first);
    return true;
}

/* ---- classic balancers ----------------------------------------------------- */

/* One that drains is InService, and says so in words that ELB has for nothing else. */
static bool is_deregistering(const char *text)
{
    return str_starts(text, "Instance deregistration currently in progress");
}

bool parse_instance_health(const struct xml *result, const char *pool, struct arena *a, struct lb_table *io,
                           struct err *err)
{
    const struct xml *list = xml_get(result, "InstanceStates");
    if (!list)
        return err_set(err, E_PROTO, "load balancer %s: the answer has no InstanceStates", pool);
    if (!room(io, members(list), a, err))
        return false;
    for (const struct xml *x = xml_get(list, "member"); x; x = xml_next(x)) {
        const char *id = xml_text(x, "InstanceId"), *state = xml_text(x, "State"),
                   *why = xml_text(x, "Description");
        bool in = !strcmp(state, "InService"),
             out = !strcmp(state, "OutOfService") || !strcmp(state, "Unknown");
        bool leaving = is_deregistering(why);
        if (!aws_instance_valid(id) || (!in && !out))
            return err_set(err, E_PROTO,
                           "load balancer %s: instance \"%s\" is in a state that is not known here: \"%s\"",
                           pool, shown(a, id), shown(a, state));
        io->rows[io->n++] = (struct lb_server){.pool = pool,
                                               .name = id,
                                               .state = leaving ? LB_DRAIN : LB_READY,
                                               .serving = in && !leaving,
                                               .up = in && !leaving,
                                               .weight = -1,
                                               .leaving = leaving,
                                               .sessions = -1,
                                               .queued = -1,
                                               .status = leaving ? "draining" : shown(a, state),
                                               .check = strcmp(why, "N/A") ? words_of(a, "", why) : NULL};
    }
    return true;
}

/* ---- Auto Scaling ---------------------------------------------------------- */

static const struct lifecycle {
    const char *prefix;
    enum lb_state state;
    bool serving, leaving;
} lifecycles[] = {
    {.prefix = "InService", .state = LB_READY, .serving = true},
    {.prefix = "Pending", .state = LB_READY},
    {.prefix = "EnteringStandby", .state = LB_DRAIN, .leaving = true},
    {.prefix = "Standby", .state = LB_DRAIN},
    {.prefix = "Terminating", .state = LB_UNKNOWN},
    {.prefix = "Terminated", .state = LB_UNKNOWN},
    {.prefix = "Detaching", .state = LB_UNKNOWN},
    {.prefix = "Detached", .state = LB_UNKNOWN},
    {.prefix = "Quarantined", .state = LB_UNKNOWN},
    {.prefix = "Warmed", .state = LB_UNKNOWN},
};

static const struct lifecycle *lifecycle_find(const char *state)
{
    for (size_t i = 0; i < sizeof(lifecycles) / sizeof(lifecycles[0]); i++) {
        size_t n = strlen(lifecycles[i].prefix);
        if (!strncmp(state, lifecycles[i].prefix, n) && (!state[n] || state[n] == ':'))
            return &lifecycles[i];
    }
    return NULL;
}

static bool instance_take(const struct xml *x, const char *pool, struct arena *a, struct lb_table *io,
                          struct err *err)
{
    const char *id = xml_text(x, "InstanceId"), *state = xml_text(x, "LifecycleState");
    const struct lifecycle *l = lifecycle_find(state);
    bool healthy = !strcmp(xml_text(x, "HealthStatus"), "Healthy");
    if (!aws_instance_valid(id) || !l)
        return err_set(err, E_PROTO,
                       "Auto Scaling group %s: instance \"%s\" is in a state that is not known here: \"%s\"",
                       pool, shown(a, id), shown(a, state));
    if (l->state == LB_UNKNOWN) /* on its way out of the group: as one that is not in it */
        return true;
    io->rows[io->n++] = (struct lb_server){.pool = pool,
                                           .name = id,
                                           .state = l->state,
                                           .serving = l->serving && healthy,
                                           .up = l->serving && healthy,
                                           .weight = -1,
                                           .leaving = l->leaving,
                                           .sessions = -1,
                                           .queued = -1,
                                           .status = shown(a, state),
                                           .check = shown(a, xml_text(x, "HealthStatus"))};
    return true;
}

static const char *suspended_of(const struct xml *group, struct arena *a)
{
    auto_buf struct buf b = BUF_INIT(500);
    for (const struct xml *x = xml_get(group, "SuspendedProcesses/member"); x; x = xml_next(x))
        buf_printf(&b, "%s%s", b.len ? " " : "", shown(a, xml_text(x, "ProcessName")));
    return arena_strdup(a, buf_str(&b));
}

bool parse_scaling_groups(const struct xml *result, struct arena *a, struct scaling_group *ret_groups,
                          size_t *ret_n, size_t max, struct lb_table *io, struct err *err)
{
    const struct xml *list = xml_get(result, "AutoScalingGroups");
    if (!list)
        return err_set(err, E_PROTO, "the answer has no AutoScalingGroups");
    *ret_n = 0;
    for (const struct xml *g = xml_get(list, "member"); g; g = xml_next(g)) {
        struct scaling_group row = {.name = xml_text(g, "AutoScalingGroupName"),
                                    .suspended = suspended_of(g, a),
                                    .several_zones = members(xml_get(g, "AvailabilityZones")) > 1};
        if (*ret_n == max || !parse_seconds(xml_text(g, "MinSize"), &row.min) ||
            !parse_seconds(xml_text(g, "DesiredCapacity"), &row.desired))
            return err_set(
                err, E_PROTO,
                "the answer has an Auto Scaling group that nobody asked for, or without its sizes");
        if (!room(io, members(xml_get(g, "Instances")), a, err))
            return false;
        for (const struct xml *x = xml_get(g, "Instances/member"); x; x = xml_next(x)) {
            if (!instance_take(x, row.name, a, io, err))
                return false;
        }
        ret_groups[(*ret_n)++] = row;
    }
    return true;
}
