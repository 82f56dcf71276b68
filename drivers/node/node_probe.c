/* SPDX-License-Identifier: MIT */
/* node_probe: can a node be used at all, and in every way that a step will use it? */
#include "drivers/node/node_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

#define PROBE_INPUT_BYTES 5000

static const char probe_text[] =
    "{ read -r h </proc/sys/kernel/hostname && read -r m </etc/machine-id; } 2>/dev/null\n"
    "echo \"identity $h:$m\"\n"
    "echo \"home $HOME\"\n"
    "echo \"uname $(uname -srm)\"\n"
    "f=0\n"
    "{ read -r f o by <\"$1/fence\"; } 2>/dev/null\n"
    "case $o in j:*) ;; *) [ -z \"$4\" ] || { read -r x o by <\"$4/fence\"; } 2>/dev/null\n"
    "    case $o in j:*) f=$x ;; esac ;; esac\n"
    "echo \"fence ${f:-0}\"\n"
    "case $o in j:*) echo \"owner $o\"; echo \"holder $by\" ;; esac\n"
    "d=$2\n"
    "if [ -d \"$d\" ]; then p=$(cd -P -- \"$d\" 2>/dev/null && pwd -P) || p=$d; else p=$d; fi\n"
    "[ -z \"$d\" ] || { read -r b </proc/sys/kernel/random/boot_id && echo \"place $b $p\"; }\n"
    "while [ -n \"$d\" ] && ! [ -d \"$d\" ]; do n=${d%/*}; [ \"$n\" = \"$d\" ] && n=; d=$n; done\n"
    "df -Pk \"${d:-/}\" 2>/dev/null | { read -r x; read -r a b c e rest; echo \"free_kib ${e:-0}\"; }\n"
    "for p in flock setsid head tail mkdir mv sleep id; do command -v $p >/dev/null || echo \"missing $p\"; "
    "done\n"
    "as='sudo -n -u'\n"
    "[ \"$(id -u)\" = 0 ] && as='runuser -u'\n"
    "for u in $3; do\n"
    "    [ \"$(id -un)\" != \"$u\" ] || continue\n"
    "    id -u \"$u\" >/dev/null 2>&1 || { echo \"nouser $u\"; continue; }\n"
    "    w=$($as \"$u\" -- sh -c : 2>&1 </dev/null) ||\n"
    "        echo \"noas $as $u: $(echo \"${w:-no word}\" | tr '\\n' ' ')\"\n"
    "done\n"
    "case $1 in /*) d=$1 ;; *) d=$HOME/$1 ;; esac\n"
    "while ! [ -d \"$d\" ]; do d=${d%/*}; d=${d:-/}; done\n"
    "[ -w \"$d\" ] || echo \"readonly $d\"\n";

static const char *probe_word(struct op *op, const char *out, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = out; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && p[n] == ' ')
            return arena_strndup(op_arena(op), p + n + 1, strcspn(p + n + 1, "\n"));
    return NULL;
}

/* The users as whom a step could not run, each in its own words. */
static const char *probe_users(struct op *op, const char *out)
{
    auto_buf struct buf no = BUF_INIT(4096);
    for (const char *p = out; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (str_starts(p, "nouser ") || str_starts(p, "noas ")) {
            bool there = str_starts(p, "noas ");
            const char *word = strchr(p, ' ') + 1;
            buf_printf(&no, "%s%s%.*s%s", no.len ? "; " : "", there ? "" : "there is no user '",
                       (int)strcspn(word, "\n"), word, there ? "" : "'");
        }
    return no.len ? arena_strdup(op_arena(op), buf_str(&no)) : NULL;
}

static enum outcome probe_judge(struct op *op, const struct target *t, const char *out)
{
    const char *word;
    static const char *const facts[] = {"identity", "home", "uname", "fence", "owner", "holder", "place"};
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        if ((word = probe_word(op, out, facts[i])))
            op_fact(op, facts[i], "%s", word);
    if ((word = probe_word(op, out, "free_kib")))
        op_fact(op, "free_bytes", "%lld", strtoll(word, NULL, 10) * 1024);
    if ((word = probe_word(op, out, "missing")))
        return op_refused(op, E_NOTFOUND,
                          "%s: the program '%s' is not installed there, and the runner needs it", t->id,
                          word);
    if ((word = probe_users(op, out)))
        return op_refused(op, E_AUTH,
                          "%s: steps cannot run as the user they should (runas): %s. sudoers must let "
                          "`sh` be run without a password and without a terminal; or log in as that user",
                          t->id, word);
    if ((word = probe_word(op, out, "readonly")))
        return op_refused(op, E_IO, "%s: cannot write to %s, where the runner keeps its files", t->id, word);
    word = probe_word(op, out, "identity");
    if (t->identity && word && strcmp(word, t->identity) != 0)
        return op_refused(op, E_IDENTITY,
                          "%s is %s, and was %s when the plan was made; is the address right?", t->id, word,
                          t->identity);
    return op_end(op);
}

/* A step's input, and the runner itself, go over a channel of their own, as the server and the login shell
 * let them. */
static enum outcome probe_input(struct op *op, const struct target *t)
{
    static const char input[PROBE_INPUT_BYTES]; /* zeroes: no text */
    struct node_cmd cmd = {.script = "wc -c", .input = input, .input_len = sizeof(input), .quiet = true};
    struct node_result result;
    if (!node_read(op, &cmd, &result))
        return op_end(op);
    if (atoi(result.out) != PROBE_INPUT_BYTES)
        return op_fail(
            op, E_PROTO,
            "%s: of %d bytes of input, a step there would get '%.100s'; what does the login shell do?", t->id,
            PROBE_INPUT_BYTES, result.out);
    return op_end(op);
}

/* "a b": a word each for the node's shell. NULL: one is no name, and the op has failed. */
static const char *probe_names(struct op *op, const char *const *users)
{
    auto_buf struct buf names = BUF_INIT(SIZE_MAX);
    for (; users && *users; users++) {
        if (**users == '\0')
            continue;
        if (!name_valid(*users, 64))
            return op_refused(op, E_CONFIG, "runas: '%s' is not a user name", *users), NULL;
        buf_printf(&names, "%s%s", names.len ? " " : "", *users);
    }
    return arena_strdup(op_arena(op), buf_str(&names));
}

enum outcome node_probe(struct op *op, const char *dir, const char *const *users)
{
    const char *names = node_needed(op) ? probe_names(op, users) : NULL;
    if (!names)
        return op_end(op);
    const struct target *t = op->spec.target;
    const char *args[] = {target_state_dir(t), dir ? dir : "", names, node_place_before(op), NULL};
    struct node_cmd cmd = {.script = probe_text, .args = args, .quiet = true};
    struct node_result result;
    if (!node_read(op, &cmd, &result))
        return op_end(op);
    if (!probe_word(op, result.out, "identity"))
        return op_fail(op, E_PROTO, "%s: the login shell answered something else: '%.100s'", t->id,
                       result.out);
    if (probe_judge(op, t, result.out) != OUT_OK)
        return op_end(op);
    return probe_input(op, t);
}
