/* SPDX-License-Identifier: MIT */
/* Login by public key, in ssh's order: the agent's keys that are named, the files that are named, the agent's
 * others, the files that nobody named. Nothing else is ever tried, and the server is not asked what it would
 * accept: that costs a round trip and sshd's delay for a failed attempt (docs/protocols.md#ssh). */
#include "drivers/transport/ssh/ssh_priv.h"

#include <string.h>

#include "base/clock.h"

#define LOGIN_MS 30000

/* sshd closes the connection after six keys (MaxAuthTries); this many were tried before that is believed. */
#define TRIES_MANY 5

struct ssh_login {
    struct op *op;
    struct ssh_session *s;
    const struct ssh_settings *set;
    struct err *err;
    int64_t bound_ms;
    struct buf said; /* what was tried and why it did not do, for the message */
    bool unable;     /* a key that the openssh transport could use */
    bool closed;     /* by the server, which had seen enough keys; err says so */
    int n_tried;
    struct agent agent;
    struct agent_key *agent_keys;
    size_t n_agent_keys;
    struct key_file files[SSH_FILES_MAX];
    bool done[SSH_FILES_MAX]; /* tried through the agent */
    size_t n_files;
};

static void say(struct ssh_login *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct ssh_login *l, const char *fmt, ...)
{
    va_list ap;
    if (l->said.len)
        buf_puts(&l->said, ", ");
    va_start(ap, fmt);
    buf_vprintf(&l->said, fmt, ap);
    va_end(ap);
}

/* What is one key's outcome? LINK_REFUSED: not this one. */
static enum link_end judge(struct ssh_login *l, int rc)
{
    bool many = ++l->n_tried > TRIES_MANY;
    if (rc == 0)
        return LINK_OK;
    if (l->s->condemned || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
        rc == LIBSSH2_ERROR_SOCKET_SEND) {
        session_err(l->s, l->err, many ? E_AUTH : E_NET,
                    "%s: %s closed the connection during login%s; keys tried: %s", l->set->name, l->set->host,
                    many ? " (it takes only so many keys: name the right one with `key:` in the pillar, or "
                           "IdentityFile and IdentitiesOnly in the ssh configuration)"
                         : "",
                    l->said.len ? buf_str(&l->said) : "none");
        l->closed = many;
        return many ? LINK_REFUSED : LINK_LOST;
    }
    return LINK_REFUSED;
}

static enum link_end wait_on(struct ssh_login *l)
{
    enum link_end end = session_wait(l->op, l->s, l->bound_ms, l->err);
    if (end == LINK_BOUND) {
        err_set(l->err, E_NET, "%s: %s did not answer the login in %d s", l->set->name, l->set->host,
                LOGIN_MS / 1000);
        return LINK_LOST;
    }
    return end;
}

static enum link_end try_agent_key(struct ssh_login *l, const struct agent_key *key)
{
    struct agent_sign sign = {.agent = &l->agent, .key = key};
    void *abstract = &sign;
    int rc;
    while ((rc = safe_login_agent(l->s, l->set->user, key, &abstract)) == LIBSSH2_ERROR_EAGAIN) {
        enum link_end end = wait_on(l);
        if (end != LINK_OK)
            return end;
    }
    if (rc != 0 && l->agent.end != LINK_OK)
        return l->agent.end;
    say(l, "agent key %s", key->comment);
    return judge(l, rc);
}

/* Which of the files is the agent's key? -1 = none. */
static int file_of(const struct ssh_login *l, const struct agent_key *key)
{
    for (size_t i = 0; i < l->n_files; i++)
        if (l->files[i].blob && l->files[i].blob_len == key->len &&
            memcmp(l->files[i].blob, key->blob, key->len) == 0)
            return (int)i;
    return -1;
}

static bool type_able(const char *type)
{
    return strcmp(type, "ssh-ed25519") == 0 || (str_starts(type, "ecdsa-sha2-") && !strstr(type, "-cert-"));
}

/* PubkeyAcceptedAlgorithms. */
static bool type_wanted(const struct ssh_login *l, const char *type)
{
    return !l->set->user_algorithms || ssh_listed(l->set->user_algorithms, type);
}

/* The agent's keys that are among the named files, or all others. */
static enum link_end try_agent(struct ssh_login *l, bool named)
{
    enum link_end end = LINK_REFUSED;
    for (size_t i = 0; i < l->n_agent_keys && end == LINK_REFUSED && !l->closed; i++) {
        const struct agent_key *key = &l->agent_keys[i];
        int file = file_of(l, key);
        if ((file >= 0) != named)
            continue;
        if (!type_able(key->type)) {
            l->unable = true;
            say(l, "agent key %s (%s, not usable here)", key->comment, key->type);
        } else if (!type_wanted(l, key->type)) {
            say(l, "agent key %s (%s is not among PubkeyAcceptedAlgorithms)", key->comment, key->type);
        } else {
            end = try_agent_key(l, key);
        }
        if (file >= 0)
            l->done[file] = true;
    }
    return end;
}

static const char *file_type(const struct ssh_login *l, const struct key_file *file)
{
    const unsigned char *b = file->blob;
    size_t n = file->blob_len >= 4 ? (size_t)b[2] << 8 | b[3] : 0;
    return n && n <= file->blob_len - 4 ? arena_strndup(op_arena(l->op), (const char *)b + 4, n) : NULL;
}

static enum link_end try_file(struct ssh_login *l, const char *path, const struct key_file *file)
{
    const char *type = file->kind == KEY_GOOD ? file_type(l, file) : NULL;
    if (file->kind == KEY_MISSING && l->set->keys_default)
        return LINK_REFUSED;
    if (file->kind != KEY_GOOD) {
        l->unable |= file->kind == KEY_UNABLE;
        say(l, "%s (%s%s)", path, file->why,
            file->kind == KEY_ENCRYPTED || file->kind == KEY_PUBLIC ? "; load the key with ssh-add" : "");
        return LINK_REFUSED;
    }
    if (type && !type_wanted(l, type)) {
        say(l, "%s (%s is not among PubkeyAcceptedAlgorithms)", path, type);
        return LINK_REFUSED;
    }
    int rc;
    while ((rc = safe_login_key(l->s, l->set->user, file)) == LIBSSH2_ERROR_EAGAIN) {
        enum link_end end = wait_on(l);
        if (end != LINK_OK)
            return end;
    }
    say(l, "%s", path);
    return judge(l, rc);
}

static enum link_end try_files(struct ssh_login *l)
{
    enum link_end end = LINK_REFUSED;
    for (size_t i = 0; i < l->n_files && end == LINK_REFUSED && !l->closed; i++)
        if (!l->done[i])
            end = try_file(l, l->set->keys[i], &l->files[i]);
    return end;
}

/* The agent's others come between files that somebody named and those that nobody did: ten of them would use
 * up the server's patience before the right one. With `key` in the pillar, or IdentitiesOnly, they do not
 * come at all.
 */
static enum link_end try_all(struct ssh_login *l)
{
    bool others = !l->set->key_given && !l->set->identities_only;
    enum link_end end = try_agent(l, true);
    if (end == LINK_REFUSED && !l->closed && !l->set->keys_default)
        end = try_files(l);
    if (end == LINK_REFUSED && !l->closed && others)
        end = try_agent(l, false);
    if (end == LINK_REFUSED && !l->closed && l->set->keys_default)
        end = try_files(l);
    return end;
}

/* A given key in plain needs no agent. */
static enum link_end agent_ask(struct ssh_login *l)
{
    bool plain = l->set->key_given && l->n_files > 0 && l->files[0].kind == KEY_GOOD;
    if (plain || !agent_open(&l->agent, l->op, l->set->agent))
        return LINK_OK;
    if (!agent_list(&l->agent, op_arena(l->op), &l->agent_keys, &l->n_agent_keys))
        l->n_agent_keys = 0;
    return l->agent.end;
}

static void refusal_say(struct ssh_login *l)
{
    static const char openssh[] =
        "The ssh transport cannot use RSA, FIDO or certificate keys: use an ed25519 key, or set "
        "`ssh: {transport: openssh}` in the pillar";
    const struct ssh_settings *set = l->set;
    const char *said =
        l->said.len ? buf_str(&l->said) : "nothing, there is no key in the agent and no key file";
    if (set->other_logins)
        err_set(l->err, E_AUTH,
                "%s: %s refused the login as %s. Tried: %s. The ssh configuration also has %s, which the ssh "
                "transport cannot use: set `ssh: {transport: openssh}` in the pillar",
                set->name, set->host, set->user, said, set->other_logins);
    else
        err_set(l->err, E_AUTH, "%s: %s refused the login as %s. Tried: %s. %s", set->name, set->host,
                set->user, said, l->unable ? openssh : "Put the public key into that user's authorized_keys");
}

enum link_end session_login(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                            struct err *err)
{
    struct ssh_login l = {.op = op,
                          .s = s,
                          .set = set,
                          .err = err,
                          .agent = {.fd = -1},
                          .bound_ms = clock_mono_ms() + LOGIN_MS,
                          .said = BUF_INIT(600)};
    for (; l.n_files < SSH_FILES_MAX && set->keys[l.n_files]; l.n_files++)
        l.files[l.n_files] = key_file_read(set->keys[l.n_files], op_arena(op));
    enum link_end end = agent_ask(&l);
    if (end == LINK_OK)
        end = try_all(&l);
    agent_close(&l.agent);
    if (end == LINK_REFUSED && !l.closed)
        refusal_say(&l);
    buf_fini(&l.said);
    return end;
}
