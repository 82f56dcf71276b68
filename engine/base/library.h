/* SPDX-License-Identifier: MIT */
/* A library that we are linked with: each folder tells about its own (`release doctor`), since no other may include its
 * headers. */
#ifndef RELEASE_BASE_LIBRARY_H
#define RELEASE_BASE_LIBRARY_H

struct library {
    const char *name, *package;   /* Debian's package */
    const char *does;             /* what it is for here */
    const char *(*version)(void); /* the one that is loaded */
};

#endif
