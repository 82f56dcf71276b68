/* SPDX-License-Identifier: MIT */
/* ec2.instances: the nodes that app_servers: {ec2: ...} means. Only running instances are nodes; what else matches is told, so that
 * nobody takes a fleet with a stopped machine for a whole one. Two questions in a row have one order: that of the names. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "drivers/aws/aws.h"
#include "drivers/aws/instances.h"
#include "drivers/op/auto_json.h"

#define PAGE_MAX         "100" /* with 50 tags each they stay far below what an answer may have */
#define PAGES_MAX        1000
#define SHOWN_MAX        10
#define ID               "instance_id"
#define TAG              "tag:"
#define ANSWER_MAX_BYTES ((size_t)64 << 20)

/* ---- what is asked --------------------------------------------------------- */

static bool filter_text(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return *s != '\0' && strlen(s) <= 255;
}

/* false: it is no text that a filter can have. */
static bool filter_add(struct arena *a, struct aws_question *io, size_t i, const char *name, json_t *values)
{
    size_t n = json_is_array(values) ? json_array_size(values) : 1;
    if (!filter_text(name) || n == 0 || io->n + n + 4 > AWS_PARAMS_MAX)
        return false;
    aws_param(io, arena_printf(a, "Filter.%zu.Name", i), arena_strdup(a, name));
    for (size_t k = 0; k < n; k++) {
        const char *text = json_string_value(json_is_array(values) ? json_array_get(values, k) : values);
        if (!text || !filter_text(text))
            return false;
        aws_param(io, arena_printf(a, "Filter.%zu.Value.%zu", i, k + 1), arena_strdup(a, text));
    }
    return true;
}

/* Without a filter all instances of the region would be nodes. */
static bool filters_take(struct arena *a, const char *text, struct aws_question *io, struct err *err)
{
    auto_json json_t *filters = text ? json_loads(text, 0, NULL) : NULL;
    size_t i = 0;
    const char *name;
    json_t *values;
    if (json_object_size(filters) == 0)
        return err_set(
            err, E_CONFIG,
            "filters: wanted at least one, in the same place as region: {\"tag:Role\": web, \"tag:Env\": [prod, canary]}");
    json_object_foreach(filters, name, values)
    {
        if (!filter_add(a, io, ++i, name, values))
            return err_set(
                err, E_CONFIG,
                "filters: %s: wanted a text or a list of texts, without control characters, at most 255 characters "
                "each and %d in all",
                filter_text(name) ? name : "a name", AWS_PARAMS_MAX / 2);
    }
    return true;
}

static bool name_known(const char *name)
{
    return strcmp(name, ID) == 0 || (str_starts(name, TAG) && name[strlen(TAG)]);
}

static bool instances_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    auto_arena struct arena a = {0};
    struct aws_question q = {.n = 0};
    const char *region = op_pair_value(args, n, "region"), *name = op_pair_value(args, n, "name");
    (void)timeout_ms;
    if (region && !aws_region_valid(region))
        return err_set(err, E_CONFIG, "'%s' cannot be a region of AWS; wanted one like eu-central-1", region);
    if (name && !name_known(name))
        return err_set(err, E_CONFIG, "name: '%s' names no value of an instance; wanted " ID " or tag:KEY",
                       name);
    return filters_take(&a, op_pair_value(args, n, "filters"), &q, err);
}

static bool page_read(struct aws *aws, const struct aws_question *all, const char *token,
                      struct aws_instances *io, const char **ret_next)
{
    struct aws_question q = *all;
    struct aws_answer answer;
    struct err err = {0};
    aws_param(&q, "MaxResults", PAGE_MAX);
    if (*token)
        aws_param(&q, "NextToken", token);
    if (!aws_read(aws, &q, &answer))
        return false;
    if (parse_instances(answer.result, op_arena(aws->op), io, ret_next, &err))
        return true;
    op_fail(aws->op, err.code, "%s: DescribeInstances: %s", aws->region, err.text);
    return false;
}

static bool all_read(struct aws *aws, const struct aws_question *q, struct aws_instances *ret)
{
    const char *token = "", *next = "";
    for (int page = 0; page < PAGES_MAX; page++) {
        if (!page_read(aws, q, token, ret, &next))
            return false;
        if (!*next)
            return true;
        if (strcmp(next, token) == 0)
            break;
        token = next;
    }
    op_fail(aws->op, E_PROTO,
            "%s: DescribeInstances: a page of the answer leads to itself, or there are more than %d",
            aws->region, PAGES_MAX);
    return false;
}

/* ---- which of them are nodes ----------------------------------------------- */

struct ec2_node {
    const char *name, *host;
    const struct aws_instance *i;
};

static int by_name(const void *a, const void *b)
{
    const struct ec2_node *x = a, *y = b;
    int order = strverscmp(x->name, y->name);
    return order ? order : strcmp(x->i->id, y->i->id);
}

static const char *name_of(const struct aws_instance *i, const char *name)
{
    return strcmp(name, ID) == 0 ? i->id : aws_instance_tag(i, name + strlen(TAG));
}

static const char *address_of(const struct aws_instance *i, const char *which)
{
    const struct {
        const char *word, *value;
    } all[] = {{"private", i->private_ip},
               {"public", i->public_ip},
               {"ipv6", i->ipv6},
               {"private_dns", i->private_dns},
               {"public_dns", i->public_dns}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (strcmp(all[k].word, which) == 0)
            return all[k].value;
    return "";
}

struct id_list {
    struct buf text;
    size_t n;
};
#define ID_LIST_INIT ((struct id_list){.text = BUF_INIT(2000)})
static void id_list_fini(struct id_list *l)
{
    buf_fini(&l->text);
}
#define auto_id_list __attribute__((cleanup(id_list_fini)))

static void id_list_add(struct id_list *io, const char *id, const char *more)
{
    if (io->n++ < SHOWN_MAX)
        buf_printf(&io->text, "%s%s%s%s", io->n > 1 ? ", " : "", id, *more ? " " : "", more);
}

static const char *id_list_text(struct arena *a, const struct id_list *l)
{
    return l->n <= SHOWN_MAX ? arena_strdup(a, buf_str(&l->text))
                             : arena_printf(a, "%s and %zu more", buf_str(&l->text), l->n - SHOWN_MAX);
}

/* One that is terminated is only remembered by AWS, for an hour or so. */
static const char *left_out(struct op *op, const struct aws_instances *all)
{
    auto_id_list struct id_list l = ID_LIST_INIT;
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->rows[i].state, "running") != 0 && strcmp(all->rows[i].state, "terminated") != 0)
            id_list_add(&l, all->rows[i].id, all->rows[i].state);
    return id_list_text(op_arena(op), &l);
}

/* Each has a name and an address; false: op failed, with all that lack one. */
static bool nodes_of(struct op *op, const struct aws_instances *all, struct ec2_node **ret, size_t *ret_n)
{
    const char *name = op_arg(op, "name"), *address = op_arg(op, "address");
    struct ec2_node *nodes = arena_array(op_arena(op), all->n + 1, sizeof *nodes);
    auto_id_list struct id_list nameless = ID_LIST_INIT, nowhere = ID_LIST_INIT;
    *ret = nodes;
    *ret_n = 0;
    for (size_t k = 0; k < all->n; k++) {
        const struct aws_instance *i = &all->rows[k];
        struct ec2_node node = {.name = name_of(i, name), .host = address_of(i, address), .i = i};
        if (strcmp(i->state, "running") != 0)
            continue;
        if (!node.name || !*node.name)
            id_list_add(&nameless, i->id, "");
        if (!*node.host)
            id_list_add(&nowhere, i->id, "");
        nodes[(*ret_n)++] = node;
    }
    if (nameless.n)
        op_refused(op, E_CONFIG,
                   "%s has no tag %s, by which `name:` calls the nodes; tag it, or say name: " ID,
                   id_list_text(op_arena(op), &nameless), name + strlen(TAG));
    else if (nowhere.n)
        op_refused(op, E_CONFIG,
                   "%s has no %s address; `address:` may be another: private, public, ipv6, ...",
                   id_list_text(op_arena(op), &nowhere), address);
    return !op_failed(op);
}

/* By name, and each once: while instances come and go, two pages may have the same one. */
static void sort_nodes(struct ec2_node *nodes, size_t *io_n)
{
    size_t n = *io_n, kept = 0;
    if (n)
        qsort(nodes, n, sizeof *nodes, by_name);
    for (size_t k = 0; k < n; k++) {
        if (kept == 0 || strcmp(nodes[kept - 1].i->id, nodes[k].i->id) != 0)
            nodes[kept++] = nodes[k];
    }
    *io_n = kept;
}

static bool names_differ(struct op *op, const struct ec2_node *nodes, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        if (strcmp(nodes[k - 1].name, nodes[k].name) != 0)
            continue;
        op_refused(op, E_CONFIG,
                   "%s and %s are both called '%s' by their tag %s; give one another name, or say name: " ID,
                   nodes[k - 1].i->id, nodes[k].i->id, nodes[k].name, op_arg(op, "name") + strlen(TAG));
        return false;
    }
    return true;
}

/* ---- what is answered ------------------------------------------------------ */

static void put(json_t *o, const char *key, const char *value)
{
    if (*value)
        json_object_set_new(o, key, json_string(value));
}

static void node_json(struct buf *out, const struct ec2_node *node)
{
    const struct aws_instance *i = node->i;
    auto_json json_t *o = json_object(), *name = json_string(node->name);
    put(o, "host", node->host);
    put(o, "lb_server", i->id);
    put(o, ID, i->id);
    put(o, "private_ip", i->private_ip);
    put(o, "public_ip", i->public_ip);
    put(o, "ipv6", i->ipv6);
    put(o, "private_dns", i->private_dns);
    put(o, "public_dns", i->public_dns);
    put(o, "zone", i->zone);
    put(o, "type", i->type);
    put(o, "image", i->image);
    put(o, "vpc", i->vpc);
    put(o, "subnet", i->subnet);
    put(o, "launched", i->launched);
    for (size_t k = 0; k < i->n_tags; k++) {
        auto_buf struct buf key = BUF_INIT(1000);
        buf_printf(&key, TAG "%s", i->tags[k].name);
        json_object_set_new(o, buf_str(&key),
                            aws_tag_plain(i->tags[k].value) ? json_string(i->tags[k].value) : json_null());
    }
    auto_free char *key = json_dumps(name, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    buf_printf(out, "%s: %s", key ? key : "\"\"", text);
}

static const char *source_text(struct aws *aws, const struct aws_question *q)
{
    auto_buf struct buf b = BUF_INIT(1000);
    buf_printf(&b, "ec2 %s", aws->region);
    if (aws->profile)
        buf_printf(&b, " (profile %s)", aws->profile);
    for (size_t i = 0; i < q->n; i++) {
        bool name = strstr(q->params[i].name, ".Name") != NULL,
             first = i > 0 && strstr(q->params[i - 1].name, ".Name");
        buf_puts(&b, name ? " " : first ? "=" : ",");
        text_visible(&b, q->params[i].value, strlen(q->params[i].value));
    }
    return arena_strdup(op_arena(aws->op), buf_str(&b));
}

static void report(struct op *op, const struct ec2_node *nodes, size_t n, const char *source,
                   const char *others)
{
    auto_buf struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    buf_puts(&out, "{");
    for (size_t k = 0; k < n; k++) {
        buf_puts(&out, k ? ",\n" : "\n");
        node_json(&out, &nodes[k]);
    }
    buf_puts(&out, "\n}\n");
    op_fact(op, NODES_FACT, "%s", buf_str(&out));
    op_fact(op, NODES_FACT_SOURCE, "%s%s%s", source, *others ? "; not running: " : "", others);
}

static enum outcome run_instances(struct op *op)
{
    struct aws aws;
    struct aws_question q = {.service = aws_service_find("ec2"), .action = "DescribeInstances"};
    struct aws_instances all = {.n = 0};
    struct ec2_node *nodes;
    struct err err = {0};
    size_t n;
    if (!filters_take(op_arena(op), op_arg(op, "filters"), &q, &err))
        return op_refused(op, err.code, "%s", err.text);
    const char *source;
    if (!aws_open(op, op_arg(op, "region"), &aws) || !all_read(&aws, &q, &all) ||
        !nodes_of(op, &all, &nodes, &n))
        return op_end(op);
    source = source_text(&aws, &q);
    const char *others = left_out(op, &all);
    if (n == 0)
        return op_refused(
            op, E_NOTFOUND,
            "no running instance matches %s for the credentials of %s%s%s; check region, profile and filters",
            source, aws.creds.from, *others ? "; not running: " : "", others);
    sort_nodes(nodes, &n);
    if (names_differ(op, nodes, n))
        report(op, nodes, n, source, others);
    return op_end(op);
}

static const struct param params[] = {
    {.name = "region", .type = PARAM_STR, .required = true, .help = "eu-central-1"},
    {.name = "filters",
     .type = PARAM_MAP,
     .required = true,
     .help = "EC2's own: {\"tag:Role\": web, \"tag:Env\": [prod, canary]}; all must match, of a list any"},
    {.name = "address",
     .type = PARAM_CHOICE,
     .choices = "private|public|ipv6|private_dns|public_dns",
     .deflt = "private",
     .help = "which address of the instance is the node's"},
    {.name = "name", .type = PARAM_STR, .deflt = ID, .help = "what the node is called: " ID ", or tag:Name"},
    AWS_P_PROFILE,
    AWS_P_ENDPOINT,
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "ec2.instances",
     .help = "lists running instances for app_servers: {ec2: ...}; several pages are one list",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .does = DOES_NODES,
     .default_timeout_ms = 60000,
     .params = params,
     .check = instances_check,
     .run = run_instances},
    {0},
};

extern const struct driver ec2_driver;
const struct driver ec2_driver = {
    .name = "ec2",
    .help =
        "Instances of EC2 as nodes. Needs ec2:DescribeInstances, and credentials as AWS's own tools find them.",
    .verbs = verbs,
};
