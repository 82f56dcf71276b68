/* SPDX-License-Identifier: MIT */
/* All drivers, and the transports. Adding one is a line here. */
#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#include "drivers/transport/transport.h"

extern const struct driver apache_driver, asg_driver, aws_driver, command_driver, ec2_driver, elb_driver,
    elbv2_driver, haproxy_driver, http_driver, lvs_driver, netscaler_driver, nginx_driver, nginx_plus_driver,
    notify_driver, varnish_driver, varnish_service_driver;
extern const struct driver cmd_driver, git_driver, measure_driver, npm_driver, release_driver, service_driver,
    source_driver, supervisord_driver;

/* clang-format off */
const struct driver *const driver_table[] = {
    &apache_driver,
    &asg_driver,
    &aws_driver,
    &cmd_driver,
    &command_driver,
    &ec2_driver,
    &elb_driver,
    &elbv2_driver,
    &git_driver,
    &haproxy_driver,
    &http_driver,
    &lvs_driver,
    &measure_driver,
    &netscaler_driver,
    &nginx_driver,
    &nginx_plus_driver,
    &notify_driver,
    &npm_driver,
    &release_driver,
    &service_driver,
    &source_driver,
    &supervisord_driver,
    &varnish_driver,
    &varnish_service_driver,
    NULL,
};
/* clang-format on */

const struct transport *const transport_table[] = {
    &transport_ssh,
    &transport_openssh,
    &transport_local,
    NULL,
};

const struct verb *verb_find(const char *name, const struct driver **ret_driver)
{
    for (const struct driver *const *d = driver_table; *d; d++)
        for (const struct verb *v = (*d)->verbs; v->name; v++)
            if (strcmp(v->name, name) == 0) {
                if (ret_driver)
                    *ret_driver = *d;
                return v;
            }
    return NULL;
}

enum does verb_does(const char *name)
{
    const struct verb *verb = verb_find(name, NULL);
    return verb ? verb->does : DOES_OTHER;
}

const struct verb *driver_verb(const struct driver *driver, enum does does)
{
    for (const struct verb *v = driver->verbs; v->name; v++)
        if (v->does == does)
            return v;
    return NULL;
}

const struct verb *verb_verifies(const char *layout)
{
    for (const struct driver *const *d = driver_table; *d; d++)
        if ((*d)->layout && strcmp((*d)->layout, layout) == 0)
            return driver_verb(*d, DOES_VERIFY);
    return NULL;
}

const char *does_name(enum does does)
{
#define DOES_NAME(n, t) t,
    static const char *const names[] = {DOES_LIST(DOES_NAME)};
    return (size_t)does < DOES_COUNT ? names[does] : "?";
}

void drivers_init(void)
{
    signal(SIGPIPE, SIG_IGN);
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    for (const struct transport *const *t = transport_table; *t; t++)
        if ((*t)->init)
            (*t)->init();
}
