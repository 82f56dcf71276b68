/* SPDX-License-Identifier: MIT */
/* Is this the host that known_hosts knows? What is asked of the handshake for that, and the answer. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"

static void bad_lines_say(struct op *op, const struct known_hosts *known)
{
    if (known->n_bad)
        op_say(op, "%s: %s, line skipped%s", known->bad_where, known->bad_why,
               known->n_bad > 1 ? " (and others in the same files)" : "");
}

static void host_key_message(const struct ssh_settings *set, enum known verdict, const char *name,
                             const char *print, const struct known_key *key, struct err *err)
{
    const char *file = set->known_hosts[0] ? set->known_hosts[0] : "known_hosts";
    switch (verdict) {
    case KNOWN_MATCH: break;
    case KNOWN_MISSING:
        err_set(err, E_HOSTKEY,
                "%s: host key missing: %s shows %s, and no line of %s names %s. Compare it with "
                "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host itself, then add the host's "
                "key there%s%s%s",
                set->name, set->host, print, file, name, set->other_trust ? "; " : "",
                set->other_trust ? set->other_trust : "",
                set->other_trust ? " of the ssh configuration counts with `transport: openssh` only" : "");
        break;
    case KNOWN_CHANGED:
        err_set(err, E_HOSTKEY,
                "%s: host key changed: %s shows %s, and %s:%d knows another key for %s. Somebody may be in "
                "between. If the host was set up anew, replace that line",
                set->name, set->host, print, key->file, key->line, name);
        break;
    case KNOWN_REVOKED:
        err_set(err, E_HOSTKEY,
                "%s: host key revoked: %s shows %s, which %s:%d revokes. Do not connect; give the "
                "host a new key",
                set->name, set->host, print, key->file, key->line);
        break;
    case KNOWN_AUTHORITY:
        err_set(err, E_HOSTKEY,
                "%s: %s is known only by @cert-authority (%s:%d), which the ssh transport cannot "
                "check; set `ssh: {transport: openssh}` in the pillar, or add the host's own key (%s)",
                set->name, name, key->file, key->line, print);
        break;
    case KNOWN_BAD:
        err_set(err, E_HOSTKEY,
                "%s: %s:%d: the known key of %s is damaged; the host shows %s. Correct that line", set->name,
                key->file, key->line, name, print);
        break;
    }
}

/* CheckHostIP: another key known for the address, or a revoked one, stops as it does for the name. */
static enum link_end address_check(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                                   struct err *err)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    char address[INET6_ADDRSTRLEN];
    struct ssh_settings by_address = *set;
    struct known_hosts known;
    const struct known_key *key = NULL;
    size_t n_blob = 0;
    int type = 0;
    if (!set->check_ip || set->alias || s->outer || s->proxy ||
        getpeername(s->fd, (struct sockaddr *)&peer, &len) < 0 ||
        getnameinfo((struct sockaddr *)&peer, len, address, sizeof(address), NULL, 0, NI_NUMERICHOST) != 0)
        return LINK_OK;
    by_address.host = address;
    const char *blob = libssh2_session_hostkey(s->ssh, &n_blob, &type),
               *name = known_hosts_name(&by_address, op_arena(op));
    known_hosts_load(set->known_hosts, name, op_arena(op), &known);
    enum known verdict = known_hosts_check(&known, (const unsigned char *)blob, n_blob, &key);
    if (verdict != KNOWN_CHANGED && verdict != KNOWN_REVOKED && verdict != KNOWN_BAD)
        return LINK_OK;
    host_key_message(set, verdict, name, key_fingerprint((const unsigned char *)blob, n_blob, op_arena(op)),
                     key, err);
    return LINK_REFUSED;
}

/* What a line of known_hosts would be, for who may add one (`release prepare`): nobody else does. */
static void missing_tell(struct op *op, const struct ssh_settings *set, const char *name,
                         const unsigned char *blob, size_t len)
{
    struct arena *arena = op_arena(op);
    size_t n_type =
        len > 4 ? (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3] : 0;
    unsigned char *text = arena_alloc(arena, 4 * (len / 3 + 1) + 1);
    if (n_type == 0 || n_type > len - 4 || !set->known_hosts[0])
        return;
    EVP_EncodeBlock(text, blob, (int)len);
    op_fact(op, arena_printf(arena, HOST_KEY_FACT "%s", name), "%s %.*s %s %s",
            key_fingerprint(blob, len, arena), (int)n_type, (const char *)blob + 4, (const char *)text,
            set->known_hosts[0]);
}

enum link_end host_key_check(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                             const struct known_hosts *known, struct err *err)
{
    const char *name = known_hosts_name(set, op_arena(op));
    size_t len = 0;
    int type = 0;
    const char *blob = libssh2_session_hostkey(s->ssh, &len, &type);
    const struct known_key *key = NULL;
    if (!blob || len == 0) {
        err_set(err, E_HOSTKEY, "%s: %s showed no host key", set->name, set->host);
        return LINK_REFUSED;
    }
    enum known verdict = known_hosts_check(known, (const unsigned char *)blob, len, &key);
    if (verdict == KNOWN_MATCH)
        return address_check(op, s, set, err);
    if (verdict == KNOWN_MISSING)
        missing_tell(op, set, name, (const unsigned char *)blob, len);
    host_key_message(set, verdict, name, key_fingerprint((const unsigned char *)blob, len, op_arena(op)), key,
                     err);
    return LINK_REFUSED;
}

/* The types known for the host that ssh's configuration lets pass; the arena's. NULL = none. */
static const char *types_wanted(const char *known, const char *wanted, struct arena *arena)
{
    auto_buf struct buf types = BUF_INIT(256);
    char *rest = NULL, *list = known ? arena_strdup(arena, known) : NULL;
    for (char *type = list ? strtok_r(list, ",", &rest) : NULL; type; type = strtok_r(NULL, ",", &rest))
        if (!wanted || ssh_listed(wanted, type))
            buf_printf(&types, "%s%s", types.len ? "," : "", type);
    return types.len ? arena_strdup(arena, buf_str(&types)) : NULL;
}

/* A host known only by keys that libssh2 cannot verify would come out as changed: say what it is instead. */
static bool host_key_unable(const struct ssh_settings *set, const struct known_hosts *known,
                            const char *types, const char *wanted, struct err *err)
{
    for (const struct known_key *key = known->keys; key && !wanted; key = key->next)
        if (!key->bad && !key->revoked && !key->authority) {
            if (types)
                err_set(
                    err, E_HOSTKEY,
                    "%s: HostKeyAlgorithms of the ssh configuration takes none of the keys that %s:%d knows "
                    "for %s (%s)",
                    set->name, key->file, key->line, set->host, types);
            else
                err_set(
                    err, E_HOSTKEY,
                    "%s: %s:%d knows only a key of type %s, which the ssh transport cannot check; add the "
                    "host's ed25519 key, or set `ssh: {transport: openssh}` in the pillar",
                    set->name, key->file, key->line, key->type);
            return true;
        }
    return false;
}

/* Of the list, what libssh2 can do: given one that it cannot, libssh2 1.10 copies over its own feet. NULL =
 * none. */
static const char *methods_able(struct ssh_session *s, int method, const char *list, struct arena *arena)
{
    auto_buf struct buf able = BUF_INIT(4096);
    const char **can = NULL;
    int n = libssh2_session_supported_algs(s->ssh, method, &can);
    char *rest = NULL, *words = arena_strdup(arena, list);
    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        for (int i = 0; i < n; i++)
            if (strcmp(can[i], word) == 0)
                buf_printf(&able, "%s%s", able.len ? "," : "", word);
    if (n > 0)
        libssh2_free(s->ssh, can);
    return able.len ? arena_strdup(arena, buf_str(&able)) : NULL;
}

/* Ciphers, MACs, KexAlgorithms: of the lists, what libssh2 can do. False: nothing of one. */
static bool methods_set(struct ssh_session *s, const struct ssh_settings *set, struct arena *arena,
                        struct err *err)
{
    const struct {
        const char *name, *list;
        int methods[2];
    } rows[] = {
        {"Ciphers", set->ciphers, {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC}},
        {"MACs", set->macs, {LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC}},
        {"KexAlgorithms", set->kex, {LIBSSH2_METHOD_KEX, LIBSSH2_METHOD_KEX}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t m = 0; m < 2 && rows[i].list; m++) {
            const char *able = methods_able(s, rows[i].methods[m], rows[i].list, arena);
            if (!able || libssh2_session_method_pref(s->ssh, rows[i].methods[m], able) != 0)
                return err_set(
                    err, E_CONFIG,
                    "%s: the ssh transport can do none of the ssh configuration's %s for %s (%.200s); "
                    "set `ssh: {transport: openssh}` in the pillar",
                    set->name, rows[i].name, set->asked, rows[i].list);
        }
    return true;
}

bool host_key_prepare(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                      struct known_hosts *ret, struct err *err)
{
    struct arena *arena = op_arena(op);
    known_hosts_load(set->known_hosts, known_hosts_name(set, arena), arena, ret);
    bad_lines_say(op, ret);
    const char *types = known_hosts_types(ret, arena),
               *wanted = types_wanted(types, set->host_algorithms, arena);
    if (host_key_unable(set, ret, types, wanted, err) || !methods_set(s, set, arena, err))
        return false;
    /* Else libssh2 picks ecdsa first, and a good host known by ed25519 looks like a changed one. */
    if (wanted)
        libssh2_session_method_pref(s->ssh, LIBSSH2_METHOD_HOSTKEY, wanted);
    return true;
}
