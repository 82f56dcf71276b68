/* SPDX-License-Identifier: MIT */
/* Node scripts, drivers/app/sh/NAME.sh made into the constant script_NAME (cmake/embed_scripts.cmake). */
#ifndef RELEASE_DRIVERS_APP_SCRIPTS_H
#define RELEASE_DRIVERS_APP_SCRIPTS_H

extern const char script_service[];
extern const char script_supervisord[];

#endif
