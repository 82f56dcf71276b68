/* SPDX-License-Identifier: MIT */
/* Failpoints: kill -9 at the Nth passing of a named place, for the crash tests. Not in users' builds. */
#include "run/run_priv.h"

#ifdef RELEASE_FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void failpoint(const char *name)
{
    static atomic_int passed; /* of the one name that is asked for; loop and workers pass */
    const char *want = getenv("RELEASE_FAIL");
    size_t n = strlen(name);
    if (!want || strncmp(want, name, n) != 0 || want[n] != ':')
        return;
    if (atomic_fetch_add(&passed, 1) + 1 == atoi(want + n + 1))
        raise(SIGKILL);
}
#else
void failpoint(const char *name)
{
    (void)name;
}
#endif
