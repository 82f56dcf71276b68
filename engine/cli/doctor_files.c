/* SPDX-License-Identifier: MIT */
/* Of release doctor: which root and which journal are meant here, and can they be worked with? */
#include "cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/auto.h"

#define JOURNAL_FREE_MIN (64 * 1024 * 1024)
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif

/* ---- root and environments */

static const char *root_why(struct cli *cli)
{
    if (cli_opt(cli, "root"))
        return "--root";
    return strcmp(cli_root(cli), ".") == 0 ? "there is a pillar/ here" : "no pillar/ here";
}

static void environments(struct findings *f, const char *const *envs)
{
    struct arena *a = &f->cli->arena;
    auto_buf struct buf names = BUF_INIT(8192);
    for (size_t i = 0; envs && envs[i]; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", envs[i]);
    if (names.len)
        findings_add(f, (struct finding){.what = "environments", .found = arena_strdup(a, buf_str(&names))});
    else
        findings_add(
            f, (struct finding){
                   .level = FINDING_NOTE,
                   .what = "environments",
                   .found = "none",
                   .mend = "in a checkout of your project, 'release init' writes a first pillar; or stand in "
                           "the directory that has pillar/, or name it with --root"});
}

/* One that was named is read and made into a plan: every mistake of pillar and plan. Nothing is connected to. */
static void environment(struct findings *f, const char *env)
{
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    int status = cli_plan_look(f->cli, env, &pillar, &plan);
    struct arena *a = &f->cli->arena;
    if (status)
        findings_add(f, (struct finding){.level = FINDING_WRONG,
                                         .what = env,
                                         .found = "pillar or plan have mistakes (above)",
                                         .mend = "correct them",
                                         .status = status});
    else
        findings_add(
            f, (struct finding){.what = env,
                                .found = arena_printf(a, "pillar and plan are sound: %s, %zu node%s, plan %s",
                                                      plan->app, plan->n_nodes, plan->n_nodes == 1 ? "" : "s",
                                                      plan->name)});
}

void doctor_root(struct findings *f)
{
    struct cli *cli = f->cli;
    const char *tree = cli_tree(cli);
    findings_add(f,
                 (struct finding){.level = tree ? FINDING_OK : FINDING_NOTE,
                                  .what = "root",
                                  .found = arena_printf(&cli->arena, "%s%s (%s)", tree ? tree : cli_root(cli),
                                                        tree ? "" : " is not there", root_why(cli))});
    environments(f, tree ? pillar_envs(cli_root(cli), &cli->arena) : NULL);
    if (cli->n_words)
        environment(f, cli->words[0]);
}

/* ---- the journal */

static const char *state_why(struct cli *cli, const char *path)
{
    const char *own = getenv("RELEASE_STATE");
    if (cli_opt(cli, "state"))
        return "--state";
    if (own && *own)
        return "$RELEASE_STATE";
    return path ? "`state:` of release.yml" : "the default";
}

/* Write-ahead logging shares memory between processes: not over a network. */
static bool on_network(const char *dir)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return false;
    unsigned long type = (unsigned long)fs.f_type & 0xFFFFFFFFul;
    return type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC || type == CIFS_SUPER_MAGIC ||
           type == CODA_SUPER_MAGIC || type == AFS_SUPER_MAGIC;
}

/* The nearest directory that is there. */
static const char *directory_of(const char *file, struct arena *arena)
{
    char *dir = arena_strdup(arena, file);
    struct stat st;
    for (char *slash = strrchr(dir, '/'); slash; slash = strrchr(dir, '/')) {
        *slash = '\0';
        if (slash == dir)
            return "/";
        if (stat(dir, &st) == 0)
            return dir;
    }
    return ".";
}

static void journal_disk(struct findings *f, const char *place)
{
    struct arena *a = &f->cli->arena;
    const char *dir = directory_of(place, a);
    struct statvfs vfs;
    if (on_network(dir))
        findings_add(f,
                     (struct finding){
                         .level = FINDING_WRONG,
                         .what = "journal's disk",
                         .found = arena_printf(a, "%s is a network file system", dir),
                         .mend = "the journal must lie on a local disk: --state, or `state:` in release.yml",
                         .status = EXIT_JOURNAL});
    if (statvfs(dir, &vfs) != 0)
        return;
    unsigned long long room = (unsigned long long)vfs.f_bavail * vfs.f_frsize;
    bool full = room < JOURNAL_FREE_MIN;
    findings_add(f, (struct finding){
                        .level = full ? FINDING_WRONG : FINDING_OK,
                        .what = "journal's disk",
                        .found = arena_printf(a, "%llu MiB free in %s", room / 1048576, dir),
                        .mend = full ? "make room: a release stops when its journal cannot be written" : NULL,
                        .status = EXIT_JOURNAL});
}

static const char *name_of(uid_t uid, struct arena *arena)
{
    const struct passwd *pw = getpwuid(uid);
    return pw ? arena_strdup(arena, pw->pw_name) : arena_printf(arena, "%u", (unsigned)uid);
}

/* Who may write there: its owner, and root in a journal of root's. */
static void journal_owner(struct findings *f, const char *place)
{
    struct arena *a = &f->cli->arena;
    struct stat st;
    if (stat(place, &st) != 0 || st.st_uid == geteuid() || st.st_uid == 0)
        return;
    const char *owner = name_of(st.st_uid, a);
    findings_add(
        f, (struct finding){.level = FINDING_NOTE,
                            .what = "journal's owner",
                            .found = arena_printf(a, "%s, and you are %s: you may look, and release nothing",
                                                  owner, name_of(geteuid(), a)),
                            .mend = arena_printf(a, "sudo -u %s -H release ...", owner)});
}

static void journal_holds(struct findings *f, struct store *store, const char *why)
{
    struct arena *a = &f->cli->arena;
    const char *place = store_place(store);
    struct release_info *list;
    struct stat st;
    struct err err;
    size_t n = 0;
    if (stat(place, &st) != 0) {
        const char *dir = directory_of(place, a);
        bool can = access(dir, W_OK) == 0;
        findings_add(
            f,
            (struct finding){
                .level = can ? FINDING_OK : FINDING_WRONG,
                .what = "journal",
                .found =
                    can ? arena_printf(a, "%s (%s): not there yet, the first release makes it", place, why)
                        : arena_printf(a, "%s (%s) cannot be made: %s: %s", place, why, dir, strerror(errno)),
                .mend = can ? NULL : "--state names another, or make its directory for this user",
                .status = EXIT_JOURNAL});
        return;
    }
    if (!release_list(reader(store, a), &(struct newest){.limit = 1}, &list, &n, &err))
        findings_add(f, (struct finding){.level = FINDING_WRONG,
                                         .what = "journal",
                                         .found = arena_strdup(a, err.text),
                                         .status = err_code_exit(err.code)});
    else
        findings_add(f, (struct finding){.what = "journal",
                                         .found = arena_printf(a, "%s (%s), %lld KiB, last release %" PRId64,
                                                               place, why, (long long)st.st_size / 1024,
                                                               n ? list[0].id : 0)});
    journal_owner(f, place);
}

void doctor_journal(struct findings *f)
{
    struct cli *cli = f->cli;
    auto_store struct store *store = NULL;
    struct err err;
    const char *path;
    int status = cli_state(cli, STORE_READ, &path);
    if (status) {
        findings_add(f, (struct finding){.level = FINDING_WRONG,
                                         .what = "journal",
                                         .found = "release.yml has mistakes (above)",
                                         .mend = "correct them",
                                         .status = status});
        return;
    }
    if (!store_open(path, STORE_READ, &store, &err)) {
        findings_add(
            f, (struct finding){.level = FINDING_WRONG,
                                .what = "journal",
                                .found = arena_printf(&cli->arena, "%s (%s)", err.text, state_why(cli, path)),
                                .mend = "docs/journal.md says what is refused and why; --state names another",
                                .status = err_code_exit(err.code)});
        return;
    }
    journal_holds(f, store, state_why(cli, path));
    journal_disk(f, store_place(store));
}
