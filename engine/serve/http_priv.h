/* SPDX-License-Identifier: MIT */
/* Between http.c (bytes, through libmicrohttpd) and work.c (threads that answer). */
#ifndef RELEASE_SERVE_HTTP_PRIV_H
#define RELEASE_SERVE_HTTP_PRIV_H

#include <microhttpd.h>

#include "serve/serve_priv.h"

/* A connection. On the list under http.lock until libmicrohttpd closes its descriptor, so that a descriptor
 * on the list is always the one that is meant. */
enum conn_phase { CONN_READING, CONN_WORKING, CONN_WRITING, CONN_STREAM, CONN_ENDING };
struct conn {
    struct conn *prev, *next;
    int fd;
    enum conn_phase phase;
    bool served;      /* it has had an answer: it is not one of those that only hold a place */
    int64_t since_ms; /* monotonic: when its present request began, or the connection, or it became idle */
};

/* One request and its answer. Belongs to libmicrohttpd's thread, but between work_put and its resume to a
 * worker. */
enum exchange_state { EX_HEADERS, EX_BODY, EX_REFUSED, EX_WORKING, EX_DONE };
struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    struct conn *conn;
    enum exchange_state state;
    struct arena arena;
    const char *uri; /* as it came, with the query */
    struct buf body;
    bool body_too_large;
    struct request request;
    struct reply reply;
    struct exchange *next; /* in the queue of work */
};

struct http {
    struct serve *serve;
    struct MHD_Daemon *daemon;
    int quiesced_fd; /* the listening socket once nobody is let in any more; else -1 */
    char *cert, *key;
    pthread_mutex_t lock;
    struct conn conns; /* list head */
    struct http_counts counts;
    struct work *work;
};

/* work.c: what a worker does with an exchange, and its last word on it. Any thread. */
struct work_calls {
    void (*answer)(struct exchange *x); /* its request has a store */
    void (*done)(struct exchange *x); /* after answer, or when no store could be opened: the reply says so */
};
struct work *work_start(struct serve *s, const struct work_calls *calls, struct err *err);
/* false: too much is waiting already, or the server ends. On true the connection must be suspended already.
 */
bool work_put(struct work *w, struct exchange *x, bool slow);
void work_stop(struct work *w); /* every exchange that was put is answered, later ones are refused */
void work_free(struct work *w);

/* http.c: what libmicrohttpd calls, on its thread. */
void http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection);
void http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                       enum MHD_RequestTerminationCode code);
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data, size_t *n,
                                void **con_cls);

/* http.c: for work_calls. */
void exchange_answer(struct exchange *x);
void exchange_done(struct exchange *x);

#endif
