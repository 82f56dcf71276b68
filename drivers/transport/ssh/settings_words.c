/* SPDX-License-Identifier: MIT */
/* Every setting that `ssh -G` prints, and what becomes of it here: done as ssh does it, of no consequence, or
 * refused by its name. docs/transports.md has the same table for people; tests/unit/test_ssh_config.c holds
 * both to what ssh prints. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

typedef void (*take_fn)(struct ssh_settings *s, char *value);

static int port_of(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return end > text && *end == '\0' && port > 0 && port <= 65535 ? (int)port : 0;
}

static bool is_no(const char *value)
{
    return strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "none") == 0;
}

static const char *unless_none(struct ssh_settings *s, const char *value)
{
    return strcmp(value, "none") == 0 ? NULL : arena_strdup(&s->arena, value);
}

static void take_host(struct ssh_settings *s, char *value)
{
    s->host = arena_strdup(&s->arena, value);
}

static void take_user(struct ssh_settings *s, char *value)
{
    s->user = arena_strdup(&s->arena, value);
}

static void take_port(struct ssh_settings *s, char *value)
{
    s->port = port_of(value);
}

static void take_alias(struct ssh_settings *s, char *value)
{
    s->alias = arena_strdup(&s->arena, value);
}

static void take_identity(struct ssh_settings *s, char *value)
{
    size_t n = 0;
    while (s->keys[n])
        n++;
    if (n < SSH_FILES_MAX && strcmp(value, "none") != 0)
        s->keys[n] = arena_strdup(&s->arena, value);
}

static void take_identities_only(struct ssh_settings *s, char *value)
{
    s->identities_only = !is_no(value);
}

/* ssh prints the path expanded, but for one that is a variable as a whole. */
static void take_agent(struct ssh_settings *s, char *value)
{
    if (strcmp(value, "SSH_AUTH_SOCK") == 0)
        return;
    const char *path = value[0] == '$' ? getenv(value + 1) : unless_none(s, value);
    s->agent = path && *path ? ssh_tilde(&s->arena, path) : NULL;
}

static void take_user_known(struct ssh_settings *s, char *value)
{
    if (!ssh_files_split(s, s->known_hosts, value))
        s->unclear = "UserKnownHostsFile";
}

static void take_global_known(struct ssh_settings *s, char *value)
{
    if (!ssh_files_split(s, s->global_known, value))
        s->unclear = "GlobalKnownHostsFile";
}

static void take_jump(struct ssh_settings *s, char *value)
{
    s->proxy_jump = unless_none(s, value);
}

static void take_command(struct ssh_settings *s, char *value)
{
    s->proxy_command = unless_none(s, value);
}

static void take_family(struct ssh_settings *s, char *value)
{
    s->family = strcmp(value, "inet") == 0 ? 4 : strcmp(value, "inet6") == 0 ? 6 : 0;
}

static void take_timeout(struct ssh_settings *s, char *value)
{
    long seconds = strtol(value, NULL, 10);
    s->connect_ms = seconds > 0 && seconds < 86400 ? seconds * 1000 : 0;
}

static void take_check_ip(struct ssh_settings *s, char *value)
{
    s->check_ip = !is_no(value);
}

static void take_ciphers(struct ssh_settings *s, char *value)
{
    s->ciphers = arena_strdup(&s->arena, value);
}

static void take_macs(struct ssh_settings *s, char *value)
{
    s->macs = arena_strdup(&s->arena, value);
}

static void take_kex(struct ssh_settings *s, char *value)
{
    s->kex = arena_strdup(&s->arena, value);
}

static void take_host_algorithms(struct ssh_settings *s, char *value)
{
    s->host_algorithms = arena_strdup(&s->arena, value);
}

static void take_user_algorithms(struct ssh_settings *s, char *value)
{
    s->user_algorithms = arena_strdup(&s->arena, value);
}

static void take_preferred(struct ssh_settings *s, char *value)
{
    if (!ssh_listed(value, "publickey"))
        s->keyless = "PreferredAuthentications without publickey";
}

static void take_pubkey(struct ssh_settings *s, char *value)
{
    if (is_no(value))
        s->keyless = "PubkeyAuthentication no";
}

static void take_fdpass(struct ssh_settings *s, char *value)
{
    s->fdpass = !is_no(value);
}

static void note(struct ssh_settings *s, const char **list, const char *shown, const char *value)
{
    *list = arena_printf(&s->arena, "%s%s%s %s", *list ? *list : "", *list ? ", " : "", shown, value);
}

/* What becomes of a setting. */
enum fate {
    DONE,    /* take() follows it, or ssh did when it answered */
    REFUSED, /* unless it says no or none: this transport would connect in another way, or trust another key
              */
    LOGIN,   /* another way to log in: named when the login is refused */
    TRUST,   /* another way to trust: named when no line knows the host */
    NOTHING, /* nothing that a release does depends on it */
};
struct setting {
    const char *name; /* as ssh -G prints it */
    enum fate fate;
    take_fn take;
    const char *shown; /* REFUSED, LOGIN, TRUST: as people write it */
};

static const struct setting table[] = {
    {"host", DONE, NULL, NULL},
    {"hostname", DONE, take_host, NULL},
    {"user", DONE, take_user, NULL},
    {"port", DONE, take_port, NULL},
    {"addressfamily", DONE, take_family, NULL},
    {"connecttimeout", DONE, take_timeout, NULL},
    {"hostkeyalias", DONE, take_alias, NULL},
    {"userknownhostsfile", DONE, take_user_known, NULL},
    {"globalknownhostsfile", DONE, take_global_known, NULL},
    {"checkhostip", DONE, take_check_ip, NULL},
    {"identityfile", DONE, take_identity, NULL},
    {"identitiesonly", DONE, take_identities_only, NULL},
    {"identityagent", DONE, take_agent, NULL},
    {"proxyjump", DONE, take_jump, NULL},
    {"proxycommand", DONE, take_command, NULL},
    {"proxyusefdpass", DONE, take_fdpass, NULL}, /* refused with a ProxyCommand */
    {"ciphers", DONE, take_ciphers, NULL},
    {"macs", DONE, take_macs, NULL},
    {"kexalgorithms", DONE, take_kex, NULL},
    {"hostkeyalgorithms", DONE, take_host_algorithms, NULL},
    {"pubkeyacceptedalgorithms", DONE, take_user_algorithms, NULL},
    {"pubkeyacceptedkeytypes", DONE, take_user_algorithms, NULL}, /* its older name */
    {"pubkeyauthentication", DONE, take_pubkey, NULL},
    {"preferredauthentications", DONE, take_preferred, NULL},
    {"canonicalizehostname", DONE, NULL, NULL},
    {"canonicalizefallbacklocal", DONE, NULL, NULL},
    {"canonicalizemaxdots", DONE, NULL, NULL},
    {"canonicaldomains", DONE, NULL, NULL},
    {"canonicalizepermittedcnames", DONE, NULL, NULL},
    {"tag", DONE, NULL, NULL},

    {"bindaddress", REFUSED, NULL, "BindAddress"},
    {"bindinterface", REFUSED, NULL, "BindInterface"},
    {"knownhostscommand", REFUSED, NULL, "KnownHostsCommand"},
    {"revokedhostkeys", REFUSED, NULL, "RevokedHostKeys"},

    {"certificatefile", LOGIN, NULL, "CertificateFile"},
    {"pkcs11provider", LOGIN, NULL, "PKCS11Provider"},
    {"hostbasedauthentication", LOGIN, NULL, "HostbasedAuthentication"},
    {"verifyhostkeydns", TRUST, NULL, "VerifyHostKeyDNS"},
    {"nohostauthenticationforlocalhost", TRUST, NULL, "NoHostAuthenticationForLocalhost"},

    {"stricthostkeychecking", NOTHING, NULL, NULL}, /* always strict */
    {"batchmode", NOTHING, NULL, NULL},             /* always: nothing is asked */
    {"numberofpasswordprompts", NOTHING, NULL, NULL},
    {"passwordauthentication", NOTHING, NULL, NULL}, /* keys only */
    {"kbdinteractiveauthentication", NOTHING, NULL, NULL},
    {"challengeresponseauthentication", NOTHING, NULL, NULL},
    {"gssapiauthentication", NOTHING, NULL, NULL},
    {"gssapikeyexchange", NOTHING, NULL, NULL},
    {"gssapidelegatecredentials", NOTHING, NULL, NULL},
    {"gssapitrustdns", NOTHING, NULL, NULL},
    {"gssapirenewalforcesrekey", NOTHING, NULL, NULL},
    {"gssapikexalgorithms", NOTHING, NULL, NULL},
    {"gssapiserveridentity", NOTHING, NULL, NULL},
    {"gssapiclientidentity", NOTHING, NULL, NULL},
    {"hostbasedacceptedalgorithms", NOTHING, NULL, NULL},
    {"hostbasedkeytypes", NOTHING, NULL, NULL},
    {"enablesshkeysign", NOTHING, NULL, NULL},
    {"casignaturealgorithms", NOTHING, NULL, NULL}, /* no certificates */
    {"securitykeyprovider", NOTHING, NULL, NULL},   /* no FIDO keys */
    {"requiredrsasize", NOTHING, NULL, NULL},       /* no RSA keys */
    {"addkeystoagent", NOTHING, NULL, NULL},        /* nothing of the user's is changed */
    {"updatehostkeys", NOTHING, NULL, NULL},
    {"hashknownhosts", NOTHING, NULL, NULL},
    {"connectionattempts", NOTHING, NULL, NULL}, /* the engine tries again by rules of its own */
    {"serveraliveinterval", NOTHING, NULL, NULL},
    {"serveralivecountmax", NOTHING, NULL, NULL},
    {"tcpkeepalive", NOTHING, NULL, NULL},
    {"compression", NOTHING, NULL, NULL},
    {"rekeylimit", NOTHING, NULL, NULL},
    {"ipqos", NOTHING, NULL, NULL},
    {"channeltimeout", NOTHING, NULL, NULL},
    {"controlmaster", NOTHING, NULL, NULL}, /* connections of our own */
    {"controlpath", NOTHING, NULL, NULL},
    {"controlpersist", NOTHING, NULL, NULL},
    {"sendenv", NOTHING, NULL, NULL}, /* a step's environment is the plan's */
    {"setenv", NOTHING, NULL, NULL},
    {"requesttty", NOTHING, NULL, NULL}, /* a person's sessions */
    {"remotecommand", NOTHING, NULL, NULL},
    {"localcommand", NOTHING, NULL, NULL},
    {"permitlocalcommand", NOTHING, NULL, NULL},
    {"sessiontype", NOTHING, NULL, NULL},
    {"stdinnull", NOTHING, NULL, NULL},
    {"forkafterauthentication", NOTHING, NULL, NULL},
    {"escapechar", NOTHING, NULL, NULL},
    {"enableescapecommandline", NOTHING, NULL, NULL},
    {"obscurekeystroketiming", NOTHING, NULL, NULL},
    {"forwardagent", NOTHING, NULL, NULL}, /* nothing is ever forwarded */
    {"forwardx11", NOTHING, NULL, NULL},
    {"forwardx11trusted", NOTHING, NULL, NULL},
    {"forwardx11timeout", NOTHING, NULL, NULL},
    {"xauthlocation", NOTHING, NULL, NULL},
    {"localforward", NOTHING, NULL, NULL},
    {"remoteforward", NOTHING, NULL, NULL},
    {"dynamicforward", NOTHING, NULL, NULL},
    {"permitremoteopen", NOTHING, NULL, NULL},
    {"gatewayports", NOTHING, NULL, NULL},
    {"clearallforwardings", NOTHING, NULL, NULL},
    {"exitonforwardfailure", NOTHING, NULL, NULL},
    {"streamlocalbindmask", NOTHING, NULL, NULL},
    {"streamlocalbindunlink", NOTHING, NULL, NULL},
    {"tunnel", NOTHING, NULL, NULL},
    {"tunneldevice", NOTHING, NULL, NULL},
    {"loglevel", NOTHING, NULL, NULL}, /* words for people */
    {"logverbose", NOTHING, NULL, NULL},
    {"syslogfacility", NOTHING, NULL, NULL},
    {"fingerprinthash", NOTHING, NULL, NULL},
    {"visualhostkey", NOTHING, NULL, NULL},
    {"ignoreunknown", NOTHING, NULL, NULL},
};

bool ssh_setting_known(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcasecmp(table[i].name, name) == 0)
            return true;
    return false;
}

bool ssh_listed(const char *list, const char *word)
{
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        if (n == strlen(word) && memcmp(p, word, n) == 0)
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static void setting_take(struct ssh_settings *s, const char *name, char *value)
{
    const struct setting *found = NULL;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && !found; i++)
        if (strcasecmp(table[i].name, name) == 0)
            found = &table[i];
    if (!found)
        return;
    if (found->take)
        found->take(s, value);
    if (is_no(value))
        return;
    if (found->fate == REFUSED)
        s->refused = found->shown;
    else if (found->fate == LOGIN)
        note(s, &s->other_logins, found->shown, value);
    else if (found->fate == TRUST)
        note(s, &s->other_trust, found->shown, value);
}

void ssh_settings_parse(struct ssh_settings *s, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (!space)
            continue;
        *space = '\0';
        setting_take(s, line, space + 1);
    }
}
