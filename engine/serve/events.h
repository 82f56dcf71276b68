/* Between events.c and http.c. Inside engine/serve. */
#ifndef RELEASE_SERVE_EVENTS_H
#define RELEASE_SERVE_EVENTS_H

#include <microhttpd.h>

#include "serve/serve_priv.h"

/* The response that a stream becomes; it frees the stream when the connection ends. libmicrohttpd's thread.
 */
struct MHD_Response *stream_response(struct stream *st, struct MHD_Connection *connection);
/* One that never became a response. */
void stream_free(struct stream *st);

#endif
