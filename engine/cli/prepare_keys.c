/* SPDX-License-Identifier: MIT */
/* Keys of hosts that nobody knows yet. Only what a person named by its fingerprint becomes known. */
#include "cli/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

static bool key_known(const struct host_keys *keys, const struct host_key *key)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->list[i].name, key->name) == 0 && strcmp(keys->list[i].print, key->print) == 0)
            return true;
    return false;
}

/* "FINGERPRINT TYPE BASE64 FILE" */
static bool key_read(const struct op_pair *fact, struct arena *arena, struct host_key *ret)
{
    char *rest = NULL, *text = arena_strdup(arena, fact->value);
    *ret = (struct host_key){.name = arena_strdup(arena, fact->name + strlen(HOST_KEY_FACT))};
    ret->print = strtok_r(text, " ", &rest);
    ret->type = strtok_r(NULL, " ", &rest);
    ret->base64 = strtok_r(NULL, " ", &rest);
    ret->file = rest;
    return ret->print && ret->type && ret->base64 && ret->file && *ret->file;
}

void host_keys_take(struct host_keys *keys, const struct probe *probes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < probes[i].n_facts; k++) {
            struct host_key key;
            if (!str_starts(probes[i].facts[k].name, HOST_KEY_FACT) ||
                !key_read(&probes[i].facts[k], keys->arena, &key) || key_known(keys, &key))
                continue;
            key.node = probes[i].node;
            struct host_key *more = arena_array(keys->arena, keys->n + 1, sizeof *more);
            for (size_t h = 0; h < keys->n; h++)
                more[h] = keys->list[h];
            more[keys->n++] = key;
            keys->list = more;
        }
}

/* The directory of a user's own file may be missing as well; no more than that one. */
static void make_directory(const char *file)
{
    char dir[4096];
    const char *slash = strrchr(file, '/');
    if (!slash || slash == file || (size_t)(slash - file) >= sizeof dir)
        return;
    memcpy(dir, file, (size_t)(slash - file));
    dir[slash - file] = '\0';
    (void)mkdir(dir, 0700); /* what is wrong with it is said when the file is opened */
}

/* Does the file end in the middle of a line? Then ours begins with a newline. */
static bool line_is_open(int fd, off_t size)
{
    char last = '\n';
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

bool host_key_write(const struct host_key *key, struct err *err)
{
    auto_buf struct buf line = BUF_INIT(64 * 1024);
    struct stat st;
    make_directory(key->file);
    auto_fd int fd = open(key->file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, E_IO, "%s", key->file);
    buf_printf(&line, "%s%s %s %s\n", line_is_open(fd, st.st_size) ? "\n" : "", key->name, key->type,
               key->base64);
    if (write(fd, line.data, line.len) != (ssize_t)line.len || fsync(fd) != 0)
        return err_errno(err, E_IO, "%s", key->file);
    return true;
}
