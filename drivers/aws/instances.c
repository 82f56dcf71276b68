/* SPDX-License-Identifier: MIT */
/* DescribeInstances' answer (instances.h). */
#include "drivers/aws/instances.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "drivers/aws/aws.h"

static size_t count(const struct xml *first)
{
    size_t n = 0;
    for (; first; first = xml_next(first))
        n++;
    return n;
}

static int by_name(const void *a, const void *b)
{
    const struct op_pair *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* AWS lists them in any order. */
static void tags_take(const struct xml *x, struct arena *a, struct aws_instance *ret)
{
    const struct xml *first = xml_get(x, "tagSet/item");
    ret->tags = arena_array(a, count(first) + 1, sizeof *ret->tags);
    for (; first; first = xml_next(first))
        ret->tags[ret->n_tags++] =
            (struct op_pair){.name = xml_text(first, "key"), .value = xml_text(first, "value")};
    qsort(ret->tags, ret->n_tags, sizeof *ret->tags, by_name);
}

static struct aws_instance *row_new(struct arena *a, struct aws_instances *io)
{
    if (io->n == io->cap) {
        size_t cap = io->cap ? 2 * io->cap : 64;
        struct aws_instance *rows = arena_array(a, cap, sizeof *rows);
        if (io->n)
            memcpy(rows, io->rows, io->n * sizeof *rows);
        io->rows = rows;
        io->cap = cap;
    }
    return &io->rows[io->n++];
}

static bool instance_take(const struct xml *x, struct arena *a, struct aws_instances *io, struct err *err)
{
    struct aws_instance i = {.id = xml_text(x, "instanceId"),
                             .state = xml_text(x, "instanceState/name"),
                             .private_ip = xml_text(x, "privateIpAddress"),
                             .public_ip = xml_text(x, "ipAddress"),
                             .ipv6 = xml_text(x, "ipv6Address"),
                             .private_dns = xml_text(x, "privateDnsName"),
                             .public_dns = xml_text(x, "dnsName"),
                             .zone = xml_text(x, "placement/availabilityZone"),
                             .type = xml_text(x, "instanceType"),
                             .image = xml_text(x, "imageId"),
                             .vpc = xml_text(x, "vpcId"),
                             .subnet = xml_text(x, "subnetId"),
                             .launched = xml_text(x, "launchTime")};
    if (!str_starts(i.id, "i-") || !i.id[2] || !word_valid(i.id, "-", 256) || !word_valid(i.state, "-", 256))
        return err_set(err, E_PROTO, "the answer has an instance without a usable id or state");
    if (io->n == AWS_INSTANCES_MAX)
        return err_set(err, E_LIMIT, "more than %d instances match", AWS_INSTANCES_MAX);
    tags_take(x, a, &i);
    *row_new(a, io) = i;
    return true;
}

bool parse_instances(const struct xml *result, struct arena *a, struct aws_instances *io,
                     const char **ret_next, struct err *err)
{
    const struct xml *all = xml_get(result, "reservationSet");
    if (!all)
        return err_set(err, E_PROTO, "the answer has no reservationSet");
    for (const struct xml *r = xml_get(all, "item"); r; r = xml_next(r))
        for (const struct xml *x = xml_get(r, "instancesSet/item"); x; x = xml_next(x))
            if (!instance_take(x, a, io, err))
                return false;
    *ret_next = xml_text(result, "nextToken");
    return true;
}

const char *aws_instance_tag(const struct aws_instance *i, const char *name)
{
    return op_pair_value(i->tags, i->n_tags, name);
}

bool aws_tag_plain(const char *value)
{
    for (const char *s = value; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x80 && !isalnum(c) && !strchr(" +-=._:/@", c))
            return false;
    }
    return utf8_valid(value);
}
