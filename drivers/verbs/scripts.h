/* SPDX-License-Identifier: MIT */
/* Node scripts, drivers/verbs/sh/NAME.sh made into the constant script_NAME (cmake/embed_scripts.cmake). */
#ifndef RELEASE_DRIVERS_VERBS_SCRIPTS_H
#define RELEASE_DRIVERS_VERBS_SCRIPTS_H

extern const char script_cmd[];
extern const char script_git[];
extern const char script_npm[];
extern const char script_prepare[];
extern const char script_probe[];
extern const char script_releasedir[];
extern const char script_resolve[];
extern const char script_source[];
extern const char script_switch[];

#endif
