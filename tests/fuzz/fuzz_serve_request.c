/* SPDX-License-Identifier: MIT */
/* What strangers send to the server before anything is known of them: path and query, a form, cookies. */
#include "fuzz.h"

#include "serve/serve_priv.h"

static void check_path(const char *text)
{
    auto_arena struct arena a = {0};
    const char *path, *vars[REQUEST_VARS_MAX];
    if (!path_clean(&a, text, &path))
        return;
    must(path[0] == '/' && !strchr(path, '%') && !strchr(path, '\\') && !strstr(path, "//"));
    must(!strstr(path, "/../") && !strstr(path, "/./"));
    size_t n = strlen(path);
    must(n < 3 || strcmp(path + n - 3, "/..") != 0);
    if (route_matches("/api/v1/envs/{env}/lb", path, &a, vars))
        must(vars[0][0] && !strchr(vars[0], '/'));
    if (route_matches("/static/{*}", path, &a, vars))
        must(vars[0][0] && vars[0][0] != '/');
}

static void check_pairs(const char *text)
{
    auto_arena struct arena a = {0};
    struct pair *pairs;
    size_t n;
    if (!pairs_parse(&a, text, &pairs, &n))
        return;
    must(n <= 100);
    for (size_t i = 0; i < n; i++)
        must(strlen(pairs[i].name) + strlen(pairs[i].value) <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    auto_arena struct arena a = {0};
    struct pair header = {.name = "Cookie", .value = text};
    struct request r = {.arena = &a, .headers = &header, .n_headers = 1};
    const char *cookie = cookie_get(&r, "release");
    must(!cookie || !strchr(cookie, ';'));
    struct listen_address at;
    struct err err;
    if (listen_parse(text, &at, &err))
        must(at.host[0] && at.port >= 0 && at.port <= 65535);
    check_path(text);
    check_pairs(text);
    free(text);
    return 0;
}
