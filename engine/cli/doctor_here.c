/* SPDX-License-Identifier: MIT */
/* Of release doctor: the program's libraries, the programs that it calls, the limits of its process. */
#include "cli/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/child.h"
#include "base/library.h"

#define PROGRAM_MS 10000
/* Connections to nodes and balancers are open at once. */
#define FILES_WANTED 1024

extern const struct library ssh2_library, curl_library, yaml_library, pcre2_library, sqlite_library,
    jansson_library, openssl_library, expat_library, microhttpd_library;

static const struct library *const libraries[] = {
    &ssh2_library,    &curl_library,    &yaml_library,  &pcre2_library,      &sqlite_library,
    &jansson_library, &openssl_library, &expat_library, &microhttpd_library, NULL,
};

void doctor_libraries(struct findings *f)
{
    struct arena *a = &f->cli->arena;
    for (const struct library *const *l = libraries; *l; l++)
        findings_add(f, (struct finding){.what = (*l)->name,
                                         .found = arena_printf(a, "%s, for %s (%s)", (*l)->version(),
                                                               (*l)->does, (*l)->package)});
}

struct program {
    const char *argv[3];
    const char *package, *does;
    bool needed;
};
static const struct program programs[] = {
    {{"git", "--version", NULL}, "git", "revisions are looked up here", true},
    {{"ssh", "-V", NULL}, "openssh-client", "your ssh configuration, jump hosts, `transport: openssh`", true},
    {{"ssh-keygen", NULL, NULL}, "openssh-client", "signatures by ssh keys (git: signers)", false},
    {{"gpg", "--version", NULL}, "gnupg", "signatures by OpenPGP keys (git: keyring)", false},
};

/* Where PATH has it, NULL: nowhere. */
static const char *program_path(const char *name, struct arena *arena)
{
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += strcspn(p, ":"), p += *p == ':') {
        const char *file = arena_printf(arena, "%.*s/%s", (int)strcspn(p, ":"), p, name);
        if (access(file, X_OK) == 0)
            return file;
    }
    return NULL;
}

/* The first line of what it says of itself; its path where there is no harmless way to ask. NULL: it is not there. */
static const char *program_says(const struct program *p, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(64 * 1024), said = BUF_INIT(CHILD_STDERR_MAX);
    const char *const ask[] = {p->argv[0], p->argv[1], NULL};
    const char *path = program_path(p->argv[0], arena);
    struct err err;
    if (!path || !p->argv[1])
        return path;
    if (!child_run(&(struct child_req){.argv = ask, .timeout_ms = PROGRAM_MS}, &out, &said, &err))
        return arena_printf(arena, "%s (%s)", path, err.text);
    const char *text = out.len ? buf_str(&out) : buf_str(&said);
    return arena_strndup(arena, text, strcspn(text, "\r\n"));
}

void doctor_programs(struct findings *f)
{
    struct arena *a = &f->cli->arena;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        const struct program *p = &programs[i];
        const char *says = program_says(p, a);
        struct finding one = {.what = p->argv[0], .found = says};
        if (!says) {
            one.level = p->needed ? FINDING_WRONG : FINDING_NOTE;
            one.status = EXIT_PREFLIGHT;
            one.found = arena_printf(a, "not there; it is for: %s", p->does);
            one.mend = arena_printf(a, "apt-get install %s", p->package);
        }
        findings_add(f, one);
    }
}

void doctor_limits(struct findings *f)
{
    struct arena *a = &f->cli->arena;
    struct rlimit files;
    must(getrlimit(RLIMIT_NOFILE, &files) == 0);
    bool few = files.rlim_cur < FILES_WANTED;
    findings_add(
        f, (struct finding){
               .level = few ? FINDING_NOTE : FINDING_OK,
               .what = "open files",
               .found = arena_printf(a, "%llu at once", (unsigned long long)files.rlim_cur),
               .mend = few ? "a release holds a connection to each node: 'ulimit -n 1024' for more than a "
                             "few hundred of them"
                           : NULL});
}
