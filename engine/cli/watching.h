/* Between plans and watchers: engine/watch knows no plans, so the command line copies what it needs. */
#ifndef RELEASE_CLI_WATCHING_H
#define RELEASE_CLI_WATCHING_H

#include "cli/session.h"
#include "watch/watch.h"

/* Everything lives in `arena` or in the plan; usual times come from the journal when it has any. */
const struct watch_plan *watching_plan(struct arena *arena, struct store *store, const struct plan *plan,
                                       int64_t release);
/* --json, a live board on a terminal, or lines. */
enum watch_form watching_form(const struct cli *cli);
bool watching_colour(int fd);
/* The last word about a release that has just ended, and what its failing step printed last. */
void final_words(struct cli *cli, struct store *store, const struct plan *plan, int64_t release,
                 int exit_status);

#endif
