/* SPDX-License-Identifier: MIT */
#include <openssl/crypto.h>

#include "base/library.h"

extern const struct library openssl_library;

static const char *openssl_text(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
const struct library openssl_library = {
    .name = "OpenSSL", .package = "libssl3", .does = "digests, signatures", .version = openssl_text};
