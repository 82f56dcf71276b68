/* SPDX-License-Identifier: MIT */
/* Inside drivers/transport/ssh/: settings, known hosts, keys, sessions. */
#ifndef RELEASE_DRIVERS_SSH_PRIV_H
#define RELEASE_DRIVERS_SSH_PRIV_H

#include <libssh2.h>

#include "drivers/transport/transport.h"

/* ---- settings.c: the pillar's words, else those of the user's ssh configuration
 * ---------------------------------------- */

#define SSH_FILES_MAX 100 /* as many as ssh itself takes: it refuses more */

struct ssh_settings {
    struct arena arena;
    const char *name;  /* for messages: the target's id */
    const char *asked; /* as the pillar, or the list of jumps, wrote the host */
    const char *host, *user;
    int port;
    int family;         /* 4, 6, 0 = any */
    int64_t connect_ms; /* 0 = ours */
    const char *alias;  /* HostKeyAlias: the name to look for in known_hosts; NULL = host and port */
    const char *known_hosts[SSH_FILES_MAX + 1], *global_known[SSH_FILES_MAX + 1];
    bool check_ip; /* another key known for the address counts, too */
    const char *keys[SSH_FILES_MAX + 1];
    bool key_given;            /* by the pillar: this one and no other */
    bool keys_default;         /* nobody named a key: these are the names that ssh looks for by itself */
    bool identities_only;      /* agent keys only when they are one of `keys` */
    const char *agent;         /* socket, NULL = none */
    const char *proxy_jump;    /* "a,user@b:22" or NULL */
    const char *proxy_command; /* NULL = none */
    const char *ciphers, *macs, *kex, *host_algorithms, *user_algorithms; /* lists, NULL = libssh2's own */
    bool fdpass;                                                          /* ProxyUseFdpass */
    const char *refused;      /* a setting that this transport cannot follow, NULL = none */
    const char *keyless;      /* a setting that forbids keys, NULL = none */
    const char *unclear;      /* a setting whose files cannot be told apart, NULL = none */
    const char *other_logins; /* ways to log in that only ssh itself has: "CertificateFile x", NULL = none */
    const char *other_trust;  /* the same for host keys */
};

/* The settings of t; conns keeps them. */
enum link_end ssh_settings_find(struct op *op, struct conns *conns, const struct target *t,
                                const struct ssh_settings **ret, struct err *err);
/* `proxy_jump` of a pillar: no host at all? */
bool jump_none(const char *jump);
/* ProxyJump of t alone, NULL = none: the pillar's, else the configuration's. */
enum link_end ssh_jump_find(struct op *op, struct conns *conns, const struct target *t, const char **ret,
                            struct err *err);
/* session.c: "user@host:port" -> a target that inherits the rest. False: not of that form. */
bool jump_target(struct op *op, const struct target *t, const char *word, struct target *ret);
/* settings_words.c: what `ssh -G` printed, into s; paths of keys as they were written. For tests, too. */
void ssh_settings_parse(struct ssh_settings *s, char *text);
bool ssh_setting_known(const char *name);
bool ssh_listed(const char *list, const char *word); /* "a,b,c" */

/* settings_path.c: the account's home and name; `~` and `~name`; tokens and ${VARIABLE}, NULL with err set.
 */
const char *ssh_home(struct arena *arena);
const char *ssh_local_user(struct arena *arena);
const char *ssh_tilde(struct arena *arena, const char *path);
const char *ssh_path_expand(struct arena *arena, const struct ssh_settings *s, const char *path,
                            struct err *err);
/* The text of ProxyCommand for a shell. NULL with err set. */
const char *ssh_command_expand(struct arena *arena, const struct ssh_settings *s, const char *command,
                               struct err *err);
/* False: the line can be read in two ways. */
bool ssh_files_split(struct ssh_settings *s, const char **files, char *text);
/* config.c: the configuration in `file` (NULL: the user's and the system's) says the same for every host. */
bool ssh_config_uniform(const char *file, const char *home);

/* ---- kept.c: as long as the connections live
 * --------------------------------------------------------------------------------------------------- */

/* What `ssh -G` says about a target, asked once for each. */
struct ssh_settings *ssh_kept_get(struct conns *c, const char *key);
/* Takes ownership; when another thread was faster its own is kept and returned. */
struct ssh_settings *ssh_kept_put(struct conns *c, const char *key, struct ssh_settings *s);
void ssh_settings_free(struct ssh_settings *s);
/* Held while one asks what serves all. */
void ssh_kept_lock(struct conns *c);
void ssh_kept_unlock(struct conns *c);
/* Private 0700 directory for control sockets, made at first use and removed at the end. */
const char *ssh_kept_dir(struct conns *c, struct err *err);

/* ---- known_hosts.c
 * ------------------------------------------------------------------------------------------------- */

enum known {
    KNOWN_MATCH,     /* the only one that goes on */
    KNOWN_MISSING,   /* no line for this host */
    KNOWN_CHANGED,   /* lines for this host, all with other keys */
    KNOWN_REVOKED,   /* @revoked names this very key */
    KNOWN_AUTHORITY, /* only an @cert-authority line */
    KNOWN_BAD,       /* no match, and lines that could not be read */
};

struct known_key {
    struct known_key *next;
    const char *type;
    const unsigned char *blob;
    size_t len;
    bool revoked, authority, bad; /* bad: named for this host, key unreadable */
    const char *file;
    int line;
};

struct known_hosts {
    struct known_key *keys; /* of the host asked for, in file order */
    const char *bad_where;  /* first line that could not be read: "FILE:LINE", NULL = none */
    const char *bad_why;
    size_t n_bad, n_files;
};

/* All lines of the files that name the host. name: "host" for port 22, "[host]:port" else; no falling back
 * from one to the other. A missing file is an empty one. */
void known_hosts_load(const char *const *files, const char *name, struct arena *arena,
                      struct known_hosts *ret);
struct hosts_file {
    const char *name, *text;
    size_t n;
};
void known_hosts_parse(const struct hosts_file *file, const char *name, struct arena *arena,
                       struct known_hosts *ret);
enum known known_hosts_check(const struct known_hosts *k, const unsigned char *blob, size_t len,
                             const struct known_key **ret_key);
/* "ssh-ed25519,ecdsa-sha2-nistp256": the types known for this host that libssh2 can do, NULL = none. */
char *known_hosts_types(const struct known_hosts *k, struct arena *arena);
const char *known_hosts_name(const struct ssh_settings *s, struct arena *arena);
/* "SHA256:..." as ssh-keygen -l prints it. */
const char *key_fingerprint(const unsigned char *blob, size_t len, struct arena *arena);
/* Length of what was decoded, -1 when it is not base64. out holds 3/4 of n. */
int base64_decode(const char *text, size_t n, unsigned char *out);

/* ---- keys.c: private key files; agent.c: ssh-agent
 * ----------------------------------------------------------------- */

enum key_kind {
    KEY_MISSING,   /* no such file */
    KEY_GOOD,      /* libssh2 can use it */
    KEY_ENCRYPTED, /* only through the agent */
    KEY_PUBLIC,    /* the public half: only through the agent */
    KEY_UNABLE,    /* RSA, FIDO, DSA: the openssh transport can */
    KEY_BROKEN     /* not a private key, or unreadable */
};
struct key_file {
    enum key_kind kind;
    char *text; /* KEY_GOOD: the file */
    size_t len;
    const char *why;           /* for messages: "is an RSA key" */
    const unsigned char *blob; /* public half when the format, or FILE.pub, tells it; NULL else */
    size_t blob_len;
};
/* Into the arena. */
struct key_file key_file_read(const char *path, struct arena *arena);
struct key_file key_text_judge(char *text, size_t n, struct arena *arena);

struct agent_key {
    const unsigned char *blob;
    size_t len;
    const char *type, *comment;
};
struct agent {
    int fd;
    struct op *op;
    enum link_end end; /* why the last exchange failed: late and cancel end the op */
};
/* Connects; false: no agent there, or it does not answer. */
bool agent_open(struct agent *a, struct op *op, const char *path);
bool agent_list(struct agent *a, struct arena *arena, struct agent_key **ret, size_t *ret_n);
/* For libssh2_userauth_publickey; the abstract is a struct agent_sign *. */
struct agent_sign {
    struct agent *agent;
    const struct agent_key *key;
};
int agent_sign_cb(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_len, const unsigned char *data,
                  size_t data_len, void **abstract);
void agent_close(struct agent *a);

/* ---- proxy.c: ProxyCommand
 * ----------------------------------------------------------------------------------------- */

struct proxy;
/* *ret_fd: the connection, the caller's. NULL with err set. */
struct proxy *proxy_start(const char *command, struct arena *arena, int *ret_fd, struct err *err);
const char *proxy_said(struct proxy *p,
                       struct arena *arena); /* on standard error, in one line; "" = nothing */
void proxy_end(struct proxy *p);

/* ---- session.c, auth.c
 * ----------------------------------------------------------------------------------------------- */

struct ssh_session {
    LIBSSH2_SESSION *ssh;
    int fd;                    /* -1 when it goes through `outer` */
    struct ssh_session *outer; /* jump host, owned */
    LIBSSH2_CHANNEL *via;      /* direct-tcpip on outer */
    struct proxy *proxy;       /* ProxyCommand at the other end of fd, owned */
    int64_t heard_ms;          /* when anything came last: liveness, apart from progress */
    int64_t asked_ms;          /* when we last asked for a sign of life */
    bool dropped;              /* the other side went away before it had said who it is */
    bool condemned;      /* libssh2 fell over what the server sent: only its socket may still be closed */
    int64_t turn_end_ms; /* libssh2 gets nothing more to read before session_wait was asked again */
};
#define CONNECT_MS 10000

/* ---- guard.c: libssh2's calls that may read; on a condemned session they give an error and do nothing
 * ------------------------------------------------------------------------------------------------------ */

int safe_handshake(struct ssh_session *s, int fd);
int safe_login_agent(struct ssh_session *s, const char *user, const struct agent_key *key, void **abstract);
int safe_login_key(struct ssh_session *s, const char *user, const struct key_file *key);
LIBSSH2_CHANNEL *safe_tunnel(struct ssh_session *s, const char *host, int port);
LIBSSH2_CHANNEL *safe_channel(struct ssh_session *s);
int safe_exec(struct ssh_session *s, LIBSSH2_CHANNEL *c, const char *command);
ssize_t safe_read(struct ssh_session *s, LIBSSH2_CHANNEL *c, int stream, char *data, size_t n);
ssize_t safe_write(struct ssh_session *s, LIBSSH2_CHANNEL *c, const char *data, size_t n);
int safe_eof_send(struct ssh_session *s, LIBSSH2_CHANNEL *c);
int safe_channel_close(struct ssh_session *s, LIBSSH2_CHANNEL *c);
int safe_channel_wait(struct ssh_session *s, LIBSSH2_CHANNEL *c);
int safe_channel_free(struct ssh_session *s, LIBSSH2_CHANNEL *c);
int safe_keepalive(struct ssh_session *s, int *next);
int safe_session_free(struct ssh_session *s);
int safe_errno(struct ssh_session *s);

/* ---- hostkey.c
 * ------------------------------------------------------------------------------------------------------ */

/* Before the handshake: what is known for the host, and the methods that may be used. */
bool host_key_prepare(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                      struct known_hosts *ret, struct err *err);
enum link_end host_key_check(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                             const struct known_hosts *known, struct err *err);

/* ---- session.c, auth.c, again */

enum link_end session_open(struct op *op, struct conns *conns, const struct target *t,
                           struct ssh_session **ret, struct err *err);
void session_close(struct ssh_session *s);
/* After EAGAIN: until the other side makes progress possible. LINK_LOST: no sign of life any more. */
enum link_end session_wait(struct op *op, struct ssh_session *s, int64_t bound_ms, struct err *err);
enum link_end session_login(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                            struct err *err);
/* "text (libssh2's own words)". */
void session_err(struct ssh_session *s, struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
