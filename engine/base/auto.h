/* SPDX-License-Identifier: MIT */
/* Cleanup attributes: acquire in a declaration, return anywhere, no goto.
 *   auto_fd int fd = open(...);   auto_free char *s = strdup(...);   auto_close_file FILE *f = ...; */
#ifndef RELEASE_BASE_AUTO_H
#define RELEASE_BASE_AUTO_H

#include <stdio.h>

void auto_fd_fn(int *fd);       /* closes when >= 0, keeps errno */
void auto_free_fn(void *ptr);   /* ptr is the address of a pointer from malloc */
void auto_file_fn(FILE **file); /* fclose when not NULL */

#define auto_fd         __attribute__((cleanup(auto_fd_fn)))
#define auto_free       __attribute__((cleanup(auto_free_fn)))
#define auto_close_file __attribute__((cleanup(auto_file_fn)))

/* Hands an fd over: returns it and leaves -1, so that auto_fd does not close it. */
int fd_take(int *fd);

#endif
