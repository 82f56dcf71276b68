/* SPDX-License-Identifier: MIT */
#ifndef RELEASE_DRIVERS_TARGET_H
#define RELEASE_DRIVERS_TARGET_H

/* How SSH gets to a host: what the pillar's `ssh:` says. What is NULL or 0 comes from the user's ssh configuration. */
struct ssh_way {
    int port;                /* else 22 */
    const char *user;        /* login */
    const char *key;         /* private key file; NULL: the agent's first */
    const char *known_hosts; /* file */
    const char *proxy_jump;  /* "user@host:port,.."; "": none */
    const char *config;      /* file for `ssh -F`; NULL: the user's own */
};

/* Something that can be reached: a node, a balancer's host, or the controller itself. Strings belong to the
 * plan. */
struct target {
    const char *id;        /* node id in messages */
    const char *transport; /* "ssh", "openssh", "local" */
    const char *host;      /* address or name to connect to */
    struct ssh_way ssh;    /* for those two: a transport has parameters of its own */
    const char *state_dir; /* runner's directory on the node, relative to home: ".release/prod/app1" */
    const char *identity;  /* what `hostname:machine-id` was when the plan was frozen; NULL = not known yet */
};

#endif
