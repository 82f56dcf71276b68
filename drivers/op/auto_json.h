/* SPDX-License-Identifier: MIT */
/* As base/auto.h, for jansson's values: auto_json json_t *o = json_object(); */
#ifndef RELEASE_DRIVERS_AUTO_JSON_H
#define RELEASE_DRIVERS_AUTO_JSON_H

#include <jansson.h>

static inline void auto_json_fn(json_t **value)
{
    json_decref(*value);
}
#define auto_json __attribute__((cleanup(auto_json_fn)))

#endif
