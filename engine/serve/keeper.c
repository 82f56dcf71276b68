/* SPDX-License-Identifier: MIT */
/* The keeper: one thread for what must be done now and then: slow clients, children that ended, token times.
 */
#include "base/clock.h"
#include "serve/serve_priv.h"

#define TICK_MS   250
#define TOKENS_MS 30000

static void run(struct serve *s, void *arg)
{
    (void)arg;
    int64_t tokens_ms = clock_mono_ms();
    children_remove_old_files(s);
    while (!serve_wait(s, TICK_MS)) {
        http_sweep(s);
        children_look_after(s);
        if (clock_mono_ms() - tokens_ms > TOKENS_MS) {
            used_write(s);
            tokens_ms = clock_mono_ms();
        }
    }
    used_write(s);
}

bool keeper_start(struct serve *s, struct err *err)
{
    return children_take_up(s, err) && serve_thread(s, "keeper", run, NULL, err);
}
