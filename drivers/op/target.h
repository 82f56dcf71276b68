/* SPDX-License-Identifier: MIT */
#ifndef RELEASE_DRIVERS_TARGET_H
#define RELEASE_DRIVERS_TARGET_H

/* Something that can be reached: a node, a balancer's host, or the controller itself. Strings belong to the
 * plan. */
struct target {
    const char *id;          /* node id in messages */
    const char *transport;   /* "ssh", "openssh", "local" */
    const char *host;        /* address or name to connect to */
    int port;                /* ssh port; 0 = from the user's ssh configuration, else 22 */
    const char *user;        /* login; NULL = from ssh configuration */
    const char *key;         /* private key file, NULL = agent, then ssh configuration */
    const char *known_hosts; /* NULL = ssh configuration */
    const char *proxy_jump;  /* "user@host:port", NULL = from ssh configuration */
    const char *ssh_config;  /* file for `ssh -G -F`, NULL = the user's own */
    const char *state_dir;   /* runner's directory on the node, relative to home: ".release/prod/app1" */
    const char *identity; /* what `hostname:machine-id` was when the plan was frozen; NULL = not known yet */
};

#endif
