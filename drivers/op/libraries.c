/* SPDX-License-Identifier: MIT */
/* The libraries that drivers/op works with. */
#include <curl/curl.h>
#include <expat.h>
#include <jansson.h>

#include "base/library.h"

extern const struct library curl_library, expat_library, jansson_library;

static const char *curl_text(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
const struct library curl_library = {
    .name = "libcurl", .package = "libcurl4", .does = "health checks, webhooks", .version = curl_text};

static const char *expat_text(void)
{
    const char *text = XML_ExpatVersion(); /* "expat_2.5.0" */
    return text + sizeof "expat_" - 1;
}
const struct library expat_library = {
    .name = "expat", .package = "libexpat1", .does = "answers of AWS and Apache", .version = expat_text};

const struct library jansson_library = {
    .name = "jansson", .package = "libjansson4", .does = "plans, --json", .version = jansson_version_str};
