/* SPDX-License-Identifier: MIT */
#include <microhttpd.h>

#include "base/library.h"

extern const struct library microhttpd_library;

const struct library microhttpd_library = {.name = "libmicrohttpd",
                                           .package = "libmicrohttpd12",
                                           .does = "release serve",
                                           .version = MHD_get_version};
