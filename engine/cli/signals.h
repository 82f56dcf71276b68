/* SPDX-License-Identifier: MIT */
/* Signals and process limits of the command line. */
#ifndef RELEASE_CLI_SIGNALS_H
#define RELEASE_CLI_SIGNALS_H

#include <stdbool.h>

/* First thing in main: files are private, secrets in memory stay out of core files and debuggers, and there
 * are file descriptors enough for many nodes. False: too few, which would end a release in its middle;
 * *ret_files says how many.
 */
bool process_harden(unsigned long *ret_files);
/* Blocks SIGINT, SIGTERM and SIGHUP for this and all later threads; their signalfd, or -1. */
int signals_open(void);
/* The signal that has come meanwhile, taken off the descriptor; 0 = none. */
int signals_taken(int fd);
/* Waits: true = input on fd, false = a signal came (it is still to be taken). */
bool signals_or_input(int signal_fd, int fd);

#endif
