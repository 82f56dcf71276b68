/* SPDX-License-Identifier: MIT */
/* What `ssh -G` prints. */
#include "drivers/transport/ssh/ssh_priv.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    char *text = fuzz_text(data, n);
    struct ssh_settings *s = calloc(1, sizeof(*s));
    must(s != NULL);
    ssh_settings_parse(s, text);
    must(s->known_hosts[SSH_FILES_MAX] == NULL && s->keys[SSH_FILES_MAX] == NULL);
    must(s->port >= 0 && s->port <= 65535);
    struct err err = {0};
    s->asked = "web1";
    for (size_t i = 0; s->keys[i]; i++)
        must(ssh_path_expand(&arena, s, s->keys[i], &err) || err.text[0]);
    if (s->proxy_command)
        must(ssh_command_expand(&arena, s, s->proxy_command, &err) || err.text[0]);
    if (s->host)
        must(known_hosts_name(s, &arena) != NULL);
    ssh_settings_free(s);
    free(text);
    return 0;
}
