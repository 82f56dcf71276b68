/* SPDX-License-Identifier: MIT */
/* What the cleanup attributes call (auto.h). */
#include "base/auto.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void auto_fd_fn(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

void auto_free_fn(void *ptr)
{
    free(*(void **)ptr);
}

void auto_file_fn(FILE **file)
{
    if (*file)
        fclose(*file);
}

int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
