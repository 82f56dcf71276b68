/* SPDX-License-Identifier: MIT */
/* For tests of AWS's verbs: a small server (tests/lib/aws_answers.py) that answers as each test says, and credentials of its own. Each
 * test program includes it once. */
#ifndef RELEASE_TESTS_AWS_RIG_H
#define RELEASE_TESTS_AWS_RIG_H

#include "unit/lb_rig.h"

#include <jansson.h>

#include "base/auto.h"
#include "unit/aws_env.h"

static pid_t stand_in;
static int port;
static char endpoint[64];
static json_t *rules;
static char *asked; /* since the rules were said */

/* ---- what is answered, what was asked -------------------------------------- */

RIG_UNUSED static void rule(const char *when, int status, const char *body)
{
    json_array_append_new(rules, json_pack("{s:s, s:i, s:s}", "when", when, "status", status, "body", body));
}

RIG_UNUSED static void rule_times(const char *when, const char *body, int times)
{
    json_array_append_new(
        rules, json_pack("{s:s, s:i, s:s, s:i}", "when", when, "status", 200, "body", body, "times", times));
}

RIG_UNUSED static void order(void)
{
    json_t *all = json_pack("{s:o}", "rules", rules);
    auto_free char *text = json_dumps(all, 0);
    auto_buf struct buf b = BUF_INIT(1 << 20);
    buf_printf(&b, "POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
    free(asked);
    asked = xstrdup(rig_talk(port, buf_str(&b)));
    json_decref(all);
    rules = json_array();
}

/* What was asked since the last order. */
RIG_UNUSED static const char *was_asked(void)
{
    order();
    return asked;
}

RIG_UNUSED static size_t times_asked(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

RIG_UNUSED static void put_file(const char *name, const char *text)
{
    auto_buf struct buf path = BUF_INIT(200);
    buf_printf(&path, "%s/.aws/%s", rig_dir, name);
    FILE *f = fopen(buf_str(&path), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

RIG_UNUSED static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    rig_deadline_ms = 8000;
    aws_env_forget();
    put_file("credentials", "[shop]\naws_access_key_id = AKS\naws_secret_access_key = ss\n");
    put_file("config", "[profile deploy]\nrole_arn = arn:aws:iam::1:role/deploy\nsource_profile = shop\n"
                       "external_id = x9\n[profile bare]\nregion = x\n");
    order();
    return 0;
}

RIG_UNUSED static int group_setup(void **state)
{
    static char program[300], number[8];
    (void)state;
    rig_open();
    rules = json_array();
    port = port_pick();
    snprintf(program, sizeof program, "%s/tests/lib/aws_answers.py", SOURCE_DIR);
    snprintf(number, sizeof number, "%d", port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    const char *const argv[] = {"/usr/bin/python3", "-B", program, "127.0.0.1", number, NULL};
    stand_in = rig_spawn(argv);
    setenv("HOME", rig_dir, 1);
    assert_int_equal(mkdir(rig_path(".aws"), 0700), 0);
    rig_until(rig_port_open(port));
    return 0;
}

RIG_UNUSED static int group_teardown(void **state)
{
    (void)state;
    rig_forget();
    rig_stop(&stand_in, SIGTERM);
    rig_close();
    json_decref(rules);
    free(asked);
    return 0;
}

#endif
