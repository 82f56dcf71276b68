/* SPDX-License-Identifier: MIT */
/* The files that ship inside the program, by name. */
#include <string.h>

#include "serve/page.h"

const struct page_file *page_file_find(const char *name)
{
    for (const struct page_file *f = page_files; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}
