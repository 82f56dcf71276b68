/* SPDX-License-Identifier: MIT */
/* Does the user's ssh configuration say the same for every host? Then `ssh -G` is asked once, not once for
 * each of two hundred nodes: a process of ten milliseconds each. Only the shape of the files is read here;
 * what they mean is left to ssh. Whatever is not plainly the same for all counts as different. */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "drivers/transport/ssh/ssh_priv.h"

#define INCLUDE_DEPTH_MAX 4
#define LINE_BYTES_MAX    4096

static bool file_uniform(const char *path, int depth);

/* Include takes patterns; relative ones belong to a folder that depends on who asks, so they count as
 * different. */
static bool include_uniform(char *patterns, int depth)
{
    char *rest = NULL;
    bool uniform = true;
    for (char *word = strtok_r(patterns, " \t", &rest); word && uniform;
         word = strtok_r(NULL, " \t", &rest)) {
        glob_t found;
        if (word[0] != '/' || strlen(word) > 1024)
            return false;
        if (glob(word, 0, NULL, &found) != 0)
            continue; /* nothing there */
        for (size_t i = 0; i < found.gl_pathc && uniform; i++)
            uniform = file_uniform(found.gl_pathv[i], depth + 1);
        globfree(&found);
    }
    return uniform;
}

static bool line_uniform(char *line, int depth)
{
    static const char *const by_host[] = {"match", "hostname", "canonicalizehostname", "canonicaldomains",
                                          "knownhostscommand"};
    char *word = line + strspn(line, " \t");
    char *value = word + strcspn(word, " \t=");
    if (*word == '\0' || *word == '#')
        return true;
    if (*value)
        *value++ = '\0';
    value += strspn(value, " \t=");
    for (size_t i = 0; i < sizeof(by_host) / sizeof(by_host[0]); i++)
        if (strcasecmp(word, by_host[i]) == 0)
            return false;
    if (strcasecmp(word, "host") == 0)
        return strcmp(value, "*") == 0;
    if (strcasecmp(word, "include") == 0)
        return include_uniform(value, depth);
    return strchr(value, '%') == NULL; /* %h and its like */
}

static bool file_uniform(const char *path, int depth)
{
    char line[LINE_BYTES_MAX];
    if (depth > INCLUDE_DEPTH_MAX)
        return false;
    auto_close_file FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        size_t n = strlen(line);
        if (n == sizeof(line) - 1)
            return false;
        while (n > 0 && isspace((unsigned char)line[n - 1]))
            line[--n] = '\0';
        if (!line_uniform(line, depth))
            return false;
    }
    return true; /* one that is not there says nothing */
}

bool ssh_config_uniform(const char *file, const char *home)
{
    char own[1024];
    if (file)
        return file_uniform(file, 0);
    int n = snprintf(own, sizeof(own), "%s/.ssh/config", home);
    return n > 0 && (size_t)n < sizeof(own) && file_uniform(own, 0) && file_uniform("/etc/ssh/ssh_config", 0);
}
