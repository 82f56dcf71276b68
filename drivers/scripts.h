/* SPDX-License-Identifier: MIT */
/* The node scripts of drivers/sh, made into constants by cmake/embed_scripts.cmake. */
#ifndef RELEASE_DRIVERS_SCRIPTS_H
#define RELEASE_DRIVERS_SCRIPTS_H

extern const char script_cmd[];
extern const char script_git[];
extern const char script_npm[];
extern const char script_probe[];
extern const char script_releasedir[];
extern const char script_resolve[];
extern const char script_running[];
extern const char script_service[];
extern const char script_supervisord[];
extern const char script_switch[];
extern const char script_tree[];

#endif
