/* SPDX-License-Identifier: MIT */
/* git, 2.30 and later: on the controller to name revisions, on the nodes to bring them.
 *
 * Nothing that was typed reaches a node: git.resolve turns it once into 40 hex digits, and everything else
 * takes those (docs/promises.md#s1). How git is tamed is in drivers/node/sh/gitlib.sh (S2). */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/node/running.h"
#include "drivers/verbs/git_carry.h"
#include "drivers/verbs/git_name.h"
#include "drivers/verbs/scripts.h"

#define REPO_MAX 2000
#define PATH_PARAM                                                                                           \
    {                                                                                                        \
        .name = "path", .type = PARAM_STR,                                                                   \
        .help = "the application is this directory of the repository; default: all of it"                    \
    }

static const struct param node_params[] = {
    {.name = "repo", .type = PARAM_STR, .help = "address of the repository: https, ssh, git, or a path"},
    {.name = "dir", .type = PARAM_STR, .help = "holds repo.git, or is the checkout itself; default {dir}"},
    {.name = "rev", .type = PARAM_STR, .help = "40 hex digits; default {rev}"},
    {.name = "user", .type = PARAM_STR, .help = "whose files these are; default {user}"},
    {.name = "via",
     .type = PARAM_CHOICE,
     .choices = "node|controller",
     .deflt = "node",
     .help =
         "who reads the repository: each node by itself, or the controller, which brings each what it lacks"},
    {.name = "force",
     .type = PARAM_BOOL,
     .deflt = "no",
     .help = "in place: overwrite files that were changed by hand"},
    PARAM_END,
};
static const struct param resolve_params[] = {
    {.name = "repo", .type = PARAM_STR, .required = true, .help = "address of the repository"},
    {.name = "rev",
     .type = PARAM_STR,
     .required = true,
     .help = "as typed: hash (4 digits or more), branch or tag"},
    {.name = "submodules",
     .type = PARAM_CHOICE,
     .choices = "refuse|ignore",
     .deflt = "refuse",
     .help = "a revision with submodules: they are not fetched"},
    {.name = "lfs",
     .type = PARAM_CHOICE,
     .choices = "refuse|ignore",
     .deflt = "refuse",
     .help = "a revision with files by git-lfs: they are not fetched"},
    {.name = "shared", .type = PARAM_LIST, .help = "paths: which of them does the revision hold?"},
    {.name = "allow",
     .type = PARAM_LIST,
     .help = "branches, also as in release/*: the revision must be on one of them"},
    {.name = "max_age", .type = PARAM_DURATION, .help = "the commit must not be older"},
    {.name = "keyring",
     .type = PARAM_STR,
     .help = "file of OpenPGP public keys: the commit, or a tag of it, must be signed by one of them"},
    {.name = "signers",
     .type = PARAM_STR,
     .help = "the same by ssh keys: an allowed_signers file (ssh-keygen(1))"},
    PATH_PARAM,
    PARAM_END,
};
static const struct param log_params[] = {
    {.name = "repo", .type = PARAM_STR, .required = true, .help = "address of the repository"},
    {.name = "from", .type = PARAM_STR, .help = "40 hex digits; default {rev_before}"},
    {.name = "rev", .type = PARAM_STR, .help = "40 hex digits; default {rev}"},
    PATH_PARAM,
    PARAM_END,
};

/* "ext::sh -c ..." and other helpers run commands; "-u..." is an option. */
static bool want_repo(struct op *op, const char *repo)
{
    size_t word = strspn(repo, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    if (*repo == '\0')
        op_refused(op, E_CONFIG, "no repository is given: set `repo:`");
    else if (*repo == '-' || strlen(repo) > REPO_MAX || strpbrk(repo, "\n\r\t") != NULL)
        op_refused(op, E_CONFIG, "'%.100s' is not the address of a repository", repo);
    else if (repo[word] == ':' && repo[word + 1] == ':')
        op_refused(op, E_CONFIG,
                   "repository '%.100s' names a transport helper; only https, ssh, git and paths are allowed",
                   repo);
    return !op_failed(op);
}

/* In place the release directory is the checkout itself. */
static const char *layout(struct op *op)
{
    const char *release_dir = op_var(op, "release_dir");
    return release_dir != NULL && strcmp(release_dir, arg_or_var(op, "dir")) == 0 ? LAYOUT_IN_PLACE
                                                                                  : LAYOUT_RELEASES;
}

/* The words of git.sh; false: the op was refused. */
static bool node_words(struct op *op, const char *act, const char *tree, struct git_words *ret)
{
    *ret = (struct git_words){.act = act,
                              .layout = tree,
                              .dir = arg_or_var(op, "dir"),
                              .repo = arg_or_var(op, "repo"),
                              .rev = arg_or_var(op, "rev"),
                              .via = op_arg(op, "via")};
    if (!want_path(op, "dir", ret->dir) || !want_rev(op, ret->rev))
        return false;
    if ((strcmp(act, "fetch") == 0 || strcmp(act, "readable") == 0) && !want_repo(op, ret->repo))
        return false;
    /* On the way back what differs from the commit was made by this release: it began with a clean tree. */
    ret->force = op_arg_bool(op, "force") ? "yes" : op_going_back(op) ? "ours" : "no";
    return true;
}

static enum outcome node_call(struct op *op, const char *act, const char *tree,
                              enum outcome (*run)(struct op *, const struct node_cmd *))
{
    struct git_words w;
    if (!node_words(op, act, tree, &w))
        return op_end(op);
    if (strcmp(w.via, "controller") == 0)
        w.repo = ""; /* the node has no use for it, and it may hold a token */
    const char *args[] = {GIT_WORDS(w), NULL};
    return run(op, &(struct node_cmd){.script = script_git, .args = args, .runas = report_runas(op, "user")});
}

static enum outcome git_fetch(struct op *op)
{
    struct git_words w;
    if (strcmp(op_arg(op, "via"), "controller") != 0)
        return node_call(op, "fetch", layout(op), report_change);
    return node_words(op, "fetch", layout(op), &w) ? git_carry(op, &w) : op_end(op);
}

static enum outcome git_readable(struct op *op)
{
    return node_call(op, "readable", layout(op), report_read);
}

static enum outcome git_fetched(struct op *op)
{
    return node_call(op, "fetched", layout(op), report_read);
}

static enum outcome git_checkout(struct op *op)
{
    return node_call(op, "checkout", LAYOUT_IN_PLACE, report_change);
}

static enum outcome git_checked_out(struct op *op)
{
    return node_call(op, "checked_out", LAYOUT_IN_PLACE, report_read);
}

static enum outcome git_running(struct op *op)
{
    return running_run(op, LAYOUT_IN_PLACE);
}

/* The path in a word of `shared:` ("var/", "/fr/config/key": see drivers/node/sh/dirlib.sh). */
static const char *shared_path(struct op *op, const char *word)
{
    const char *path = word[0] == '/' && strchr(word + 1, '/') ? strchr(word + 1, '/') + 1 : word;
    size_t n = strlen(path);
    return arena_strndup(op_arena(op), path, n > 0 && path[n - 1] == '/' ? n - 1 : n);
}

static const char *lines_of(struct op *op, const char *param)
{
    size_t n = 0;
    const char *const *items = op_arg_list(op, param, &n);
    auto_buf struct buf out = BUF_INIT(65536);
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%s%s", i == 0 ? "" : "\n", items[i]);
    return arena_strdup(op_arena(op), buf_str(&out));
}

/* "" when it is not given. */
static const char *seconds_of(struct op *op, const char *param)
{
    int64_t ms = op_arg(op, param) ? op_arg_ms(op, param) : 0;
    return ms > 0 ? arena_printf(op_arena(op), "%" PRId64, ms / 1000) : "";
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

enum outcome git_name(struct op *op, const char *repo, const char *name, const struct git_wants *wants)
{
    const char *fixed[] = {"resolve",
                           git_repo_key(op, repo),
                           repo,
                           git_seconds_left(op),
                           name,
                           or_empty(wants->submodules),
                           or_empty(wants->lfs),
                           or_empty(wants->subdir),
                           or_empty(wants->allow),
                           or_empty(wants->max_age),
                           or_empty(wants->keyring),
                           or_empty(wants->signers)};
    size_t n_fixed = sizeof fixed / sizeof *fixed;
    const char **args = arena_array(op_arena(op), wants->n_shared + n_fixed + 1, sizeof *args);
    memcpy(args, fixed, sizeof fixed);
    for (size_t i = 0; i < wants->n_shared; i++)
        args[n_fixed + i] = shared_path(op, wants->shared[i]);
    return report_local(op, &(struct node_cmd){.script = script_resolve, .args = args});
}

static enum outcome git_resolve(struct op *op)
{
    const char *repo = arg_or_var(op, "repo"), *rev = op_arg(op, "rev");
    const char *subdir = op_arg_text(op, "path");
    if (!want_repo(op, repo) || !want_subdir(op, subdir))
        return op_end(op);
    if (rev == NULL || !rev_valid(rev))
        return op_refused(op, E_USAGE,
                          "'%.60s' is not a revision; write a hash of 4 to 40 digits, a branch or a tag",
                          rev ? rev : "");
    const char *keyring = op_arg_text(op, "keyring"), *signers = op_arg_text(op, "signers");
    if ((*keyring && !want_path(op, "git: keyring", keyring)) ||
        (*signers && !want_path(op, "git: signers", signers)))
        return op_end(op);
    struct git_wants wants = {.submodules = op_arg(op, "submodules"),
                              .lfs = op_arg(op, "lfs"),
                              .subdir = subdir,
                              .allow = lines_of(op, "allow"),
                              .max_age = seconds_of(op, "max_age"),
                              .keyring = keyring,
                              .signers = signers};
    wants.shared = op_arg_list(op, "shared", &wants.n_shared);
    return git_name(op, repo, rev, &wants);
}

static enum outcome git_log(struct op *op)
{
    const char *repo = arg_or_var(op, "repo"), *rev = arg_or_var(op, "rev"), *from = op_arg(op, "from");
    if (from == NULL || *from == '\0')
        from = op_var(op, "rev_before") ? op_var(op, "rev_before") : "";
    const char *subdir = op_arg_text(op, "path");
    if (!want_repo(op, repo) || !want_rev(op, from) || !want_rev(op, rev) || !want_subdir(op, subdir))
        return op_end(op);
    const char *args[] = {"log", git_repo_key(op, repo), repo, git_seconds_left(op), from, rev, subdir, NULL};
    return report_local(op, &(struct node_cmd){.script = script_resolve, .args = args});
}

static const struct verb verbs[] = {
    {.name = "git.resolve",
     .help = "what a typed revision means: facts rev (40 hex), rev_kind, subject, author, date",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .default_timeout_ms = 120000,
     .params = resolve_params,
     .run = git_resolve},
    {.name = "git.log",
     .help = "commits between two revisions: facts direction, count, commit.1 ...",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .default_timeout_ms = 120000,
     .params = log_params,
     .run = git_log},
    {.name = "git.fetch",
     .help = "bring a commit to the node, while it serves",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_FETCH,
     .of_directory = true,
     .observe = "git.fetched",
     .forward_only = true,
     .default_timeout_ms = 600000,
     .params = node_params,
     .run = git_fetch},
    {.name = "git.readable",
     .help = "can the node read the repository, where it does not have the commit? Asked by preflight",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_READABLE,
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = git_readable},
    {.name = "git.fetched",
     .help = "is the commit there?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = git_fetched},
    {.name = "git.checkout",
     .help = "bring the checkout to the revision",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_CHECKOUT,
     .of_directory = true,
     .observe = "git.checked_out",
     .default_timeout_ms = 300000,
     .params = node_params,
     .run = git_checkout},
    {.name = "git.checked_out",
     .help = "is the checkout at the revision, whole and clean?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = git_checked_out},
    {RUNNING_ROW("git"), .help = "do the processes run the checkout's revision?", .run = git_running},
    {0},
};

const struct driver git_driver = {
    .name = "git",
    .layout = LAYOUT_IN_PLACE,
    .help = "git 2.30 or later: revisions are named on the controller, fetched and checked out on the nodes.",
    .verbs = verbs,
};
