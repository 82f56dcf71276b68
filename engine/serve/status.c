/* SPDX-License-Identifier: MIT */
/* /healthz: is it there, and can it read the journal. */
#include <unistd.h>

#include "base/clock.h"
#include "serve/serve_priv.h"

static void healthz(struct request *r, struct reply *reply)
{
    struct err err;
    int64_t version;
    if (access(r->serve->state_path, R_OK) != 0) {
        reply_error(reply, 503, "journal", "the journal %s is not there", r->serve->state_path);
        return;
    }
    if (!store_version(r->store, &version, &err)) {
        reply_err(reply, &err);
        return;
    }
    reply_json(reply, 200,
               json_pack("{s:b, s:I, s:I}", "ok", 1, "seq", (json_int_t)journal_last_seq(r->store), "at",
                         (json_int_t)clock_wall_ms()));
}

const struct route status_routes[] = {
    {.method = "GET", .pattern = "/healthz", .right = RIGHT_VIEWER, .flags = ROUTE_STATUS, .handle = healthz},
    ROUTE_END,
};
