/* SPDX-License-Identifier: MIT */
/* Time. Monotonic for every deadline; wall time for rows and display only (docs/promises.md#clock). */
#ifndef RELEASE_BASE_CLOCK_H
#define RELEASE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* since 1970, UTC */
/* Local time as "2026-11-20 09:13:59"; buf of n bytes, returned. */
const char *clock_text(int64_t wall_ms, char *buf, size_t n);
#define CLOCK_TEXT_MAX 32

#endif
