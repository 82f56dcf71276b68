/* SPDX-License-Identifier: MIT */
/* Scripts for hosts of balancers, drivers/balancer/sh/NAME.sh made into the constant script_NAME
 * (cmake/embed_scripts.cmake). */
#ifndef RELEASE_DRIVERS_BALANCER_SCRIPTS_H
#define RELEASE_DRIVERS_BALANCER_SCRIPTS_H

extern const char script_lvs[];
extern const char script_nginx[];

#endif
