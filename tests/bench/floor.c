/* SPDX-License-Identifier: MIT */
/* The floor under every tool that works over SSH: a bare client on libssh2 that runs the same commands over
 * one connection per node, with no journal, no lock, no runner, no host keys and no log. A bench program,
 * never shipped.
 *
 *   floor USER KEY WINDOW NODES COMMANDS     NODES: lines "ADDRESS PORT DIR"; COMMANDS: lines of sh, run in
 * DIR
 *
 * WINDOW threads take the nodes in order. Ends with 1 as soon as a command fails. */
#include <arpa/inet.h>
#include <errno.h>
#include <libssh2.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct node {
    char host[64], dir[256];
    int port;
};
static struct node nodes[4096];
static char commands[32][512];
static size_t n_nodes, n_commands;
static atomic_size_t next_node;
static const char *user, *key;
static char key_text[8192];

static void die(const char *what, const struct node *n)
{
    fprintf(stderr, "floor: %s: %s\n", n->host, what);
    exit(1);
}

static LIBSSH2_RECV_FUNC(receive)
{
    (void)abstract;
    ssize_t n = recv(socket, buffer, length, flags);
    if (n >= 0)
        setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    return n < 0 ? -errno : n;
}

static int dial(const struct node *n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)n->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (inet_pton(AF_INET, n->host, &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect", n);
    return fd;
}

static void command_run(LIBSSH2_SESSION *ssh, const struct node *n, const char *command)
{
    char line[1024], output[4096];
    LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(ssh);
    snprintf(line, sizeof line, "cd '%s' && %s", n->dir, command);
    if (!channel || libssh2_channel_exec(channel, line) != 0)
        die("cannot run a command", n);
    while (libssh2_channel_read(channel, output, sizeof output) > 0)
        ;
    libssh2_channel_close(channel);
    if (libssh2_channel_get_exit_status(channel) != 0)
        die(command, n);
    libssh2_channel_free(channel);
}

static void node_run(const struct node *n)
{
    int fd = dial(n);
    LIBSSH2_SESSION *ssh = libssh2_session_init();
    libssh2_session_callback_set(ssh, LIBSSH2_CALLBACK_RECV, (void *)receive);
    if (libssh2_session_handshake(ssh, fd) != 0)
        die("no SSH handshake", n);
    if (libssh2_userauth_publickey_frommemory(ssh, user, strlen(user), NULL, 0, key_text, strlen(key_text),
                                              NULL) != 0)
        die("cannot log in", n);
    for (size_t i = 0; i < n_commands; i++)
        command_run(ssh, n, commands[i]);
    libssh2_session_free(ssh);
    close(fd);
}

static void *work(void *arg)
{
    for (size_t i; (i = atomic_fetch_add(&next_node, 1)) < n_nodes;)
        node_run(&nodes[i]);
    return arg;
}

static FILE *opened(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(2);
    }
    return f;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: floor USER KEY WINDOW NODES COMMANDS\n", stderr);
        return 2;
    }
    user = argv[1];
    key = argv[2];
    FILE *f = opened(key);
    key_text[fread(key_text, 1, sizeof key_text - 1, f)] = '\0';
    fclose(f);
    f = opened(argv[4]);
    for (struct node *n = nodes; n_nodes < 4096 && fscanf(f, "%63s %d %255s", n->host, &n->port, n->dir) == 3;
         n++)
        n_nodes++;
    fclose(f);
    f = opened(argv[5]);
    while (n_commands < 32 && fgets(commands[n_commands], sizeof commands[0], f))
        n_commands++;
    fclose(f);
    libssh2_init(0);
    pthread_t threads[256];
    int window = atoi(argv[3]);
    for (int i = 0; i < window && i < 256; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < window && i < 256; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
