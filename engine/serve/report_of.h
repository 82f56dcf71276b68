/* SPDX-License-Identifier: MIT */
/* The report of a release in the journal: its frozen plan, its rows. For the command line and the page. */
#ifndef RELEASE_SERVE_REPORT_OF_H
#define RELEASE_SERVE_REPORT_OF_H

#include "watch/report.h"

bool report_of_release(struct reader r, const struct release_info *release, struct report *ret,
                       struct err *err) MUST_CHECK;

#endif
