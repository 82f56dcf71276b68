/* SPDX-License-Identifier: MIT */
/* When may one answer of `ssh -G` serve every host? Only when the configuration plainly makes no difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/transport/ssh/ssh_priv.h"

static void the_shape_of_a_configuration_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool uniform;
    } rows[] = {
        {"", true},
        {"# Host web1\n\nHost *\n  User deploy\n  IdentityFile ~/.ssh/id_ed25519\n", true},
        {"User=deploy\nPort 2222\n", true},
        {"Host web1\n  Port 2222\n", false},
        {"host * !web1\n", false},
        {"Match host web1\n  User x\n", false},
        {"Host *\n  HostName %h.example.org\n", false},
        {"IdentityFile ~/.ssh/%h\n", false},
        {"CanonicalizeHostname yes\n", false},
        {"Include conf.d/*\n", false},
        {"Include /nowhere/at/all/*.conf\n", true},
    };
    char path[] = "/tmp/test-ssh-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(rows[i].text, f) >= 0);
        fclose(f);
        if (ssh_config_uniform(path, "/nowhere") != rows[i].uniform)
            fail_msg("'%s': wanted %d", rows[i].text, rows[i].uniform);
    }
    /* A file that includes itself ends. */
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "Include %s\n", path);
    fclose(f);
    assert_false(ssh_config_uniform(path, "/nowhere"));
    unlink(path);
    assert_true(ssh_config_uniform(path, "/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_shape_of_a_configuration_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
