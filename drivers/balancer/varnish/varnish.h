/* SPDX-License-Identifier: MIT */
/* What the varnish and varnish-service drivers share: Varnish's CLI (6.0 and later; 7.1 is what the tests
 * run).
 *
 * The CLI's frames are a 13-byte head (status, length) and a body. A health set by hand belongs to one VCL:
 * after vcl.load / vcl.use the new VCL's backends are back to their probes (docs/protocols.md#varnish).
 * Everything lives in the op's arena. */
#ifndef RELEASE_DRIVERS_VARNISH_H
#define RELEASE_DRIVERS_VARNISH_H

#include "drivers/balancer/balancer.h"

/* ---- pure: parse.c ------------------------------------------------------------------------ */

#define VARNISH_HEAD 13
enum { VARNISH_UNKNOWN = 101, VARNISH_AUTH = 107, VARNISH_OK = 200, VARNISH_CUT = 201 };
/* "200 19      \n". false: not a head, or more than we accept. */
bool varnish_head_parse(const char head[VARNISH_HEAD], int *ret_status, size_t *ret_len);
/* 64 hex digits: sha256(challenge "\n" secret challenge "\n"). */
#define VARNISH_CHALLENGE 32
void varnish_auth(const char *challenge, const char *secret, char ret[65]);

struct varnish_vcl {
    const char *name;
    bool active, label;
    const char *target; /* of a label */
};
struct varnish_vcls {
    struct varnish_vcl *rows;
    size_t n;
    const char *active; /* NULL: none */
};
bool varnish_vcls_parse(const char *json, struct arena *a, struct varnish_vcls *ret, struct err *err);

struct varnish_backend {
    const char *vcl, *name;
    const char *admin; /* "probe", "sick", "healthy" */
    bool healthy;      /* what its probe says; a backend without one is */
    bool director;
};
struct varnish_backends {
    struct varnish_backend *rows;
    size_t n;
};
bool varnish_backends_parse(const char *json, struct arena *a, struct varnish_backends *ret, struct err *err);
/* `varnishstat -1 -j`: the sum of VBE.*.BACKEND.conn over all VCLs. false: no such counter. */
bool varnish_conns_parse(const char *json, const char *backend, int64_t *ret, struct err *err);
/* `ban.list -j`: is a ban of exactly this text there, made at most max_age_s ago? */
bool varnish_ban_parse(const char *json, const char *ban, double max_age_s, bool *ret, struct err *err);
/* [A-Za-z0-9_.-], no glob, no space: a backend's name as one word of a command (docs/promises.md#s21). */
bool varnish_name_valid(const char *s);

/* ---- dialog: cli.c ------------------------------------------------------------------------- */

struct varnish_admin {
    const char *text, *host;
    int port;
};
bool varnish_admin_parse(const char *text, struct arena *a, struct varnish_admin *ret, struct err *err);

struct vcli {
    struct op *op;
    const struct varnish_admin *admin;
    int fd;
};
#define auto_vcli __attribute__((cleanup(vcli_close)))
/* Connected and logged in with the argument `secret`. false: op failed. */
bool vcli_open(struct op *op, const struct varnish_admin *admin, struct vcli *ret);
void vcli_close(struct vcli *c);
/* One command. false: op failed (link, nonsense). */
bool vcli_ask(struct vcli *c, int *ret_status, char **ret_body, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same where only status 200 will do; another one is a refusal. */
bool vcli_want(struct vcli *c, char **ret_body, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool vcli_vcls(struct vcli *c, struct varnish_vcls *ret);
bool vcli_backends(struct vcli *c, struct varnish_backends *ret);

/* ---- a Varnish that fails its probe: leave.c ---------------------------------------------------------- */

/* A path as a VCL string and a regular expression holds it without escapes. */
bool varnish_probe_path_valid(const char *s);
/* Could it leave? As `put` of a balancer: false: op failed; *ret_refusal: why not. */
bool varnish_can_leave(struct vcli *c, const char **ret_refusal);
bool varnish_leaves(struct vcli *c, bool *ret);
/* The probe of `path` gets `status`, everything else what it got before; and back. Already so is nothing to do. */
bool varnish_leave(struct vcli *c, const char *path, int status, const char **ret_refusal);
bool varnish_return(struct vcli *c, const char **ret_refusal);

/* ---- the kind: varnish.c, count.c, ban.c ------------------------------------------------------------- */

extern const struct balancer varnish_balancer;

/* The CLI of one Varnish of the list, open and logged in as long as the op runs. NULL: op failed. */
struct vcli *varnish_cli(struct lb *lb, size_t peer);
/* What runs on our backend, by varnishstat or on the node, as `idle` says. */
bool varnish_count(struct lb *lb, int64_t *ret);

enum outcome varnish_run_ban(struct op *op);
enum outcome varnish_run_banned(struct op *op);

#endif
