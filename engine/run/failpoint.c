#include "run/run_priv.h"

#ifdef RELEASE_FAILPOINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void failpoint(const char *name)
{
    static int passed; /* only the loop thread passes failpoints */
    const char *want = getenv("RELEASE_FAIL");
    size_t n = strlen(name);
    if (!want || strncmp(want, name, n) != 0 || want[n] != ':')
        return;
    if (++passed == atoi(want + n + 1))
        raise(SIGKILL);
}
#else
void failpoint(const char *name)
{
    (void)name;
}
#endif
