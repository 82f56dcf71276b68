/* SPDX-License-Identifier: MIT */
/* A command before its input: for transports whose other end is a login shell. */
#include "drivers/transport/transport.h"

#include <string.h>

void call_text_wrap(const struct call_req *req, struct buf *command, struct buf *input)
{
    buf_printf(command, "exec sh -c 'eval \"$(head -c %zu)\"'", strlen(req->command));
    buf_puts(input, req->command);
    if (req->input_len)
        buf_add(input, req->input, req->input_len);
}
