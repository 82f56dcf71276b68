/* The timeline of a release as JSON (docs/api.md). Inside engine/serve. */
#ifndef RELEASE_SERVE_TIMELINE_H
#define RELEASE_SERVE_TIMELINE_H

#include <jansson.h>

#include "watch/track.h"

#define TIMELINE_ROWS_MAX 200

/* {spans | bands, stages, capacity}. With at most `rows` nodes a span for every step that has ended; with
 * more, bands of nodes, each with how many of its nodes were in which state since when. Only what lies in
 * [from_ms, to_ms]; 0 = open. */
json_t *timeline_json(const struct track *t, size_t rows, int64_t from_ms, int64_t to_ms);

#endif
