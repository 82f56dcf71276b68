/* SPDX-License-Identifier: MIT */
/* The libraries that plans/ works with. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <yaml.h>

#include "base/library.h"

extern const struct library yaml_library, pcre2_library;

const struct library yaml_library = {
    .name = "libyaml", .package = "libyaml-0-2", .does = "pillar, plans", .version = yaml_get_version_string};

/* "10.42 2022-12-11": the number alone. */
static const char *pcre2_text(void)
{
    static char text[64]; /* one caller, on the main thread */
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) > (int)sizeof text)
        return "?";
    pcre2_config(PCRE2_CONFIG_VERSION, text);
    text[strcspn(text, " ")] = '\0';
    return text;
}
const struct library pcre2_library = {.name = "PCRE2",
                                      .package = "libpcre2-8-0",
                                      .does = "targets that are expressions",
                                      .version = pcre2_text};
