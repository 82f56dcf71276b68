/* SPDX-License-Identifier: MIT */
#include <libssh2.h>

#include "base/library.h"

extern const struct library ssh2_library;

static const char *ssh2_text(void)
{
    return libssh2_version(0);
}
const struct library ssh2_library = {
    .name = "libssh2", .package = "libssh2-1", .does = "SSH to the nodes", .version = ssh2_text};
