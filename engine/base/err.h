/* SPDX-License-Identifier: MIT */
/* Errors and the program's exit statuses.
 *
 * Cannot-happen: must(x) aborts with file, line and expression; on in every build. Can-happen: the function
 * returns bool (or enum outcome) and fills a struct err that the caller owns, last parameter. Upper layers
 * add who and what with err_wrap. Only cli/ and run/ print. */
#ifndef RELEASE_BASE_ERR_H
#define RELEASE_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* (suffix, journal text, exit status when it ends the program) */
#define ERR_LIST(X)                                                                                          \
    X(NONE, "none", 0)                                                                                       \
    X(USAGE, "usage", 2)           /* command line */                                                        \
    X(CONFIG, "config", 2)         /* pillar or plan file */                                                 \
    X(LOCKED, "locked", 3)         /* somebody else holds the environment */                                 \
    X(UNFINISHED, "unfinished", 4) /* an earlier release must be resumed or rolled back first */             \
    X(PREFLIGHT, "preflight", 6)   /* the world is not fit for this release */                               \
    X(JOURNAL, "journal", 7)       /* the store cannot be written or is newer than we are */                 \
    X(LATE, "deadline", 4)         /* a deadline passed */                                                   \
    X(CANCELED, "canceled", 4)     /* an operator stopped it */                                              \
    X(NET, "network", 4)           /* refused, unreachable, reset */                                         \
    X(AUTH, "auth", 4)             /* login refused */                                                       \
    X(HOSTKEY, "host-key", 4)      /* unknown, changed or revoked host key */                                \
    X(REFUSED, "refused", 4)       /* the other side said no, nothing was done */                            \
    X(PROTO, "protocol", 4)        /* the other side said something that we do not understand */             \
    X(FENCED, "fenced", 4)         /* a node has seen a newer release or lock grant */                       \
    X(IDENTITY, "identity", 4)     /* the node is not the machine that the plan froze */                     \
    X(STATUS, "exit-status", 4)    /* a command ended with a status other than 0 */                          \
    X(STATE, "state", 4)           /* the world is not as wanted */                                          \
    X(NOTFOUND, "not-found", 4)                                                                              \
    X(SPACE, "no-space", 4)                                                                                  \
    X(IO, "io", 4)                                                                                           \
    X(LIMIT, "limit", 4) /* more bytes, depth or items than we accept */

#define ERR_ENUM(n, t, s) E_##n,
enum err_code { ERR_LIST(ERR_ENUM) E_COUNT };
const char *err_code_name(enum err_code code);
int err_code_exit(enum err_code code);

/* Exit statuses of the command line (docs/ARCHITECTURE.md#exit-statuses), and how a release ended with each. */
#define EXIT_LIST(X)                                                                                         \
    X(RELEASED, 0, "done and verified")                                                                      \
    X(ROLLED_BACK, 1, "failed, back on the old revision")                                                    \
    X(USAGE, 2, "refused")                                                                                   \
    X(LOCKED, 3, "locked")                                                                                   \
    X(STOPPED, 4, "stopped part-way")                                                                        \
    X(PERSON, 5, "needs a person")                                                                           \
    X(PREFLIGHT, 6, "preflight failed")                                                                      \
    X(JOURNAL, 7, "journal failed")                                                                          \
    X(SIGINT, 130, "stopped by a signal")                                                                    \
    X(SIGTERM, 143, "stopped by a signal")
#define EXIT_ENUM(name, status, text) EXIT_##name = status,
enum exit_status { EXIT_LIST(EXIT_ENUM) };

struct err {
    enum err_code code;
    char text[1000]; /* one message for people, no trailing newline; cut with "..." when longer */
};

/* Sets code and text; always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Puts "prefix: " before the text that is there, keeps the code; returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As err_set, with ": strerror(errno)" behind. */
bool err_errno(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

_Noreturn void must_fail(const char *file, int line, const char *expr);
#define must(x) ((x) ? (void)0 : must_fail(__FILE__, __LINE__, #x))

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
