/* SPDX-License-Identifier: MIT */
/* What the API's files share. Inside engine/serve. */
#ifndef RELEASE_SERVE_API_H
#define RELEASE_SERVE_API_H

#include <stdlib.h>

#include "serve/serve_priv.h"

/* vars[i] of the path as a number > 0; false: 404, said. */
bool api_number(const struct request *r, size_t i, int64_t *ret, struct reply *reply);
/* vars[0] names an environment of the pillar or of the journal; false: 404, said. */
bool api_env_known(struct request *r, struct reply *reply);
/* The pillar's environments, then those that only the journal knows. */
const char *const *api_envs(struct serve *s, struct store *store, struct arena *arena, size_t *ret_n);
/* How many applications these are of: serve_apps for who has the list already. */
size_t api_apps(struct store *store, const char *const *envs, size_t n, struct arena *arena);
struct order_info;
json_t *api_order_json(const struct order_info *o);

#endif
