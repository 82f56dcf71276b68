/* SPDX-License-Identifier: MIT */
/* The order of AWS's tools (creds.h). The one place of the drivers that reads the environment: that is where an
 * operator and a CI job put these. */
#include "drivers/aws/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/str.h"
#include "drivers/aws/ini.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define DEPTH_MAX      5 /* source_profile of a source_profile */

struct aws_files {
    struct arena *arena;
    struct ini credentials, config;
};

const char *creds_env(const char *name)
{
    const char *v = getenv(name); // NOLINT: nothing here calls setenv
    return v && *v ? v : NULL;
}

/* ---- files ----------------------------------------------------------------- */

char *creds_read(struct arena *a, const char *path, struct err *err)
{
    auto_buf struct buf b = BUF_INIT(FILE_MAX_BYTES);
    char part[8192];
    ssize_t n = 0;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd >= 0 && (n = read(fd, part, sizeof part)) > 0)
        buf_add(&b, part, (size_t)n);
    if (fd < 0 || n < 0) {
        err_errno(err, errno == ENOENT ? E_NOTFOUND : E_CONFIG, "%s", path);
        return NULL;
    }
    if (b.cut || memchr(buf_str(&b), 0, b.len)) {
        err_set(err, E_CONFIG, "%s: not a text of at most 1 MiB", path);
        return NULL;
    }
    while (b.len && strchr("\r\n", b.data[b.len - 1]))
        b.data[--b.len] = '\0';
    return arena_strndup(a, buf_str(&b), b.len);
}

static const char *path_of(struct arena *a, const char *env, const char *name)
{
    const char *home = creds_env("HOME"), *path = creds_env(env);
    if (path && str_starts(path, "~/") && home)
        return arena_printf(a, "%s%s", home, path + 1);
    return path ? path : arena_printf(a, "%s/.aws/%s", home ? home : "", name);
}

/* What is signed with goes into headers. */
static bool one_line(const struct ini *ini, const struct ini_key *key, struct err *err)
{
    bool signs = str_starts(key->name, "aws_");
    return !signs || !strchr(key->value, '\n') ||
           err_set(
               err, E_CONFIG,
               "%s: [%s] %s: the line below stands deeper, so its value goes on there; let that line begin "
               "where the key begins",
               ini->path, key->section, key->name);
}

/* One that is not there is empty: most have one of the two. */
static bool file_load(struct aws_files *f, const char *env, const char *name, struct ini *ret,
                      struct err *err)
{
    const char *path = path_of(f->arena, env, name);
    char *text = creds_read(f->arena, path, err);
    if (!text && err->code != E_NOTFOUND)
        return false;
    bool fine = ini_parse(f->arena, path, text ? text : "", ret, err);
    for (size_t i = 0; fine && i < ret->n; i++)
        fine = one_line(ret, &ret->keys[i], err);
    return fine;
}

static bool files_load(struct aws_files *f, struct err *err)
{
    struct err mine = {0};
    bool fine = file_load(f, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &f->credentials, &mine) &&
                file_load(f, "AWS_CONFIG_FILE", "config", &f->config, &mine);
    if (!fine)
        *err = mine;
    return fine;
}

/* In the configuration profiles are called "profile NAME", but for the default. */
static const char *config_section(struct aws_files *f, const char *profile)
{
    const char *plain = strcmp(profile, "default") == 0 && ini_has(&f->config, "default") ? "default" : NULL;
    return plain ? plain : arena_printf(f->arena, "profile %s", profile);
}

static const char *get(struct aws_files *f, const char *profile, const char *name)
{
    const char *v = ini_get(&f->credentials, profile, name);
    return v ? v : ini_get(&f->config, config_section(f, profile), name);
}

static bool is_known(struct aws_files *f, const char *profile)
{
    return ini_has(&f->credentials, profile) || ini_has(&f->config, config_section(f, profile));
}

static bool unknown_profile(struct aws_files *f, const char *profile, struct err *err)
{
    auto_buf struct buf names = BUF_INIT(300);
    for (size_t i = 0; i < f->credentials.n_sections; i++)
        buf_printf(&names, "%s%s", names.len ? ", " : "", f->credentials.sections[i]);
    for (size_t i = 0; i < f->config.n_sections; i++) {
        const char *s = f->config.sections[i];
        s += str_starts(s, "profile ") ? strlen("profile ") : 0;
        if (!ini_has(&f->credentials, s))
            buf_printf(&names, "%s%s", names.len ? ", " : "", s);
    }
    return err_set(err, E_CONFIG, "profile '%s' is neither in %s nor in %s (there: %s%s)", profile,
                   f->credentials.path, f->config.path, names.len ? buf_str(&names) : "none",
                   names.cut ? "..." : "");
}

/* ---- one profile ----------------------------------------------------------- */

static bool profile_keys(struct aws_files *f, const char *profile, struct creds *ret, struct err *err)
{
    const char *id = get(f, profile, "aws_access_key_id"), *secret = get(f, profile, "aws_secret_access_key");
    bool shared = ini_get(&f->credentials, profile, "aws_access_key_id") != NULL;
    ret->kind = CREDS_KEYS;
    ret->keys =
        (struct sigv4_keys){.id = id, .secret = secret, .token = get(f, profile, "aws_session_token")};
    ret->from =
        arena_printf(f->arena, "profile %s (%s)", profile, shared ? f->credentials.path : f->config.path);
    return secret ||
           err_set(err, E_CONFIG, "profile '%s': aws_access_key_id without aws_secret_access_key", profile);
}

static bool profile_find(struct aws_files *f, const char *profile, size_t depth, struct creds *ret,
                         struct err *err);

static bool named_source(const char *profile, const char *name, struct creds *ret, struct err *err)
{
    if (!strcmp(name, "Ec2InstanceMetadata"))
        *ret = (struct creds){.kind = CREDS_METADATA, .from = "the instance's role"};
    else if (!strcmp(name, "EcsContainer"))
        *ret = (struct creds){.kind = CREDS_CONTAINER, .from = "the container's role"};
    else if (!strcmp(name, "Environment") && creds_env("AWS_ACCESS_KEY_ID") &&
             creds_env("AWS_SECRET_ACCESS_KEY"))
        *ret = (struct creds){.kind = CREDS_KEYS,
                              .from = "the environment",
                              .keys = {.id = creds_env("AWS_ACCESS_KEY_ID"),
                                       .secret = creds_env("AWS_SECRET_ACCESS_KEY"),
                                       .token = creds_env("AWS_SESSION_TOKEN")}};
    else
        return err_set(err, E_CONFIG, "profile '%s': credential_source '%s' gives no credentials", profile,
                       name);
    return true;
}

static bool role_source(struct aws_files *f, const char *profile, size_t depth, struct creds *ret,
                        struct err *err)
{
    const char *source = get(f, profile, "source_profile"), *named = get(f, profile, "credential_source");
    if (named && !source)
        return named_source(profile, named, ret, err);
    if (!source)
        return err_set(err, E_CONFIG, "profile '%s': role_arn without source_profile or credential_source",
                       profile);
    if (!is_known(f, source))
        return unknown_profile(f, source, err);
    /* A profile that is its own source gives its keys. */
    if (!strcmp(source, profile))
        return profile_keys(f, source, ret, err);
    if (!profile_find(f, source, depth + 1, ret, err))
        return false;
    /* Whoever means the instance's own says credential_source. */
    return ret->from ||
           err_set(err, E_CONFIG, "profile '%s': its source_profile '%s' has no credentials, in %s or in %s",
                   profile, source, f->credentials.path, f->config.path);
}

static bool role_take(struct aws_files *f, const char *profile, size_t depth, struct creds *ret,
                      struct err *err)
{
    const char *duration = get(f, profile, "duration_seconds");
    const char *from = arena_printf(f->arena, "role %s of profile %s", ret->role, profile);
    if (get(f, profile, "mfa_serial"))
        return err_set(err, E_CONFIG,
                       "profile '%s' asks for a code of an MFA device, which nobody can type here: put "
                       "credentials of a session into the environment",
                       profile);
    if (depth == DEPTH_MAX)
        return err_set(err, E_CONFIG,
                       "profile '%s': source_profile leads in a circle, or through more than %d", profile,
                       DEPTH_MAX);
    ret->from = from;
    ret->external_id = get(f, profile, "external_id");
    ret->session = get(f, profile, "role_session_name");
    ret->duration_s = duration ? strtoll(duration, NULL, 10) : 0;
    ret->token_file = get(f, profile, "web_identity_token_file");
    ret->kind = ret->token_file ? CREDS_WEB : CREDS_ROLE;
    if (ret->token_file)
        return true;
    struct creds *source = arena_alloc(f->arena, sizeof *source);
    ret->source = source;
    return role_source(f, profile, depth, source, err);
}

static bool foreign_login(struct aws_files *f, const char *profile, struct err *err)
{
    static const char *const keys[] = {"sso_session", "sso_start_url", "credential_process", "login_session"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (get(f, profile, keys[i]))
            return err_set(err, E_CONFIG,
                           "profile '%s' logs in by %s, which is not done here: run `eval \"$(aws configure "
                           "export-credentials --profile %s --format env)\"` first",
                           profile, keys[i], profile);
    return true;
}

/* CREDS_METADATA with no `from`: the profile says nothing of credentials. */
static bool profile_find(struct aws_files *f, const char *profile, size_t depth, struct creds *ret,
                         struct err *err)
{
    *ret = (struct creds){.kind = CREDS_METADATA,
                          .endpoint = get(f, profile, "endpoint_url"),
                          .ca = get(f, profile, "ca_bundle")};
    if ((ret->role = get(f, profile, "role_arn")))
        return role_take(f, profile, depth, ret, err);
    if (get(f, profile, "aws_access_key_id"))
        return profile_keys(f, profile, ret, err);
    return foreign_login(f, profile, err);
}

/* ---- the order ------------------------------------------------------------- */

static bool from_environment(struct creds *ret, struct err *err)
{
    const char *secret = creds_env("AWS_SECRET_ACCESS_KEY");
    ret->kind = CREDS_KEYS;
    ret->from = "the environment";
    ret->keys = (struct sigv4_keys){
        .id = creds_env("AWS_ACCESS_KEY_ID"), .secret = secret, .token = creds_env("AWS_SESSION_TOKEN")};
    return secret || err_set(err, E_CONFIG,
                             "AWS_ACCESS_KEY_ID is in the environment, and AWS_SECRET_ACCESS_KEY is not");
}

static void from_web(struct creds *ret)
{
    ret->kind = CREDS_WEB;
    ret->role = creds_env("AWS_ROLE_ARN");
    ret->session = creds_env("AWS_ROLE_SESSION_NAME");
    ret->token_file = creds_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    ret->from = "AWS_WEB_IDENTITY_TOKEN_FILE";
}

static bool from_machine(struct creds *ret, const struct aws_files *f, struct err *err)
{
    const char *off = creds_env("AWS_EC2_METADATA_DISABLED");
    bool container = creds_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
                     creds_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    ret->kind = container ? CREDS_CONTAINER : CREDS_METADATA;
    ret->from = container ? "the container's role" : "the instance's role";
    if (container || !off || strcmp(off, "true") != 0)
        return true;
    return err_set(err, E_CONFIG,
                   "no credentials: none in the environment (AWS_ACCESS_KEY_ID), in %s, or in %s, and the "
                   "instance's are switched off (AWS_EC2_METADATA_DISABLED)",
                   f->credentials.path, f->config.path);
}

bool creds_find(struct arena *a, const char *profile, struct creds *ret, struct err *err)
{
    struct aws_files f = {.arena = a};
    bool given = profile != NULL; /* by the pillar: then the environment's keys are not meant */
    const char *name = given ? profile : creds_env("AWS_PROFILE");
    if (!name)
        name = creds_env("AWS_DEFAULT_PROFILE");
    bool named = name != NULL;
    name = named ? name : "default";
    if (!files_load(&f, err))
        return false;
    struct creds said;
    bool keys_here = !given && creds_env("AWS_ACCESS_KEY_ID");
    *ret = (struct creds){.endpoint = get(&f, name, "endpoint_url"), .ca = get(&f, name, "ca_bundle")};
    if (keys_here)
        return from_environment(ret, err);
    if (named && !is_known(&f, name))
        return unknown_profile(&f, name, err);
    if (!get(&f, name, "role_arn") && !given && creds_env("AWS_WEB_IDENTITY_TOKEN_FILE") &&
        creds_env("AWS_ROLE_ARN")) {
        from_web(ret);
        return true;
    }
    if (!profile_find(&f, name, 0, &said, err))
        return false;
    if (said.from) {
        *ret = said;
        return true;
    }
    return from_machine(ret, &f, err);
}
