/* Where and how to log in: the pillar's words first, then what the user's ssh configuration says, asked
 * through `ssh -G` so that Host, Match and Include mean what they mean to ssh. Asked once for each target. */
#include "drivers/process.h"
#include "drivers/ssh/ssh_priv.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

#define ASK_MS 10000

void ssh_settings_free(struct ssh_settings *s)
{
    if (!s)
        return;
    arena_fini(&s->arena);
    free(s);
}

static const char *home_dir(struct arena *arena)
{
    const char *home = getenv("HOME");
    struct passwd pw, *found = NULL;
    char space[4096];
    if (home && *home)
        return home;
    if (getpwuid_r(getuid(), &pw, space, sizeof(space), &found) == 0 && found)
        return arena_strdup(arena, pw.pw_dir);
    return "/";
}

static const char *path_expand(struct ssh_settings *s, const char *path)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
        return arena_printf(&s->arena, "%s%s", home_dir(&s->arena), path + 1);
    return arena_strdup(&s->arena, path);
}

static void files_add(struct ssh_settings *s, const char **files, const char *path)
{
    size_t n = 0;
    while (files[n])
        n++;
    if (n < SSH_FILES_MAX)
        files[n] = path_expand(s, path);
}

static void files_split(struct ssh_settings *s, const char **files, char *text)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        files_add(s, files, word);
}

/* 0 when it is none: then 22 is taken. */
static int port_of(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return end > text && *end == '\0' && port > 0 && port <= 65535 ? (int)port : 0;
}

static void setting_take(struct ssh_settings *s, const char *name, char *value)
{
    if (strcmp(name, "hostname") == 0)
        s->host = arena_strdup(&s->arena, value);
    else if (strcmp(name, "user") == 0)
        s->user = arena_strdup(&s->arena, value);
    else if (strcmp(name, "port") == 0)
        s->port = port_of(value);
    else if (strcmp(name, "hostkeyalias") == 0)
        s->alias = arena_strdup(&s->arena, value);
    else if (strcmp(name, "identityfile") == 0)
        files_add(s, s->keys, value);
    else if (strcmp(name, "identitiesonly") == 0)
        s->identities_only = strcmp(value, "yes") == 0;
    else if (strcmp(name, "identityagent") == 0)
        s->agent = strcmp(value, "none") == 0            ? NULL
                   : strcmp(value, "SSH_AUTH_SOCK") == 0 ? s->agent
                                                         : path_expand(s, value);
    else if (strcmp(name, "userknownhostsfile") == 0 || strcmp(name, "globalknownhostsfile") == 0)
        files_split(s, s->known_hosts, value);
    else if (strcmp(name, "proxyjump") == 0 && strcmp(value, "none") != 0)
        s->proxy_jump = arena_strdup(&s->arena, value);
}

void ssh_settings_parse(struct ssh_settings *s, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (!space)
            continue;
        *space = '\0';
        setting_take(s, line, space + 1);
    }
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
    if (t->ssh_config) {
        argv[n++] = "-F";
        argv[n++] = path_expand(s, t->ssh_config);
    }
    if (t->user) {
        argv[n++] = "-l";
        argv[n++] = t->user;
    }
    if (t->port) {
        snprintf(port, sizeof(port), "%d", t->port);
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
    struct passwd pw, *found = NULL;
    char space[4096];
    if (getpwuid_r(getuid(), &pw, space, sizeof(space), &found) == 0 && found)
        s->user = arena_strdup(&s->arena, pw.pw_name);
    files_add(s, s->keys, "~/.ssh/id_ed25519");
    files_add(s, s->keys, "~/.ssh/id_ecdsa");
    files_add(s, s->keys, "~/.ssh/id_rsa");
    files_add(s, s->known_hosts, "~/.ssh/known_hosts");
    files_add(s, s->known_hosts, "/etc/ssh/ssh_known_hosts");
}

/* The pillar's words win. */
static void settings_override(struct ssh_settings *s, const struct target *t)
{
    if (!s->host)
        s->host = arena_strdup(&s->arena, t->host);
    if (t->port || !s->port)
        s->port = t->port ? t->port : 22;
    if (t->user || !s->user)
        s->user = arena_strdup(&s->arena, t->user ? t->user : "root");
    if (t->key) {
        memset(s->keys, 0, sizeof(s->keys));
        files_add(s, s->keys, t->key);
        s->key_given = true;
    }
    if (t->known_hosts) {
        memset(s->known_hosts, 0, sizeof(s->known_hosts));
        files_add(s, s->known_hosts, t->known_hosts);
    }
    if (t->proxy_jump)
        s->proxy_jump = *t->proxy_jump ? arena_strdup(&s->arena, t->proxy_jump) : NULL;
}

static char *settings_key(const struct target *t)
{
    const char *words[] = {t->host, t->user, t->key, t->known_hosts, t->proxy_jump, t->ssh_config};
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        buf_printf(&key, "%s\n", words[i] ? words[i] : "-");
    buf_printf(&key, "%d", t->port);
    return xstrdup(buf_str(&key));
}

/* One answer of `ssh -G` serves every host when the configuration makes no difference between them. Whoever
 * comes first asks; the others wait for that answer, at most as long as asking may take. */
static enum link_end settings_of_any(struct op *op, struct conns *conns, const struct target *t,
                                     struct ssh_settings *s, struct err *err)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    enum link_end end = LINK_OK;
    buf_printf(&key, "any host\n%s\n%s\n%d", t->user ? t->user : "-", t->ssh_config ? t->ssh_config : "-",
               t->port);
    conns_ask_lock(conns);
    struct ssh_settings *any = conns_settings_get(conns, buf_str(&key));
    if (!any) {
        any = xcalloc(1, sizeof(*any));
        any->agent = s->agent ? arena_strdup(&any->arena, s->agent) : NULL;
        end = settings_ask(op, t, any, err);
        if (end == LINK_OK)
            any = conns_settings_put(conns, buf_str(&key), any);
        else
            ssh_settings_free(any);
    }
    conns_ask_unlock(conns);
    if (end != LINK_OK)
        return end;
    struct ssh_settings own = *any; /* its strings live as long as conns */
    own.arena = s->arena;
    own.name = s->name;
    own.host = NULL;
    *s = own;
    return LINK_OK;
}

enum link_end ssh_settings_find(struct op *op, struct conns *conns, const struct target *t,
                                const struct ssh_settings **ret, struct err *err)
{
    auto_free char *key = settings_key(t);
    if (t->host[0] == '-' || t->host[0] == '\0') {
        err_set(err, E_CONFIG, "%s: '%s' is not a host name", t->id, t->host);
        return LINK_REFUSED;
    }
    if ((*ret = conns_settings_get(conns, key)))
        return LINK_OK;
    struct ssh_settings *s = xcalloc(1, sizeof(*s));
    const char *agent = getenv("SSH_AUTH_SOCK");
    s->agent = agent ? arena_strdup(&s->arena, agent) : NULL;
    s->name = arena_strdup(&s->arena, t->id);
    enum link_end end = LINK_OK;
    if (t->ssh_config && strcmp(t->ssh_config, "none") == 0)
        settings_default(s);
    else if (ssh_config_uniform(t->ssh_config ? path_expand(s, t->ssh_config) : NULL, home_dir(&s->arena)))
        end = settings_of_any(op, conns, t, s, err);
    else
        end = settings_ask(op, t, s, err);
    if (end != LINK_OK) {
        ssh_settings_free(s);
        return end;
    }
    settings_override(s, t);
    *ret = conns_settings_put(conns, key, s);
    return LINK_OK;
}
