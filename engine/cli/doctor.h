/* SPDX-License-Identifier: MIT */
/* release doctor: what there is on this machine, and what to mend. */
#ifndef RELEASE_CLI_DOCTOR_H
#define RELEASE_CLI_DOCTOR_H

#include "cli/session.h"

enum finding_level { FINDING_OK, FINDING_NOTE, FINDING_WRONG };

/* One line: what was looked at, what is there, and what to do about it (NULL = nothing). */
struct finding {
    enum finding_level level;
    const char *what, *found, *mend;
    int status; /* that the command ends with when it is wrong */
};
struct findings {
    struct cli *cli;
    struct finding *list;
    size_t n, cap;
};
void findings_add(struct findings *f, struct finding one);

/* doctor_here.c: libraries, programs, limits */
void doctor_libraries(struct findings *f);
void doctor_programs(struct findings *f);
void doctor_limits(struct findings *f);
/* doctor_files.c: root, environments, journal */
void doctor_root(struct findings *f);
void doctor_journal(struct findings *f);

#endif
