/* SPDX-License-Identifier: MIT */
/* Stamp and signature of a request: headers of any bytes never pass but with the right signature. */
#include "fuzz.h"

#include "chat/signatures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    unsigned forge = fuzz_byte(data, &n);
    char *stamp = fuzz_part(&data, &n, '\n'), *signature = fuzz_part(&data, &n, '\n');
    char right[SIGN_TEXT_LEN + 1];
    slack_sign("secret", stamp, data, n, right);
    enum sign_result got = slack_check("secret", stamp, signature, data, n, 1531420618);
    must(got != SIGN_OK || strcmp(signature, right) == 0);
    /* With the right one, the stamp alone decides. */
    got = slack_check("secret", stamp, right, data, n, 1531420618);
    must(got == SIGN_OK || got == SIGN_MALFORMED || got == SIGN_OLD || got == SIGN_FUTURE);
    right[3 + forge % 64] ^= 1;
    must(slack_check("secret", stamp, right, data, n, 1531420618) != SIGN_OK);
    free(stamp);
    free(signature);
    return 0;
}
