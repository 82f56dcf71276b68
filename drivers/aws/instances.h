/* SPDX-License-Identifier: MIT */
/* EC2's answer about instances, taken apart: no I/O. */
#ifndef RELEASE_DRIVERS_AWS_INSTANCES_H
#define RELEASE_DRIVERS_AWS_INSTANCES_H

#include "drivers/op/xml.h"
#include "drivers/op/driver.h"

#define AWS_INSTANCES_MAX 20000

/* "" where AWS says nothing. */
struct aws_instance {
    const char *id, *state; /* "i-0abc", "running" */
    const char *private_ip, *public_ip, *ipv6, *private_dns, *public_dns;
    const char *zone, *type, *image, *vpc, *subnet, *launched;
    struct op_pair *tags;
    size_t n_tags;
};
struct aws_instances {
    struct aws_instance *rows;
    size_t n, cap;
};
/* One page of DescribeInstances, behind what is there. *ret_next: where the next begins, "" behind the last. */
bool parse_instances(const struct xml *result, struct arena *a, struct aws_instances *io,
                     const char **ret_next, struct err *err);
/* NULL: it has no such tag. */
const char *aws_instance_tag(const struct aws_instance *i, const char *name);
/* What is fit to become a part of a plan: tags are written by more people than pillars are. What all of AWS's services allow in
 * one: letters, digits, blanks and + - = . _ : / @ */
bool aws_tag_plain(const char *value);

#endif
