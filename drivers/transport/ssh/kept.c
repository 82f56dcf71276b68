/* SPDX-License-Identifier: MIT */
/* What the ssh transports keep as long as the connections live: what ssh's configuration says of each target, and the
 * directory of control sockets. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS 1024u

struct kept_settings {
    struct kept_settings *next;
    struct ssh_settings *settings;
    char key[];
};

struct ssh_kept {
    pthread_mutex_t lock, asking;
    struct kept_settings *settings[BUCKETS];
    char dir[64]; /* "" = none made yet */
};

static void *kept_new(void)
{
    struct ssh_kept *k = xcalloc(1, sizeof(*k));
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->asking, NULL);
    return k;
}

static void dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void ssh_settings_free(struct ssh_settings *s)
{
    if (!s)
        return;
    arena_fini(&s->arena);
    free(s);
}

static void kept_free(void *part)
{
    struct ssh_kept *k = part;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct kept_settings *e = k->settings[i], *next; e; e = next) {
            next = e->next;
            ssh_settings_free(e->settings);
            free(e);
        }
    if (k->dir[0])
        dir_remove(k->dir);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->asking);
    free(k);
}

static struct ssh_kept *kept_of(struct conns *c)
{
    return conns_kept(c, "ssh", kept_new, kept_free);
}

const char *ssh_kept_dir(struct conns *c, struct err *err)
{
    struct ssh_kept *k = kept_of(c);
    pthread_mutex_lock(&k->lock);
    if (!k->dir[0]) {
        /* Short, because a control socket's path must fit into 108 bytes. */
        strcpy(k->dir, "/tmp/release-XXXXXX");
        if (!mkdtemp(k->dir)) {
            err_errno(err, E_IO, "/tmp: cannot make a directory for ssh's control sockets");
            k->dir[0] = '\0';
        }
    }
    pthread_mutex_unlock(&k->lock);
    return k->dir[0] ? k->dir : NULL;
}

void ssh_kept_lock(struct conns *c)
{
    pthread_mutex_lock(&kept_of(c)->asking);
}

void ssh_kept_unlock(struct conns *c)
{
    pthread_mutex_unlock(&kept_of(c)->asking);
}

struct ssh_settings *ssh_kept_get(struct conns *c, const char *key)
{
    struct ssh_kept *k = kept_of(c);
    struct ssh_settings *found = NULL;
    pthread_mutex_lock(&k->lock);
    for (struct kept_settings *e = k->settings[str_hash(key) % BUCKETS]; e && !found; e = e->next)
        if (strcmp(e->key, key) == 0)
            found = e->settings;
    pthread_mutex_unlock(&k->lock);
    return found;
}

struct ssh_settings *ssh_kept_put(struct conns *c, const char *key, struct ssh_settings *s)
{
    struct ssh_kept *k = kept_of(c);
    size_t n = strlen(key) + 1;
    struct kept_settings *e = xcalloc(1, sizeof(*e) + n);
    memcpy(e->key, key, n);
    pthread_mutex_lock(&k->lock);
    struct kept_settings **head = &k->settings[str_hash(key) % BUCKETS], *there = *head;
    while (there && strcmp(there->key, key) != 0)
        there = there->next;
    if (!there) {
        e->next = *head;
        e->settings = s;
        *head = e;
    }
    pthread_mutex_unlock(&k->lock);
    if (!there)
        return s;
    free(e);
    ssh_settings_free(s);
    return there->settings;
}
