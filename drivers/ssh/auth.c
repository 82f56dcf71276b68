/* Login by public key: the agent's keys, then key files. Nothing else is ever tried, and the server is not
 * asked what it would accept: that costs a round trip and sshd's delay for a failed attempt (PROTOCOLS
 * section 10). */
#include "drivers/ssh/ssh_priv.h"

#include <string.h>

#include "base/clock.h"

#define LOGIN_MS 30000

struct login {
    struct op *op;
    struct session *s;
    const struct ssh_settings *set;
    struct err *err;
    int64_t bound_ms;
    struct buf said; /* what was tried and why it did not do, for the message */
    bool unable;     /* a key that the openssh transport could use */
};

/* What is one key's outcome? LINK_REFUSED: not this one. */
static enum link_end judge(struct login *l, int rc)
{
    if (rc == 0)
        return LINK_OK;
    if (l->s->condemned || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
        rc == LIBSSH2_ERROR_SOCKET_SEND) {
        session_err(l->s, l->err, E_AUTH, "%s: %s closed the connection during login; keys tried: %s",
                    l->set->name, l->set->host, l->said.len ? buf_str(&l->said) : "none");
        return LINK_LOST;
    }
    return LINK_REFUSED;
}

static enum link_end wait_on(struct login *l)
{
    enum link_end end = session_wait(l->op, l->s, l->bound_ms, l->err);
    if (end == LINK_BOUND) {
        err_set(l->err, E_NET, "%s: %s did not answer the login in %d s", l->set->name, l->set->host,
                LOGIN_MS / 1000);
        return LINK_LOST;
    }
    return end;
}

static enum link_end try_agent_key(struct login *l, struct agent *agent, const struct agent_key *key)
{
    struct agent_sign sign = {.agent = agent, .key = key};
    void *abstract = &sign;
    int rc;
    while ((rc = safe_login_agent(l->s, l->set->user, key, &abstract)) == LIBSSH2_ERROR_EAGAIN) {
        enum link_end end = wait_on(l);
        if (end != LINK_OK)
            return end;
    }
    if (rc != 0 && agent->end != LINK_OK)
        return agent->end;
    buf_printf(&l->said, "%sagent key %s", l->said.len ? ", " : "", key->comment);
    return judge(l, rc);
}

static bool key_listed(const struct login *l, const struct agent_key *key, const struct key_file *files,
                       size_t n)
{
    (void)l;
    for (size_t i = 0; i < n; i++)
        if (files[i].blob && files[i].blob_len == key->len && memcmp(files[i].blob, key->blob, key->len) == 0)
            return true;
    return false;
}

/* With `key` in the pillar the agent is asked for that key only: others would use up the server's patience.
 */
static enum link_end try_agent(struct login *l, const struct key_file *files, size_t n_files)
{
    struct agent agent;
    struct agent_key *keys = NULL;
    size_t n = 0;
    enum link_end end = LINK_REFUSED;
    if (!agent_open(&agent, l->op, l->set->agent))
        return end;
    if (!agent_list(&agent, op_arena(l->op), &keys, &n) && agent.end != LINK_OK)
        end = agent.end;
    for (size_t i = 0; i < n && end == LINK_REFUSED; i++) {
        const char *type = keys[i].type;
        if ((l->set->key_given || l->set->identities_only) && !key_listed(l, &keys[i], files, n_files))
            continue;
        if (strcmp(type, "ssh-ed25519") == 0 ||
            (str_starts(type, "ecdsa-sha2-") && !strstr(type, "-cert-"))) {
            end = try_agent_key(l, &agent, &keys[i]);
        } else {
            l->unable = true;
            buf_printf(&l->said, "%sagent key %s (%s, not usable here)", l->said.len ? ", " : "",
                       keys[i].comment, type);
        }
    }
    agent_close(&agent);
    return end;
}

static enum link_end try_file(struct login *l, const char *path, const struct key_file *file)
{
    const char *comma = l->said.len ? ", " : "";
    if (file->kind == KEY_MISSING && !l->set->key_given)
        return LINK_REFUSED; /* one of ssh's default names */
    if (file->kind != KEY_GOOD) {
        l->unable |= file->kind == KEY_UNABLE;
        buf_printf(&l->said, "%s%s (%s%s)", comma, path, file->why,
                   file->kind == KEY_ENCRYPTED ? "; load it with ssh-add" : "");
        return LINK_REFUSED;
    }
    int rc;
    while ((rc = safe_login_key(l->s, l->set->user, file)) == LIBSSH2_ERROR_EAGAIN) {
        enum link_end end = wait_on(l);
        if (end != LINK_OK)
            return end;
    }
    buf_printf(&l->said, "%s%s", comma, path);
    return judge(l, rc);
}

static enum link_end try_files(struct login *l, const struct key_file *files)
{
    enum link_end end = LINK_REFUSED;
    for (size_t i = 0; l->set->keys[i] && end == LINK_REFUSED; i++)
        end = try_file(l, l->set->keys[i], &files[i]);
    return end;
}

enum link_end session_login(struct op *op, struct session *s, const struct ssh_settings *set, struct err *err)
{
    struct login l = {.op = op,
                      .s = s,
                      .set = set,
                      .err = err,
                      .bound_ms = clock_mono_ms() + LOGIN_MS,
                      .said = BUF_INIT(600)};
    struct key_file files[SSH_FILES_MAX] = {0};
    size_t n = 0;
    for (; n < SSH_FILES_MAX && set->keys[n]; n++)
        files[n] = key_file_read(set->keys[n], op_arena(op));
    /* A given key in plain needs no agent. */
    bool plain = set->key_given && n > 0 && files[0].kind == KEY_GOOD;
    enum link_end end = plain ? LINK_REFUSED : try_agent(&l, files, n);
    if (end == LINK_REFUSED)
        end = try_files(&l, files);
    if (end == LINK_REFUSED)
        err_set(
            err, E_AUTH, "%s: %s refused the login as %s. Tried: %s. %s", set->name, set->host, set->user,
            l.said.len ? buf_str(&l.said) : "nothing, there is no key in the agent and no key file",
            l.unable
                ? "The ssh transport cannot use RSA, FIDO or certificate keys: use an ed25519 key, or set "
                  "`ssh: {transport: openssh}` in the pillar"
                : "Put the public key into that user's authorized_keys");
    buf_fini(&l.said);
    return end;
}
