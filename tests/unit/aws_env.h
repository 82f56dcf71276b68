/* SPDX-License-Identifier: MIT */
/* What AWS's tools read of the environment, out of a test's way. */
#ifndef RELEASE_TESTS_AWS_ENV_H
#define RELEASE_TESTS_AWS_ENV_H

#include <stdlib.h>

static inline void aws_env_forget(void)
{
    static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
                                            "AWS_SECRET_ACCESS_KEY",
                                            "AWS_SESSION_TOKEN",
                                            "AWS_PROFILE",
                                            "AWS_DEFAULT_PROFILE",
                                            "AWS_ROLE_ARN",
                                            "AWS_WEB_IDENTITY_TOKEN_FILE",
                                            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                            "AWS_EC2_METADATA_DISABLED",
                                            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                            "AWS_CONFIG_FILE",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                            "AWS_ENDPOINT_URL",
                                            "AWS_SHARED_CREDENTIALS_FILE",
                                            "AWS_CA_BUNDLE",
                                            "AWS_EC2_METADATA_SERVICE_ENDPOINT"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

#endif
