/* SPDX-License-Identifier: MIT */
/* As base/auto.h, for libcurl's URLs: auto_curlu CURLU *u = curl_url(); */
#ifndef RELEASE_DRIVERS_AUTO_CURLU_H
#define RELEASE_DRIVERS_AUTO_CURLU_H

#include <curl/curl.h>

static inline void auto_curlu_fn(CURLU **url)
{
    curl_url_cleanup(*url);
}
#define auto_curlu __attribute__((cleanup(auto_curlu_fn)))

#endif
