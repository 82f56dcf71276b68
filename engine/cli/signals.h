/* Signals and process limits of the command line. */
#ifndef RELEASE_CLI_SIGNALS_H
#define RELEASE_CLI_SIGNALS_H

#include <stdbool.h>

/* First thing in main: files are private, secrets in memory stay out of core files and debuggers. */
void process_harden(void);
/* Blocks SIGINT, SIGTERM and SIGHUP for this and all later threads; their signalfd, or -1. */
int signals_open(void);
/* The signal that has come meanwhile, taken off the descriptor; 0 = none. */
int signals_taken(int fd);
/* Waits: true = input on fd, false = a signal came (it is still to be taken). */
bool signals_or_input(int signal_fd, int fd);

#endif
