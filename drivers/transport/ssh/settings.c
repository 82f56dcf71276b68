/* SPDX-License-Identifier: MIT */
/* Where and how to log in: the pillar's words first, then what the user's ssh configuration says, asked
 * through `ssh -G` so that Host, Match and Include mean what they mean to ssh. Asked once for each target. */
#include "drivers/op/process.h"
#include "drivers/transport/ssh/ssh_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

#define ASK_MS 10000

/* "none" is no host, as in ssh's own configuration. */
bool jump_none(const char *jump)
{
    return *jump == '\0' || strcasecmp(jump, "none") == 0;
}

static void take_output(void *ctx, int stream, const char *data, size_t n)
{
    buf_add((struct buf *)ctx + (stream - 1), data, n);
}

static enum link_end settings_ask(struct op *op, const struct target *t, struct ssh_settings *s,
                                  struct err *err)
{
    char port[16];
    const char *argv[12] = {"ssh", "-G"};
    size_t n = 2;
    if (t->ssh.config) {
        argv[n++] = "-F";
        argv[n++] = ssh_tilde(&s->arena, t->ssh.config);
    }
    if (t->ssh.user) {
        argv[n++] = "-l";
        argv[n++] = t->ssh.user;
    }
    if (t->ssh.port) {
        snprintf(port, sizeof(port), "%d", t->ssh.port);
        argv[n++] = "-p";
        argv[n++] = port;
    }
    argv[n++] = "--";
    argv[n] = t->host;
    struct buf out[2] = {BUF_INIT(1 << 18), BUF_INIT(4096)};
    struct call_req req = {.output = take_output, .ctx = out};
    struct call_end end;
    struct process *call = process_start(argv, &req, err);
    if (!call) {
        err_wrap(err, "%s: asking `ssh -G` for the ssh configuration", t->id);
        buf_fini(&out[0]);
        buf_fini(&out[1]);
        return LINK_REFUSED;
    }
    enum link_end done = process_pump(op, call, clock_mono_ms() + ASK_MS, &end, err);
    process_free(call);
    if (done == LINK_OK && end.status == 0)
        ssh_settings_parse(s, out[0].data ? out[0].data : (char[]){""});
    else if (done == LINK_OK || done == LINK_BOUND)
        err_set(err, E_CONFIG, "%s: `ssh -G %s` failed: %s", t->id, t->host, buf_str(&out[1]));
    buf_fini(&out[0]);
    buf_fini(&out[1]);
    return done == LINK_OK && end.status == 0      ? LINK_OK
           : done == LINK_OK || done == LINK_BOUND ? LINK_REFUSED
                                                   : done;
}

/* ssh without any configuration, as `ssh -F none` has it. */
static void settings_default(struct ssh_settings *s)
{
    s->user = ssh_local_user(&s->arena);
    s->keys[0] = "~/.ssh/id_ed25519";
    s->keys[1] = "~/.ssh/id_ecdsa";
    s->keys[2] = "~/.ssh/id_rsa";
    s->known_hosts[0] = ssh_tilde(&s->arena, "~/.ssh/known_hosts");
    s->known_hosts[1] = ssh_tilde(&s->arena, "~/.ssh/known_hosts2");
    s->global_known[0] = "/etc/ssh/ssh_known_hosts";
    s->global_known[1] = "/etc/ssh/ssh_known_hosts2";
}

/* Are these the names that ssh looks for when nobody names a key? */
static bool keys_are_default(const struct ssh_settings *s)
{
    for (size_t i = 0; s->keys[i]; i++)
        if (!str_starts(s->keys[i], "~/.ssh/id_"))
            return false;
    return s->keys[0] && s->keys[1];
}

/* The pillar's words win. */
static void settings_override(struct ssh_settings *s, const struct target *t)
{
    s->asked = arena_strdup(&s->arena, t->host);
    if (!s->host)
        s->host = s->asked;
    if (t->ssh.port || !s->port)
        s->port = t->ssh.port ? t->ssh.port : 22;
    if (t->ssh.user || !s->user)
        s->user = arena_strdup(&s->arena, t->ssh.user ? t->ssh.user : "root");
    s->keys_default = keys_are_default(s);
    if (t->ssh.key) {
        memset(s->keys, 0, sizeof(s->keys));
        s->keys[0] = arena_strdup(&s->arena, t->ssh.key);
        s->key_given = true;
        s->keys_default = false;
    }
    if (t->ssh.known_hosts) {
        memset(s->known_hosts, 0, sizeof(s->known_hosts));
        s->known_hosts[0] = ssh_tilde(&s->arena, t->ssh.known_hosts);
    }
    if (t->ssh.proxy_jump) {
        s->proxy_jump = jump_none(t->ssh.proxy_jump) ? NULL : arena_strdup(&s->arena, t->ssh.proxy_jump);
        s->proxy_command = NULL; /* whichever is named first counts, and the pillar comes first */
    }
}

/* What only ssh itself can do is said by its name before anything is connected. */
static bool settings_able(const struct ssh_settings *s, struct err *err)
{
    static const char way[] = "set `ssh: {transport: openssh}` in the pillar, or leave it out for this host";
    if (s->keyless)
        return err_set(err, E_CONFIG,
                       "%s: the ssh configuration has %s for %s, and a release logs in by key only", s->name,
                       s->keyless, s->asked);
    if (s->refused || (s->fdpass && s->proxy_command))
        return err_set(err, E_CONFIG,
                       "%s: the ssh configuration has %s for %s, which the ssh transport cannot follow; %s",
                       s->name, s->refused ? s->refused : "ProxyUseFdpass", s->asked, way);
    if (s->unclear)
        return err_set(
            err, E_CONFIG,
            "%s: the files of %s for %s cannot be told apart, because one has a blank in its name; "
            "name it as `ssh: {known_hosts: FILE}` in the pillar",
            s->name, s->unclear, s->asked);
    return true;
}

/* Paths of keys with their tokens, now that host, port and user are known; and files of both kinds in one
 * list. */
static bool settings_finish(struct ssh_settings *s, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; s->keys[i]; i++) {
        const char *path = ssh_path_expand(&s->arena, s, s->keys[i], err);
        if (!path)
            return err_wrap(err, "%s: IdentityFile %s", s->name, s->keys[i]);
        s->keys[i] = path;
    }
    while (s->known_hosts[n])
        n++;
    for (size_t i = 0; s->global_known[i] && n < SSH_FILES_MAX; i++)
        s->known_hosts[n++] = s->global_known[i];
    if (s->proxy_command && !(s->proxy_command = ssh_command_expand(&s->arena, s, s->proxy_command, err)))
        return err_wrap(err, "%s: ProxyCommand", s->name);
    return settings_able(s, err);
}

static char *settings_key(const struct target *t)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    target_way(&key, t);
    return xstrdup(buf_str(&key));
}

/* One answer of `ssh -G` serves every host when the configuration makes no difference between them. Whoever
 * comes first asks; the others wait for that answer, at most as long as asking may take. */
static enum link_end settings_of_any(struct op *op, struct conns *conns, const struct target *t,
                                     struct ssh_settings *s, struct err *err)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    enum link_end end = LINK_OK;
    buf_printf(&key, "any host\n%s\n%s\n%d", t->ssh.user ? t->ssh.user : "-",
               t->ssh.config ? t->ssh.config : "-", t->ssh.port);
    ssh_kept_lock(conns);
    struct ssh_settings *any = ssh_kept_get(conns, buf_str(&key));
    if (!any) {
        any = xcalloc(1, sizeof(*any));
        any->agent = s->agent ? arena_strdup(&any->arena, s->agent) : NULL;
        end = settings_ask(op, t, any, err);
        if (end == LINK_OK)
            any = ssh_kept_put(conns, buf_str(&key), any);
        else
            ssh_settings_free(any);
    }
    ssh_kept_unlock(conns);
    if (end != LINK_OK)
        return end;
    struct ssh_settings own = *any; /* its strings live as long as conns */
    own.arena = s->arena;
    own.name = s->name;
    own.host = NULL;
    *s = own;
    return LINK_OK;
}

/* What the configuration says of t, by the shortest way. */
static enum link_end settings_read(struct op *op, struct conns *conns, const struct target *t,
                                   struct ssh_settings *s, struct err *err)
{
    const char *agent = getenv("SSH_AUTH_SOCK");
    s->agent = agent ? arena_strdup(&s->arena, agent) : NULL;
    s->name = arena_strdup(&s->arena, t->id);
    if (t->ssh.config && strcmp(t->ssh.config, "none") == 0) {
        settings_default(s);
        return LINK_OK;
    }
    if (ssh_config_uniform(t->ssh.config ? ssh_tilde(&s->arena, t->ssh.config) : NULL, ssh_home(&s->arena)))
        return settings_of_any(op, conns, t, s, err);
    return settings_ask(op, t, s, err);
}

enum link_end ssh_jump_find(struct op *op, struct conns *conns, const struct target *t, const char **ret,
                            struct err *err)
{
    if (t->ssh.proxy_jump) {
        *ret = jump_none(t->ssh.proxy_jump) ? NULL : t->ssh.proxy_jump;
        return LINK_OK;
    }
    struct ssh_settings *s = xcalloc(1, sizeof(*s));
    enum link_end end = settings_read(op, conns, t, s, err);
    *ret = end == LINK_OK && s->proxy_jump ? arena_strdup(op_arena(op), s->proxy_jump) : NULL;
    ssh_settings_free(s);
    return end;
}

enum link_end ssh_settings_find(struct op *op, struct conns *conns, const struct target *t,
                                const struct ssh_settings **ret, struct err *err)
{
    auto_free char *key = settings_key(t);
    if (t->host[0] == '-' || t->host[0] == '\0') {
        err_set(err, E_CONFIG, "%s: '%s' is not a host name", t->id, t->host);
        return LINK_REFUSED;
    }
    if ((*ret = ssh_kept_get(conns, key)))
        return LINK_OK;
    struct ssh_settings *s = xcalloc(1, sizeof(*s));
    enum link_end end = settings_read(op, conns, t, s, err);
    if (end == LINK_OK) {
        settings_override(s, t);
        end = settings_finish(s, err) ? LINK_OK : LINK_REFUSED;
    }
    if (end != LINK_OK) {
        ssh_settings_free(s);
        return end;
    }
    *ret = ssh_kept_put(conns, key, s);
    return LINK_OK;
}
