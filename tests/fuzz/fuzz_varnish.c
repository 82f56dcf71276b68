/* SPDX-License-Identifier: MIT */
/* Varnish's CLI: the frames as they come from a socket, through the real reader, and the JSON in them. First
 * byte: what is asked; then what Varnish "sends" until it closes. */
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/balancer/varnish/varnish.h"
#include "fuzz.h"

static void frames(const uint8_t *data, size_t n, int what)
{
    static const struct varnish_admin admin = {.text = "tcp://cache:6082", .host = "cache", .port = 6082};
    int ends[2];
    char *body = NULL;
    struct varnish_vcls vcls = {0};
    struct varnish_backends backends = {0};
    if (n > 100000)
        return;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    must(write(ends[1], data, n) == (ssize_t)n);
    must(shutdown(ends[1], SHUT_WR) == 0);
    struct op *op = fuzz_op(NULL, (struct op_sink){0});
    struct vcli cli = {.op = op, .admin = &admin, .fd = ends[0]};
    bool fine = what == 'v'   ? vcli_vcls(&cli, &vcls) && vcli_backends(&cli, &backends)
                : what == 'b' ? vcli_backends(&cli, &backends)
                              : vcli_want(&cli, &body, "ping");
    must(fine != op_failed(op));
    must(!fine || what != 'v' || vcls.active);
    for (size_t i = 0; fine && i < backends.n; i++)
        must(backends.rows[i].name && backends.rows[i].vcl && backends.rows[i].admin);
    op_free(op);
    close(ends[0]);
    close(ends[1]);
}

static void words(const char *text, int what)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct varnish_admin admin;
    int64_t conns;
    bool there;
    if (what == 'c')
        (void)varnish_conns_parse(text, "web1", &conns, &err);
    else if (what == 'n' && varnish_name_valid(text))
        must(!strpbrk(text, "*? \t\r\n\"';\\"));
    else if (what == 'x')
        (void)varnish_ban_parse(text, "obj.status != 0", 60, &there, &err);
    else if (what == 'a' && varnish_admin_parse(text, &arena, &admin, &err))
        must(admin.port >= 1 && admin.port <= 65535 && admin.host[0] && admin.host[0] != '-');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (strchr("cnxa", data[0]) && data[0]) {
        char *text = fuzz_text(data + 1, n - 1);
        words(text, data[0]);
        free(text);
    } else {
        frames(data + 1, n - 1, data[0]);
    }
    return 0;
}
