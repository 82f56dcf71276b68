/* SPDX-License-Identifier: MIT */
/* Calls into libssh2 that may read what a server sent.
 *
 * libssh2 1.10 asserts where it should refuse: a packet whose length is no multiple of the cipher's block
 * ends the program (transport.c, decrypt), and one bit flipped on the way is enough, before any check of a
 * MAC. One node, or whoever stands between, must not end the release of all others. So the C library's
 * __assert_fail is ours: an assertion that fails inside one of these calls leads back out of it. The session
 * is then condemned: nothing of it is used or freed any more, its socket is closed, and the node is one whose
 * connection was lost. An assertion anywhere else ends the program, as ever.
 *
 * This needs the C library's cooperation (glibc, musl), and is the build's option RELEASE_LIBSSH2_GUARD. */
#include "drivers/transport/ssh/ssh_priv.h"

#undef NDEBUG /* for the declaration of __assert_fail */
#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct guard {
    jmp_buf back;
    struct guard *outer; /* a session through a jump host calls the jump host's */
};
static _Thread_local struct guard *innermost;

#ifdef RELEASE_LIBSSH2_GUARD
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's names are reserved ones */
void __assert_fail(const char *expression, const char *file, unsigned line, const char *function)
{
    struct guard *g = innermost;
    if (g)
        longjmp(g->back, 1);
    fprintf(stderr, "%s:%u: %s: assertion '%s' failed\n", file, line, function ? function : "?", expression);
    abort();
}
#endif

/* Nothing of the frame that calls setjmp is changed behind it, so nothing of it is lost. */
#define GUARDED(type, wrong, name, parameters, call)                                                         \
    type name parameters                                                                                     \
    {                                                                                                        \
        struct guard g = {.outer = innermost};                                                               \
        if (s->condemned)                                                                                    \
            return wrong;                                                                                    \
        if (setjmp(g.back) != 0) {                                                                           \
            innermost = g.outer;                                                                             \
            s->condemned = true;                                                                             \
            return wrong;                                                                                    \
        }                                                                                                    \
        innermost = &g;                                                                                      \
        type ret = call;                                                                                     \
        innermost = g.outer;                                                                                 \
        return ret;                                                                                          \
    }

GUARDED(int, LIBSSH2_ERROR_PROTO, safe_handshake, (struct ssh_session * s, int fd),
        libssh2_session_handshake(s->ssh, fd))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_login_agent,
        (struct ssh_session * s, const char *user, const struct agent_key *key, void **abstract),
        libssh2_userauth_publickey(s->ssh, user, key->blob, key->len, agent_sign_cb, abstract))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_login_key,
        (struct ssh_session * s, const char *user, const struct key_file *key),
        libssh2_userauth_publickey_frommemory(s->ssh, user, strlen(user), NULL, 0, key->text, key->len, NULL))
GUARDED(LIBSSH2_CHANNEL *, NULL, safe_tunnel, (struct ssh_session * s, const char *host, int port),
        libssh2_channel_direct_tcpip_ex(s->ssh, host, port, "127.0.0.1", 0))
GUARDED(LIBSSH2_CHANNEL *, NULL, safe_channel, (struct ssh_session * s), libssh2_channel_open_session(s->ssh))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_exec,
        (struct ssh_session * s, LIBSSH2_CHANNEL *c, const char *command), libssh2_channel_exec(c, command))
GUARDED(ssize_t, LIBSSH2_ERROR_PROTO, safe_read,
        (struct ssh_session * s, LIBSSH2_CHANNEL *c, int stream, char *data, size_t n),
        libssh2_channel_read_ex(c, stream, data, n))
GUARDED(ssize_t, LIBSSH2_ERROR_PROTO, safe_write,
        (struct ssh_session * s, LIBSSH2_CHANNEL *c, const char *data, size_t n),
        libssh2_channel_write(c, data, n))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_eof_send, (struct ssh_session * s, LIBSSH2_CHANNEL *c),
        libssh2_channel_send_eof(c))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_channel_close, (struct ssh_session * s, LIBSSH2_CHANNEL *c),
        libssh2_channel_close(c))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_channel_wait, (struct ssh_session * s, LIBSSH2_CHANNEL *c),
        libssh2_channel_wait_closed(c))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_channel_free, (struct ssh_session * s, LIBSSH2_CHANNEL *c),
        libssh2_channel_free(c))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_keepalive, (struct ssh_session * s, int *next),
        libssh2_keepalive_send(s->ssh, next))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_session_free, (struct ssh_session * s), libssh2_session_free(s->ssh))
GUARDED(int, LIBSSH2_ERROR_PROTO, safe_errno, (struct ssh_session * s), libssh2_session_last_errno(s->ssh))
