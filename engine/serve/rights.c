/* SPDX-License-Identifier: MIT */
/* Roles by name. */
#include <string.h>

#include "serve/serve_priv.h"

static const char *const rights[] = {"none", "viewer", "operator", "admin"};

const char *right_name(enum right r)
{
    return r <= RIGHT_ADMIN ? rights[r] : "?";
}

int right_from_name(const char *text)
{
    for (int i = RIGHT_VIEWER; i <= RIGHT_ADMIN; i++)
        if (strcmp(rights[i], text) == 0)
            return i;
    return -1;
}
