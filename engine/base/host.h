/* SPDX-License-Identifier: MIT */
/* Does a host mean this machine? Asked where something secret would travel in plain text. */
#ifndef RELEASE_BASE_HOST_H
#define RELEASE_BASE_HOST_H

#include <stdbool.h>

/* An address of 127.0.0.0/8, or ::1, with or without brackets; never a name, however it begins: a name may mean another
 * machine, tomorrow or now ("127.evil.example"). */
bool host_is_loopback(const char *host);
/* The same, or localhost. */
bool host_is_here(const char *host);

#endif
