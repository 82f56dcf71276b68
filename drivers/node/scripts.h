/* SPDX-License-Identifier: MIT */
/* Node scripts, drivers/node/sh/NAME.sh made into the constant script_NAME (cmake/embed_scripts.cmake). */
#ifndef RELEASE_DRIVERS_NODE_SCRIPTS_H
#define RELEASE_DRIVERS_NODE_SCRIPTS_H

extern const char script_running[];
extern const char script_tree[];

#endif
