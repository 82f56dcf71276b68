/* SPDX-License-Identifier: MIT */
/* Driver "release": the directories DIR/releases/NAME and the link DIR/current.
 *
 * unpack -> (build steps) -> seal -> switch. Builds happen in the final directory, because virtualenv and
 * buildout write absolute paths. A directory is a target only when it carries .release-complete, which seal
 * writes last and syncs; current changes by one rename, so a power cut leaves the old or the new release,
 * never half of one. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/node/running.h"
#include "drivers/verbs/scripts.h"

/* What all of them take, and what some do. */
#define DIR_PARAMS                                                                                           \
    {.name = "dir",                                                                                          \
     .type = PARAM_STR,                                                                                      \
     .help = "holds repo.git, releases/, shared/ and current; default {dir}"},                               \
        {.name = "release_dir",                                                                              \
         .type = PARAM_STR,                                                                                  \
         .help = "the directory of this release; default {release_dir}"},                                    \
        {.name = "rev", .type = PARAM_STR, .help = "40 hex digits; default {rev}"},                          \
        {.name = "user", .type = PARAM_STR, .help = "whose files these are; default {user}"},                \
    {                                                                                                        \
        .name = "shared", .type = PARAM_LIST,                                                                \
        .help = "paths kept in shared/ and linked into every release; a slash at the end means a "           \
                "directory, which may begin empty; {path:, ..} says more (docs/pillar.md#shared)"            \
    }
#define CONTENT_PARAM                                                                                        \
    {                                                                                                        \
        .name = "content", .type = PARAM_MAP, .help = "shared path: what it begins with where it is missing" \
    }
#define KEEP_PARAM                                                                                           \
    {                                                                                                        \
        .name = "keep", .type = PARAM_INT, .deflt = "5",                                                     \
        .help = "complete releases to keep, beside current, the one before and those in use"                 \
    }
static const struct param dir_params[] = {DIR_PARAMS, PARAM_END};
static const struct param unpack_params[] = {DIR_PARAMS, KEEP_PARAM, CONTENT_PARAM, PARAM_END};
static const struct param clean_params[] = {
    {.name = "dir", .type = PARAM_STR, .help = "holds releases/ and current; default {dir}"},
    {.name = "user", .type = PARAM_STR, .help = "whose files these are; default {user}"},
    KEEP_PARAM,
    PARAM_END,
};
static const struct param probe_params[] = {
    {.name = "dir", .type = PARAM_STR, .help = "default {dir}"},
    {.name = "user", .type = PARAM_STR, .help = "who works on the node; default {user}"},
    {.name = "layout",
     .type = PARAM_CHOICE,
     .choices = LAYOUT_RELEASES "|" LAYOUT_IN_PLACE,
     .help = "default: in-place when {release_dir} is {dir}"},
    {.name = "shared", .type = PARAM_LIST, .help = "paths kept in shared/: are they fit?"},
    PARAM_END,
};

static const struct param prepare_params[] = {
    {.name = "dir", .type = PARAM_STR, .help = "default {dir}"},
    {.name = "user", .type = PARAM_STR, .help = "who owns it; default {user}, else the login user"},
    PARAM_END,
};

/* What {release_dir} means now: on the way back the directory that the node ran before, which may have been
 * made by another recipe than the one that this plan would use. */
static const char *release_dir(struct op *op)
{
    return op_going_back(op) ? recall_or_empty(op, "release.before") : arg_or_var(op, "release_dir");
}

static bool places_ok(struct op *op, const char *dir, const char *release)
{
    if (!want_path(op, "dir", dir))
        return false;
    return *release == '\0' || want_path(op, "release directory", release);
}

/* The first content of the shared paths that have one, for the script: RELEASE_SHARED_N, N their place in the list. It goes
 * by the environment, which travels by stdin: it may be a key. */
static const struct op_pair *contents_of(struct op *op, const char *const *shared, size_t n_shared,
                                         size_t *ret_n)
{
    size_t n;
    const struct op_pair *given = op_arg_map(op, "content", &n);
    struct op_pair *env = arena_array(op_arena(op), n_shared + 1, sizeof(*env));
    *ret_n = 0;
    for (size_t i = 0; i < n_shared; i++) {
        const char *flags_end = shared[i][0] == '/' ? strchr(shared[i] + 1, '/') : NULL;
        const char *content = flags_end ? op_pair_value(given, n, flags_end + 1) : NULL;
        if (content != NULL)
            env[(*ret_n)++] = (struct op_pair){.name = arena_printf(op_arena(op), "RELEASE_SHARED_%zu", i),
                                               .value = content};
    }
    return env;
}

static enum outcome dir_call(struct op *op, const char *act, bool with_shared,
                             enum outcome (*run)(struct op *, const struct node_cmd *))
{
    const char *dir = arg_or_var(op, "dir"), *release = release_dir(op), *rev = arg_or_var(op, "rev");
    const char *subdir = arg_or_var(op, "git_path");
    if (!places_ok(op, dir, release) || !want_rev(op, rev) || !want_subdir(op, subdir))
        return op_end(op);
    size_t n = 0, i = 0;
    const char *const *shared = with_shared ? op_arg_list(op, "shared", &n) : NULL;
    const char **args = arena_array(op_arena(op), n + 8, sizeof *args);
    args[i++] = act;
    args[i++] = dir;
    args[i++] = release;
    args[i++] = rev;
    if (strcmp(act, "unpack") == 0) {
        args[i++] = arena_printf(op_arena(op), "%" PRId64, op_arg_int(op, "keep"));
        args[i++] = recall_or_empty(op, "release.before");
        args[i++] = subdir;
    } else if (strcmp(act, "seal") == 0) {
        args[i++] = subdir;
    }
    for (size_t s = 0; s < n; s++)
        args[i++] = shared[s];
    struct node_cmd cmd = {.script = strncmp(act, "switch", 6) == 0 ? script_switch : script_releasedir,
                           .args = args,
                           .runas = report_runas(op, "user")};
    if (strcmp(act, "unpack") == 0)
        cmd.env = contents_of(op, shared, n, &cmd.n_env);
    return run(op, &cmd);
}

static enum outcome release_unpack(struct op *op)
{
    return dir_call(op, "unpack", true, report_change);
}

static enum outcome release_unpacked(struct op *op)
{
    return dir_call(op, "unpacked", true, report_read);
}

static enum outcome release_seal(struct op *op)
{
    return dir_call(op, "seal", false, report_change);
}

static enum outcome release_sealed(struct op *op)
{
    return dir_call(op, "sealed", false, report_read);
}

static enum outcome release_switch(struct op *op)
{
    return dir_call(op, "switch", false, report_change);
}

static enum outcome release_switched(struct op *op)
{
    return dir_call(op, "switched", false, report_read);
}

static enum outcome release_clean(struct op *op)
{
    const char *dir = arg_or_var(op, "dir");
    int64_t keep = op_arg_int(op, "keep");
    if (!want_path(op, "dir", dir))
        return op_end(op);
    if (keep < 1)
        return op_refused(op, E_CONFIG, "keep is %" PRId64 "; at least 1 release must stay", keep);
    const char *args[] = {"clean", dir, arena_printf(op_arena(op), "%" PRId64, keep),
                          recall_or_empty(op, "release.before"), NULL};
    return report_change(
        op, &(struct node_cmd){.script = script_switch, .args = args, .runas = report_runas(op, "user")});
}

/* Cleaning has no effect that anybody waits for. */
static enum outcome release_cleaned(struct op *op)
{
    return op_end(op);
}

static enum outcome release_running(struct op *op)
{
    return running_run(op, LAYOUT_RELEASES);
}

static enum outcome release_probe(struct op *op)
{
    const char *dir = arg_or_var(op, "dir"), *layout = op_arg(op, "layout"),
               *place = op_var(op, "release_dir");
    if (!want_path(op, "dir", dir))
        return op_end(op);
    if (layout != NULL && strcmp(layout, "rolling") == 0)
        layout = LAYOUT_RELEASES; /* as older plans call it */
    if (layout == NULL || *layout == '\0')
        layout = place != NULL && strcmp(place, dir) == 0 ? LAYOUT_IN_PLACE : LAYOUT_RELEASES;
    const char *user = report_runas(op, "user");
    size_t n = 0;
    const char *const *shared = op_arg_list(op, "shared", &n);
    const char **args = arena_array(op_arena(op), n + 3, sizeof *args);
    args[0] = layout;
    args[1] = dir;
    for (size_t i = 0; i < n; i++)
        args[2 + i] = shared[i];
    return report_read(op, &(struct node_cmd){.script = script_probe, .args = args, .runas = user});
}

/* As the login user: where that may not make the directory, the script asks sudo for this alone. */
static enum outcome prepare_call(struct op *op, const char *act,
                                 enum outcome (*run)(struct op *, const struct node_cmd *))
{
    const char *dir = arg_or_var(op, "dir"), *user = arg_or_var(op, "user");
    if (!want_path(op, "dir", dir))
        return op_end(op);
    if (*user && !name_valid(user, 64))
        return op_refused(op, E_CONFIG, "user: '%.100s' is not a user name", user);
    const char *args[] = {act, dir, user, NULL};
    return run(op, &(struct node_cmd){.script = script_prepare, .args = args});
}

static enum outcome release_prepare(struct op *op)
{
    return prepare_call(op, "make", report_change);
}

static enum outcome release_prepared(struct op *op)
{
    return prepare_call(op, "look", report_read);
}

static const struct verb verbs[] = {
    {.name = "release.unpack",
     .help = "the revision's files into a fresh directory, shared paths linked",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_UNPACK,
     .of_directory = true,
     .observe = "release.unpacked",
     .forward_only = true,
     .default_timeout_ms = 600000,
     .params = unpack_params,
     .run = release_unpack},
    {.name = "release.unpacked",
     .help = "are the files there?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = unpack_params,
     .run = release_unpacked},
    {.name = "release.seal",
     .help = "mark the directory complete, after the last build step",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_SEAL,
     .of_directory = true,
     .observe = "release.sealed",
     .forward_only = true,
     .default_timeout_ms = 120000,
     .params = dir_params,
     .run = release_seal},
    {.name = "release.sealed",
     .help = "is the directory complete?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = dir_params,
     .run = release_sealed},
    {.name = "release.switch",
     .help = "current -> this release, by one rename",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_SWITCH,
     .of_directory = true,
     .observe = "release.switched",
     .default_timeout_ms = 60000,
     .params = dir_params,
     .run = release_switch},
    {.name = "release.switched",
     .help = "does current lead there?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = dir_params,
     .run = release_switched},
    {.name = "release.clean",
     .help = "remove old and incomplete releases that nothing needs",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_CLEAN,
     .of_directory = true,
     .observe = "release.cleaned",
     .forward_only = true,
     .default_timeout_ms = 300000,
     .params = clean_params,
     .run = release_clean},
    {.name = "release.cleaned",
     .help = "nothing waits for cleaning: always so",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = clean_params,
     .run = release_cleaned},
    {RUNNING_ROW("release"), .help = "which revision do the processes run?", .run = release_running},
    {.name = "release.probe",
     .help = "what is deployed, how much room is there? for preflight",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 30000,
     .params = probe_params,
     .run = release_probe},
    {.name = "release.prepare",
     .help = "make the directory that releases live in, where it is missing; what is there stays as it is",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .observe = "release.prepared",
     .forward_only = true,
     .default_timeout_ms = 60000,
     .params = prepare_params,
     .run = release_prepare},
    {.name = "release.prepared",
     .help = "is there a directory that releases can live in, its owner, git?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 30000,
     .params = prepare_params,
     .run = release_prepared},
    {0},
};

const struct driver release_driver = {
    .name = "release",
    .layout = LAYOUT_RELEASES,
    .help = "Release directories: DIR/releases/NAME, DIR/shared, and the link DIR/current.",
    .verbs = verbs,
};
