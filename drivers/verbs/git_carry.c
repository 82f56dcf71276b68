/* SPDX-License-Identifier: MIT */
/* Objects of a repository from the controller's mirror to a node (git_carry.h). */
#include "drivers/verbs/git_carry.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/op/scan.h"
#include "drivers/verbs/scripts.h"

#define PIECE_BYTES ((int64_t)1 << 20) /* what a cut may cost; three times that is in memory for a node */
#define HAVES_MAX   100

struct carry {
    struct op *op;
    const struct git_words *words;
    const char *runas;
    const char *haves[HAVES_MAX]; /* commits that the node has */
    size_t n_haves;
    bool whole;       /* it has the revision */
    const char *part; /* a pack that is there in part, by its SHA-256; NULL = none */
    int64_t part_bytes;
    const char *pack;      /* SHA-256 of what it is to get */
    const char *pack_path; /* here */
    int64_t pack_bytes;
    char nonce[NONCE_LEN + 1];
};

const char *git_repo_key(struct op *op, const char *repo)
{
    char *hex = arena_alloc(op_arena(op), SHA256_HEX_LEN + 1);
    sha256_hex(repo, strlen(repo), hex);
    return arena_strndup(op_arena(op), hex, 24);
}

/* The script is to give its answer before the deadline does. */
const char *git_seconds_left(struct op *op)
{
    int64_t s = op_left_ms(op) / 1000 - 1;
    return arena_printf(op_arena(op), "%lld", (long long)(s > 1 ? s : 1));
}

/* Each line "WORD rest" of a script's answer; the copy may be cut up. */
static void each_line(struct carry *c, const char *out, void (*take)(struct carry *, char *word, char *rest))
{
    char *text = arena_strdup(op_arena(c->op), out), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *rest = strchr(line, ' ');
        if (rest != NULL)
            *rest++ = '\0';
        take(c, line, rest ? rest : line + strlen(line));
    }
}

static void take_have(struct carry *c, char *word, char *rest)
{
    char *bytes = strchr(rest, ' ');
    if (strcmp(word, "whole") == 0) {
        c->whole = true;
    } else if (strcmp(word, "have") == 0 && is_hex(rest, 40) && c->n_haves < HAVES_MAX) {
        c->haves[c->n_haves++] = rest;
    } else if (strcmp(word, "part") == 0 && bytes != NULL && bytes == rest + SHA256_HEX_LEN) {
        *bytes = '\0';
        c->part = rest;
        c->part_bytes = strtoll(bytes + 1, NULL, 10);
    }
}

static void take_pack(struct carry *c, char *word, char *rest)
{
    char *end = NULL;
    if (strcmp(word, "pack") != 0)
        return;
    c->pack_bytes = strtoll(rest, &end, 10);
    if (*end != ' ' || strlen(end + 1) < SHA256_HEX_LEN + 2 || end[1 + SHA256_HEX_LEN] != ' ')
        return;
    c->pack = arena_strndup(op_arena(c->op), end + 1, SHA256_HEX_LEN);
    c->pack_path = end + 1 + SHA256_HEX_LEN + 1;
}

/* What the node gets to know: not the address, which may hold a token, and which it has no use for. */
static struct git_words node_words(const struct carry *c)
{
    struct git_words words = *c->words;
    words.repo = "";
    return words;
}

static bool ask_node(struct carry *c)
{
    struct git_words have = node_words(c);
    have.act = "have";
    const char *args[] = {GIT_WORDS(have), NULL};
    struct node_result res = {0};
    if (!node_read(c->op,
                   &(struct node_cmd){.script = script_git, .args = args, .runas = c->runas, .quiet = true},
                   &res))
        return false;
    report_apply(c->op, &res);
    if (op_failed(c->op))
        return false;
    each_line(c, res.out, take_have);
    return true;
}

/* The pack of what is not there, in the controller's cache. */
static bool make_pack(struct carry *c)
{
    const char *args[HAVES_MAX + 6] = {"pack", git_repo_key(c->op, c->words->repo), c->words->repo,
                                       git_seconds_left(c->op), c->words->rev};
    memcpy(args + 5, c->haves, c->n_haves * sizeof *args);
    struct node_result res = {0};
    if (!target_read(c->op, &target_controller,
                     &(struct node_cmd){.script = script_resolve, .args = args, .quiet = true}, &res))
        return false;
    report_apply(c->op, &res);
    if (op_failed(c->op))
        return false;
    each_line(c, res.out, take_pack);
    if (c->pack == NULL)
        op_fail(c->op, E_PROTO, "no pack was made of %.12s: '%.200s'", c->words->rev, res.out);
    return !op_failed(c->op);
}

/* One piece, from `at`. Its key is this attempt's: what an earlier one recorded as done may have been removed. */
static bool send_piece(struct carry *c, const char *data, int64_t n, int64_t at)
{
    struct git_words take = node_words(c);
    struct arena *a = op_arena(c->op);
    take.act = "take";
    const char *args[] = {GIT_WORDS(take), c->pack, arena_printf(a, "%lld", (long long)at), NULL};
    struct node_cmd cmd = {.script = script_git,
                           .args = args,
                           .input = data,
                           .input_len = (size_t)n,
                           .runas = c->runas,
                           .step_key = arena_printf(a, "%.8s.%lld", c->nonce, (long long)(at / PIECE_BYTES)),
                           .quiet = true};
    return report_change(c->op, &cmd) == OUT_OK && !op_failed(c->op);
}

static bool read_piece(int fd, char *data, int64_t n, int64_t at)
{
    ssize_t got = 0;
    for (int64_t done = 0; done < n; done += got)
        if ((got = pread(fd, data + done, (size_t)(n - done), at + done)) <= 0)
            return false;
    return true;
}

static int64_t piece_at(const struct carry *c, int64_t at)
{
    return c->pack_bytes - at < PIECE_BYTES ? c->pack_bytes - at : PIECE_BYTES;
}

static bool send_pack(struct carry *c)
{
    int64_t at = c->part != NULL && strcmp(c->part, c->pack) == 0 ? c->part_bytes : 0, told = 0;
    if (at > c->pack_bytes)
        at = 0;
    if (at > 0)
        op_say(c->op, "%lld of %lld KiB are there from an earlier attempt", (long long)(at >> 10),
               (long long)(c->pack_bytes >> 10));
    auto_fd int fd = open(c->pack_path, O_RDONLY | O_CLOEXEC);
    auto_free char *data = xcalloc(1, (size_t)PIECE_BYTES);
    if (fd < 0)
        return op_fail(c->op, E_IO, "cannot read %s", c->pack_path), false;
    while (at < c->pack_bytes) {
        int64_t n = piece_at(c, at);
        if (!read_piece(fd, data, n, at))
            return op_fail(c->op, E_IO, "%s cannot be read to its end", c->pack_path), false;
        if (!send_piece(c, data, n, at))
            return false;
        at += n;
        if (at - told >= c->pack_bytes / 10 && at > PIECE_BYTES) {
            told = at;
            op_say(c->op, "%lld of %lld MiB are there", (long long)(at >> 20),
                   (long long)(c->pack_bytes >> 20));
        }
    }
    return true;
}

/* It did not arrive as it was announced. A file that was damaged on this disk would be refused by every node for as long as
 * it lies here: without its digest the next attempt makes it anew. */
static void drop_damaged(struct carry *c)
{
    char hex[SHA256_HEX_LEN + 1];
    auto_fd int fd = open(c->pack_path, O_RDONLY | O_CLOEXEC);
    auto_free char *data = xcalloc(1, (size_t)PIECE_BYTES);
    struct sha256 *sum = sha256_new();
    for (int64_t at = 0, n; at < c->pack_bytes && read_piece(fd, data, n = piece_at(c, at), at); at += n)
        sha256_add(sum, data, (size_t)n);
    sha256_end(sum, hex);
    if (strcmp(hex, c->pack) != 0)
        unlink(arena_printf(op_arena(c->op), "%s.sum", c->pack_path));
}

enum outcome git_carry(struct op *op, const struct git_words *words)
{
    struct carry c = {.op = op, .words = words, .runas = report_runas(op, "user")};
    nonce_make(c.nonce);
    if (!ask_node(&c) || (!c.whole && (!make_pack(&c) || !send_pack(&c))))
        return op_end(op);
    struct git_words fetch = node_words(&c);
    const char *args[] = {GIT_WORDS(fetch), c.pack ? c.pack : "", NULL};
    enum outcome end =
        report_change(op, &(struct node_cmd){.script = script_git, .args = args, .runas = c.runas});
    if (c.pack && end == OUT_FAILED && op_err(op)->code == E_PROTO)
        drop_damaged(&c);
    return end;
}
