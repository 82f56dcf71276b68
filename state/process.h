/* SPDX-License-Identifier: MIT */
/* Processes as the journal knows them: host, boot, pid and start time. Any thread. */
#ifndef RELEASE_STATE_PROCESS_H
#define RELEASE_STATE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start time (clock ticks since boot) and state letter out of /proc. false: there is none, or /proc is
 * hidden. */
bool process_started(int64_t pid, int64_t *ret, char *ret_state);
/* The process that had this pid at that time still runs, on this boot of this host. */
bool process_lives(int64_t pid, int64_t started);
void process_boot(char *buf, size_t n); /* this boot's id; "" when it cannot be told */
void process_host(char *buf, size_t n);

#endif
