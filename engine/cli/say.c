/* SPDX-License-Identifier: MIT */
/* Words to people: messages to stderr, results to stdout. Whatever came from outside (nodes, files,
 * arguments) is made safe for the terminal here, at the last moment. A reader that has gone away never stops
 * a command. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

#define MESSAGE_MAX (256 * 1024)

static void write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n);
        if (done <= 0)
            return; /* EPIPE, closed terminal: what is done stays done */
        data += done;
        n -= (size_t)done;
    }
}

static void say(const char *prefix, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void say(const char *prefix, const char *fmt, va_list ap)
{
    auto_buf struct buf raw = BUF_INIT(MESSAGE_MAX);
    auto_buf struct buf safe = BUF_INIT(MESSAGE_MAX);
    buf_vprintf(&raw, fmt, ap);
    buf_puts(&safe, prefix);
    text_visible(&safe, buf_str(&raw), raw.len);
    buf_puts(&safe, "\n");
    fflush(stdout);
    write_all(STDERR_FILENO, buf_str(&safe), safe.len);
}

void say_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("release: ", fmt, ap);
    va_end(ap);
}

void say_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void say_progress(const char *text)
{
    static unsigned
        n; /* once a second: the third says that it takes a while, then every tenth that it goes on */
    if (++n == 3 || n % 10 == 0)
        say_note("%s", text);
}

int say_err(const struct err *err)
{
    say_error("%s", err->text);
    return err_code_exit(err->code);
}

void out_text(const char *text)
{
    write_all(STDOUT_FILENO, text, strlen(text));
}

void out_printf(const char *fmt, ...)
{
    auto_buf struct buf text = BUF_INIT(MESSAGE_MAX);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    write_all(STDOUT_FILENO, buf_str(&text), text.len);
}

void out_buf(struct buf *buf)
{
    write_all(STDOUT_FILENO, buf_str(buf), buf->len);
    buf_reset(buf);
}
