/* What the haproxy and varnish-service drivers share: HAProxy's runtime API (2.4 and later; 2.6 is what the
 * tests run). Inside drivers/ only.
 *
 * One command per connection, answered until HAProxy closes. A silent success is exactly "\n"; any other
 * answer to a write is a refusal. State is judged by the admin bits of `show servers state`, never by the
 * status text of `show stat` (docs/protocols.md#haproxy). Everything lives in the op's arena. */
#ifndef RELEASE_DRIVERS_HAPROXY_H
#define RELEASE_DRIVERS_HAPROXY_H

#include "drivers/driver.h"

/* ---- pure: haproxy_parse.c ------------------------------------------------- */

struct hap_socket {
    const char *text; /* as in the pillar: its name in facts and messages */
    const char *host; /* tcp: host; unix@host: the balancer's host; NULL for a local unix socket */
    const char *path; /* unix socket, NULL for tcp */
    int port;         /* tcp */
};
/* "tcp://host:port", "tcp://[::1]:port", "unix:///path", "unix:///path@host". */
bool hap_socket_parse(const char *text, struct arena *a, struct hap_socket *ret, struct err *err);

/* Names of backends and servers go into a command line: [A-Za-z0-9._:-] only (docs/promises.md#s20). */
bool hap_name_valid(const char *s);

/* What an administrator wants of a server. */
enum hap_admin { HAP_READY, HAP_DRAIN, HAP_MAINT };
const char *hap_admin_name(enum hap_admin v);

struct hap_server {
    const char *backend, *name;
    int backend_id; /* a frontend may have the backend's name, never its number */
    int op_state;   /* 0 stopped, 1 starting, 2 running, 3 stopping */
    unsigned admin_bits;
    int weight; /* the one in use now, absolute */
    const char *addr;
    int port;   /* 0: the client's, or not told */
    bool agent; /* an agent check is configured and runs: what it says changes state and weight */
    /* from `show stat`, when asked for */
    int64_t sessions, queued;
    const char *status, *check_status;
};
enum hap_admin hap_admin_of(const struct hap_server *s);
/* Out by an administrator's word. A server that is merely DOWN comes back by itself: not out. */
bool hap_is_out(const struct hap_server *s);
/* Gets new requests now. */
bool hap_is_serving(const struct hap_server *s);
/* With `show stat`: its checks have made up their mind that it is fine, or it has none. */
bool hap_is_up(const struct hap_server *s);

/* Sockets of one `sockets` list. */
#define HAP_BALANCERS_MAX 32

struct hap_table {
    struct hap_server *rows;
    size_t n;
};
struct hap_server *hap_table_find(const struct hap_table *t, const char *name);
/* `show servers state [BACKEND]`, by its header line; backend NULL: all of them. false: not such an answer,
 * err says what came. */
bool hap_parse_state(const char *text, const char *backend, struct arena *a, struct hap_table *ret,
                     struct err *err);
/* `show stat #BACKEND_ID 4 -1`, by its header line, into the rows of the same name. */
bool hap_parse_stat(const char *text, const char *backend, struct arena *a, struct hap_table *io,
                    struct err *err);

/* The fact lb.before: "SOCKET BACKEND/SERVER=ready,w100,agent;..." One entry per balancer and server. */
struct hap_before {
    enum hap_admin admin;
    int weight; /* -1 = not known */
    bool agent; /* its agent check ran */
};
bool hap_before_find(const char *fact, const char *socket, const char *backend, const char *server,
                     struct hap_before *ret);

/* ---- dialog: haproxy_cli.c ------------------------------------------------- */

/* One server of one backend, on several balancers. */
struct hap {
    struct op *op;
    const char *backend, *server; /* server NULL for FLEET verbs */
    struct hap_socket *socks;
    size_t n;
    struct hap_server *now; /* per balancer: as last seen by hap_look */
};
/* From the arguments `sockets`, `backend`, and for node verbs `server`. false: op failed already. */
bool hap_open(struct op *op, struct hap *ret);
bool hap_open_fleet(struct op *op, struct hap *ret);
/* For READ verbs: a balancer that cannot be asked says nothing about the node, so from here on op_fail means
 * UNKNOWN (as after op_sending); refusals stay FAILED. */
bool hap_open_read(struct op *op, struct hap *ret);
/* Every server of every backend of one balancer. false: op failed. */
bool hap_table_all(struct hap *h, size_t i, struct hap_table *ret);
/* The whole backend of one balancer; with_stat: sessions and check status too. */
bool hap_table(struct hap *h, size_t i, bool with_stat, struct hap_table *ret);
/* Our server on balancer i into h->now[i]; an unknown server or backend is a refusal. */
bool hap_look(struct hap *h, size_t i, bool with_stat);
bool hap_look_all(struct hap *h, bool with_stat);
/* Sends one changing command. *ret_refusal NULL: accepted; else the balancer's own words, op not failed.
 * false: op failed (link). The caller has called op_sending. */
bool hap_tell(struct hap *h, size_t i, const char **ret_refusal, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One server's admin state or weight on balancer i, read back into h->now[i]. *ret_refusal NULL: it is so. */
bool hap_put(struct hap *h, size_t i, enum hap_admin want, const char **ret_refusal);
bool hap_put_weight(struct hap *h, size_t i, int weight, const char **ret_refusal);
/* Its agent check held off, or running again; read back. */
bool hap_put_agent(struct hap *h, size_t i, bool on, const char **ret_refusal);
enum outcome hap_refused(struct hap *h, size_t i, const char *wanted, const char *words);
/* "app1 drain on tcp://lb1:9999, ready on tcp://lb2:9999" */
const char *hap_text(const struct hap *h);
/* The entry of op_recall("lb.before") for balancer i; false: none. */
bool hap_recall_before(const struct hap *h, size_t i, struct hap_before *ret);
/* Was the server in rotation on any balancer before this release? True when nothing was recorded. */
bool hap_was_in(const struct hap *h);
/* Reports lb.before unless it was recorded for this server already. Later looks of the same release see our
 * own drain and must not overwrite it. false: op failed. */
bool hap_report_before(struct hap *h);
bool hap_before_recorded(const struct hap *h);
/* The fact lb.at: where each balancer sends what this server gets, "SOCKET ADDRESS:PORT;..." */
void hap_report_address(struct hap *h);
/* Sum of sessions and queue over all balancers; reports facts and gauge. */
int64_t hap_count_sessions(struct hap *h);
bool hap_serving_everywhere(const struct hap *h);

/* The verbs; haproxy.c lists them. varnish-service lists capacity and show too: the balancer is the same. */
#define HAPROXY_VERB(name) enum outcome haproxy_run_##name(struct op *op)
HAPROXY_VERB(observe);
HAPROXY_VERB(drain);
HAPROXY_VERB(wait_idle);
HAPROXY_VERB(guard);
HAPROXY_VERB(maint);
HAPROXY_VERB(in_maint);
HAPROXY_VERB(kill);
HAPROXY_VERB(killed);
HAPROXY_VERB(enable);
HAPROXY_VERB(enabled);
HAPROXY_VERB(wait_up);
HAPROXY_VERB(capacity);
HAPROXY_VERB(show);
HAPROXY_VERB(survey);

#endif
