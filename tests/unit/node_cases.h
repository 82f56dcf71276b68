/* SPDX-License-Identifier: MIT */
/* One table of tests for every transport: what drivers/node/node.h promises, on a real shell with the real runner.
 */
#ifndef RELEASE_TESTS_NODE_CASES_H
#define RELEASE_TESTS_NODE_CASES_H

#include "unit/node_rig.h"

/* ---- reading
 * ------------------------------------------------------------------------------------------------------ */

static void read_gives_both_streams_and_the_status(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "echo out $1; echo err >&2; exit 3", .args = ARGS("x")}};
    ask_ok(&a);
    assert_int_equal(a.status, 3);
    assert_int_equal(a.signal, 0);
    assert_string_equal(a.out, "out x\n");
    assert_string_equal(a.errs, "err\n");
    assert_string_equal(buf_str(&a.log.text[1]), "out x\n");
    ask_free(&a);
}

static void read_keeps_output_without_a_last_newline(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "printf 'a\\n\\nb'; printf '\\n\\nc\\n\\n' >&2", .quiet = true}};
    ask_ok(&a);
    assert_string_equal(a.out, "a\n\nb");
    assert_string_equal(a.errs, "\n\nc\n\n");
    assert_int_equal(a.log.bytes[1], 0);
    ask_free(&a);
}

static void read_tells_a_signal(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "kill -9 $$"}};
    ask_ok(&a);
    assert_int_equal(a.status, -1);
    /* The ssh program keeps to itself which one it was. */
    assert_int_equal(a.signal, strcmp(the_target()->transport, "openssh") == 0 ? 255 : 9);
    ask_free(&a);
}

/* Every byte but NUL, through all shells in between. */
static void read_carries_hostile_bytes(void **state)
{
    (void)state;
    char all[260];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    const char *const words[] = {all, "",      "'",  "''\\'", "$(touch /tmp/never)", "`id`", "-n", "a\nb\n\n",
                                 "*", "~root", "!!", "\\",    "\"$HOME\"",           NULL};
    struct ask a = {.cmd = {.script = "for w; do printf '%s|' \"$w\"; done", .args = words, .quiet = true}};
    ask_ok(&a);
    auto_buf struct buf want = BUF_INIT(4096);
    for (size_t i = 0; words[i]; i++)
        buf_printf(&want, "%s|", words[i]);
    assert_int_equal(a.out_len, want.len);
    assert_memory_equal(a.out, want.data, want.len);
    ask_free(&a);
}

static void read_passes_input_and_env(void **state)
{
    (void)state;
    static char input[300000];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (char)(i * 7);
    struct op_pair env[] = {{"SECRET", "it's $HOME `x`\n\n"}, {"B", ""}};
    struct ask a = {
        .cmd = {.script = "printf '%s' \"$SECRET\" | wc -c; env | grep -c ^B=; wc -c; env >/dev/null",
                .input = input,
                .input_len = sizeof(input),
                .env = env,
                .n_env = 2}};
    ask_ok(&a);
    assert_string_equal(a.out, "16\n1\n300000\n");
    ask_free(&a);
}

static void read_starts_in_home_and_cwd(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "[ \"$(pwd -P)\" = \"$(cd && pwd -P)\" ] && echo home"}};
    ask_ok(&a);
    assert_string_equal(a.out, "home\n");
    ask_free(&a);
    struct ask b = {.cmd = {.script = "pwd -P", .cwd = scratch}};
    ask_ok(&b);
    assert_memory_equal(b.out, scratch, strlen(scratch));
    ask_free(&b);
}

static void read_refuses_a_missing_cwd(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "echo no", .cwd = "/nowhere/at all"}};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.outcome, OUT_FAILED);
    assert_int_equal(a.err.code, E_NOTFOUND);
    assert_non_null(strstr(a.err.text, "/nowhere/at all"));
    ask_free(&a);
}

/* docs/protocols.md#ssh: 3 MB on stderr while only stdout is read is a deadlock for careless clients. */
static void read_drains_both_streams(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "head -c 3000000 /dev/zero | tr '\\0' e >&2; echo done"}};
    ask_ok(&a);
    assert_string_equal(a.out, "done\n");
    assert_int_equal(a.log.bytes[2], 3000000);
    assert_true(a.cut);
    assert_int_equal(a.err_len, 65536);
    ask_free(&a);
}

static long max_rss_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    long kib = 0;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static void read_100_mb_in_bounded_memory(void **state)
{
    (void)state;
    long before = max_rss_kib();
    struct ask a = {.cmd = {.script = "head -c 100000000 /dev/zero"}};
    ask_ok(&a);
    assert_int_equal(a.log.bytes[1], 100000000);
    assert_true(a.cut);
    long grown = max_rss_kib() - before;
#ifdef __SANITIZE_ADDRESS__
    grown = 0; /* its quarantine keeps what was freed */
#endif
    if (grown > 12000)
        fail_msg("memory grew by %ld KiB", grown);
    ask_free(&a);
}

static void read_is_ended_at_its_deadline(void **state)
{
    (void)state;
    unlink(scratch_path("pid"));
    struct ask a = {.cmd = {.script = "echo $$ >\"$1/pid\"; sleep 300; true", .args = ARGS(scratch)},
                    .timeout_ms = 700};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.err.code, E_LATE);
    assert_int_equal(a.outcome, OUT_FAILED);
    assert_true(file_number("pid") > 0);
    UNTIL(!process_alive(file_number("pid")));
    ask_free(&a);
}

static void read_works_after_a_late_one(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "echo fine"}};
    ask_ok(&a);
    assert_string_equal(a.out, "fine\n");
    ask_free(&a);
}

/* ---- changing
 * ----------------------------------------------------------------------------------------------------- */

static void change_runs_detached_in_a_session_of_its_own(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_CHANGE,
                    .key = "10-1",
                    .cmd = {.script =
                                "read -r s </proc/$$/stat; set -- ${s##*) }; [ \"$4\" = \"$3\" ] && echo "
                                "leader; cat; echo bad >&2; exit 4"}};
    ask_ok(&a);
    assert_int_equal(a.status, 4);
    assert_false(a.attached);
    assert_string_equal(a.out, "leader\n");
    assert_string_equal(a.errs, "bad\n");
    ask_free(&a);
}

static void change_under_the_same_key_runs_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct ask a = {.act = ACT_CHANGE,
                        .key = "11-1",
                        .cmd = {.script = "echo once >>\"$1/once\"; echo said", .args = ARGS(scratch)}};
        ask_ok(&a);
        assert_int_equal(a.status, 0);
        assert_string_equal(a.out, "said\n");
        assert_int_equal(a.attached, i > 0);
        ask_free(&a);
    }
    assert_int_equal(file_lines("once"), 1);
}

static void change_that_failed_is_started_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ask a = {.act = ACT_CHANGE,
                        .key = "12-1",
                        .cmd = {.script = "echo x >>\"$1/again\"; exit 9", .args = ARGS(scratch)}};
        ask_ok(&a);
        assert_int_equal(a.status, 9);
        ask_free(&a);
    }
    assert_int_equal(file_lines("again"), 2);
}

static void change_passes_input_env_cwd(void **state)
{
    (void)state;
    struct op_pair env[] = {{"TOKEN", "a'b\nc"}};
    struct ask a = {.act = ACT_CHANGE,
                    .key = "13-1",
                    .cmd = {.script = "printf '%s,' \"$TOKEN\"; cat; pwd",
                            .input = "in\0put",
                            .input_len = 6,
                            .env = env,
                            .n_env = 1,
                            .cwd = scratch}};
    ask_ok(&a);
    static const char want[] = "a'b\nc,in\0put";
    assert_memory_equal(a.out, want, sizeof(want) - 1);
    assert_non_null(strstr(a.out + sizeof(want) - 1, scratch));
    ask_free(&a);
}

/* Text that a shell could take for its own, of every length around what goes along with the command. */
static void change_carries_text_as_input(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 300, 3999, 4000, 4001, 9000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char text[9000], key[16];
        for (size_t k = 0; k < lengths[i]; k++)
            text[k] = k < 255 ? (char)(k + 1) : "$(id)`id`\\\n'\"\n"[k % 14];
        text[lengths[i] - 1] = '\n';
        snprintf(key, sizeof(key), "15-%zu", i);
        struct ask a = {
            .act = ACT_CHANGE, .key = key, .cmd = {.script = "cat", .input = text, .input_len = lengths[i]}};
        ask_ok(&a);
        assert_int_equal(a.out_len, lengths[i]);
        assert_memory_equal(a.out, text, lengths[i]);
        ask_free(&a);
    }
}

static void change_carries_hostile_bytes(void **state)
{
    (void)state;
    char all[260];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    const char *const words[] = {all, "", "'", "$(id)", "-n", "a\nb\n\n", NULL};
    struct ask a = {.act = ACT_CHANGE,
                    .key = "14-1",
                    .cmd = {.script = "for w; do printf '%s|' \"$w\"; done", .args = words}};
    ask_ok(&a);
    auto_buf struct buf want = BUF_INIT(4096);
    for (size_t i = 0; words[i]; i++)
        buf_printf(&want, "%s|", words[i]);
    assert_int_equal(a.out_len, want.len);
    assert_memory_equal(a.out, want.data, want.len);
    ask_free(&a);
}

static void change_refuses_a_missing_cwd(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_CHANGE, .key = "15-1", .cmd = {.script = "true", .cwd = "/nowhere"}};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.outcome, OUT_FAILED);
    assert_int_equal(a.err.code, E_NOTFOUND);
    ask_free(&a);
}

static void change_refuses_an_older_fence(void **state)
{
    (void)state;
    struct ask a = {
        .act = ACT_CHANGE, .key = "16-1", .fence = 7, .holder = "bob@ctl2", .cmd = {.script = "true"}};
    ask_ok(&a);
    ask_free(&a);
    struct ask b = {.act = ACT_CHANGE,
                    .key = "16-2",
                    .fence = 6,
                    .cmd = {.script = "touch \"$1/fenced\"", .args = ARGS(scratch)}};
    ask(&b);
    assert_false(b.good);
    assert_int_equal(b.outcome, OUT_FAILED);
    assert_int_equal(b.err.code, E_FENCED);
    assert_non_null(strstr(b.err.text, "bob@ctl2"));
    assert_false(file_there("fenced"));
    ask_free(&b);
    struct ask c = {.act = ACT_CHANGE, .key = "16-3", .fence = 7, .cmd = {.script = "true"}};
    ask_ok(&c);
    ask_free(&c);
}

static void change_refuses_another_machine(void **state)
{
    (void)state;
    struct target other = *the_target();
    other.identity = "elsewhere:0123";
    struct ask a = {.act = ACT_CHANGE,
                    .key = "17-1",
                    .fence = 8,
                    .target = &other,
                    .cmd = {.script = "touch \"$1/elsewhere\"", .args = ARGS(scratch)}};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.outcome, OUT_FAILED);
    assert_int_equal(a.err.code, E_IDENTITY);
    assert_false(file_there("elsewhere"));
    ask_free(&a);
}

static void change_is_killed_with_its_group_at_the_deadline(void **state)
{
    (void)state;
    unlink(scratch_path("pid"));
    struct ask a = {
        .act = ACT_CHANGE,
        .key = "18-1",
        .fence = 8,
        .cmd = {.script =
                    "echo begun; trap '' TERM; setsid sh -c 'echo $$ >\"$1/pid2\"; sleep 300; :' sh \"$1\" & "
                    "sh -c 'trap \"\" TERM; echo $$ >\"$1/pid\"; sleep 300; :' sh \"$1\"; wait",
                .args = ARGS(scratch)},
        .timeout_ms = 1200};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.err.code, E_LATE);
    assert_int_equal(a.outcome, OUT_UNKNOWN);
    assert_non_null(strstr(a.err.text, "killed"));
    assert_true(file_number("pid") > 0);
    assert_true(file_number("pid2") > 0);
    assert_false(process_alive(file_number("pid")));
    assert_false(process_alive(file_number("pid2")));
    assert_string_equal(buf_str(&a.log.text[1]), "begun\n");
    ask_free(&a);
}

/* A long command is seen while it runs: this one ends only after its first line was seen. */
static void change_streams_while_it_runs(void **state)
{
    (void)state;
    char touch[160];
    strcpy(touch, scratch_path("seen"));
    unlink(touch);
    struct ask a = {.act = ACT_CHANGE,
                    .key = "19-1",
                    .fence = 8,
                    .log.touch = touch,
                    .cmd = {.script =
                                "echo line 1; echo e1 >&2; until [ -e \"$1/seen\" ]; do sleep 0.02; done; "
                                "echo line 2; echo e2 >&2",
                            .args = ARGS(scratch)}};
    ask_ok(&a);
    assert_string_equal(a.out, "line 1\nline 2\n");
    assert_string_equal(a.errs, "e1\ne2\n");
    ask_free(&a);
}

static void *ask_thread(void *arg)
{
    ask(arg);
    return NULL;
}

/* Two ops under one key at once: the second takes up what the first started. */
static void change_attaches_to_a_running_one(void **state)
{
    (void)state;
    pthread_t thread;
    unlink(scratch_path("go"));
    unlink(scratch_path("attach"));
    struct node_cmd cmd = {.script =
                               "echo a; echo x >>\"$1/attach\"; until [ -e \"$1/go\" ]; do sleep 0.05; done; "
                               "echo b; exit 5",
                           .args = ARGS(scratch)};
    struct ask a = {.act = ACT_CHANGE, .key = "20-1", .fence = 8, .cmd = cmd};
    struct ask b = a;
    char seen[160];
    strcpy(seen, scratch_path("seen"));
    unlink(seen);
    b.log.touch = seen;
    pthread_create(&thread, NULL, ask_thread, &a);
    UNTIL(file_there("attach"));
    struct ask j = {.act = ACT_JOB, .key = "20-1", .fence = 8};
    ask_ok(&j);
    assert_int_equal(j.job, JOB_RUNNING);
    ask_free(&j);
    pthread_t second;
    pthread_create(&second, NULL, ask_thread, &b);
    /* Only when the second has taken in the first one's output may the command end: one that comes after a
     * failed end begins anew, under the eyes of the first. */
    UNTIL(file_there("seen"));
    fclose(fopen(scratch_path("go"), "w"));
    pthread_join(second, NULL);
    pthread_join(thread, NULL);
    assert_true(a.good && b.good);
    assert_int_equal(a.status, 5);
    assert_string_equal(a.out, "a\nb\n");
    assert_int_equal(b.status, 5);
    assert_string_equal(b.out, "a\nb\n");
    assert_true(b.attached);
    assert_int_equal(file_lines("attach"), 1);
    ask_free(&a);
    ask_free(&b);
}

/* A cancelled op leaves its command running; the next step ends it first. */
static void change_ends_what_another_step_left(void **state)
{
    (void)state;
    pthread_t thread;
    int cancel = eventfd(0, EFD_CLOEXEC);
    unlink(scratch_path("pid"));
    struct ask a = {.act = ACT_CHANGE,
                    .key = "21-1",
                    .fence = 8,
                    .cancel_fd = cancel,
                    .cmd = {.script = "echo $$ >\"$1/pid\"; sleep 300; :", .args = ARGS(scratch)}};
    pthread_create(&thread, NULL, ask_thread, &a);
    UNTIL(file_number("pid") > 0);
    assert_int_equal(write(cancel, &(uint64_t){1}, 8), 8);
    pthread_join(thread, NULL);
    assert_false(a.good);
    assert_int_equal(a.err.code, E_CANCELED);
    assert_int_equal(a.outcome, OUT_UNKNOWN);
    long pid = file_number("pid");
    assert_true(process_alive(pid));
    struct ask b = {.act = ACT_CHANGE, .key = "21-2", .fence = 8, .cmd = {.script = "echo next"}};
    ask_ok(&b);
    assert_false(process_alive(pid));
    struct ask j = {.act = ACT_JOB, .key = "21-1", .fence = 8};
    ask_ok(&j);
    assert_int_equal(j.job, JOB_ENDED);
    assert_int_equal(j.job_status, 143);
    ask_free(&a);
    ask_free(&b);
    ask_free(&j);
    close(cancel);
}

static void job_tells_never_and_ended(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_JOB, .key = "22-1"};
    ask_ok(&a);
    assert_int_equal(a.job, JOB_NEVER);
    ask_free(&a);
    struct ask b = {.act = ACT_CHANGE, .key = "22-1", .fence = 8, .cmd = {.script = "exit 6"}};
    ask_ok(&b);
    ask_free(&b);
    struct ask c = {.act = ACT_JOB, .key = "22-1"};
    ask_ok(&c);
    assert_int_equal(c.job, JOB_ENDED);
    assert_int_equal(c.job_status, 6);
    ask_free(&c);
}

/* kill -9 of the session leader: no status will ever come, and that is said, not guessed. */
static void change_that_vanished_is_unknown(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_CHANGE, .key = "23-1", .fence = 8, .cmd = {.script = "kill -9 $$; sleep 5"}};
    ask(&a);
    assert_false(a.good);
    assert_int_equal(a.outcome, OUT_UNKNOWN);
    ask_free(&a);
    struct ask j = {.act = ACT_JOB, .key = "23-1"};
    ask_ok(&j);
    assert_int_equal(j.job, JOB_LOST);
    ask_free(&j);
}

static void change_with_much_output_is_complete(void **state)
{
    (void)state;
    struct ask a = {
        .act = ACT_CHANGE,
        .key = "24-1",
        .fence = 8,
        .cmd = {.script =
                    "head -c 3000000 /dev/zero | tr '\\0' e >&2; sleep 0.6; head -c 5000000 /dev/zero"}};
    ask_ok(&a);
    assert_int_equal(a.log.bytes[1], 5000000);
    assert_int_equal(a.log.bytes[2], 3000000);
    ask_free(&a);
}

/* The next lock grant cuts what ended steps printed down to its end. */
static void change_leaves_no_long_outputs(void **state)
{
    (void)state;
    char place[160];
    snprintf(place, sizeof(place), "%s/state/long", scratch);
    struct target t = *the_target();
    t.state_dir = place;
    struct ask a = {.act = ACT_CHANGE,
                    .key = "60-1",
                    .fence = 8,
                    .target = &t,
                    .cmd = {.script = "head -c 3000000 /dev/zero | tr '\\0' e; echo end"}};
    ask_ok(&a);
    ask_free(&a);
    struct stat st;
    assert_int_equal(stat(scratch_path("state/long/jobs/60-1.out"), &st), 0);
    assert_int_equal(st.st_size, 3000004);
    struct ask b = {
        .act = ACT_CHANGE,
        .key = "61-1",
        .fence = 9,
        .target = &t,
        .cmd = {.script = "tail -c 4 \"$1\"", .args = ARGS(scratch_path("state/long/jobs/60-1.out"))}};
    ask_ok(&b);
    assert_string_equal(b.out, "end\n");
    ask_free(&b);
    assert_int_equal(stat(scratch_path("state/long/jobs/60-1.out"), &st), 0);
    assert_int_equal(st.st_size, 65536);
}

static void change_runs_as_another_user(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    struct op_pair env[] = {{"V", "value"}};
    struct ask a = {.act = ACT_CHANGE,
                    .key = "25-1",
                    .fence = 8,
                    .cmd = {.script = "id -un; echo \"$HOME $V $1\"",
                            .args = ARGS("a'b"),
                            .runas = "nobody",
                            .env = env,
                            .n_env = 1}};
    ask_ok(&a);
    assert_string_equal(a.out, "nobody\n/nonexistent value a'b\n");
    ask_free(&a);
    struct ask r = {
        .cmd = {.script = "id -un; echo $V", .runas = "nobody", .cwd = "/", .env = env, .n_env = 1}};
    ask_ok(&r);
    assert_string_equal(r.out, "nobody\nvalue\n");
    ask_free(&r);
}

static void secrets_never_reach_the_log(void **state)
{
    (void)state;
    const char *const secrets[] = {"hunter2secret", NULL};
    struct ask a = {
        .cmd = {.script = "printf 'x hunter2'; sleep 0.1; echo 'secret y'; printf hunter2secret | base64"},
        .secrets = secrets};
    ask_ok(&a);
    assert_string_equal(buf_str(&a.log.text[1]), "x *** y\n***A==\n");
    ask_free(&a);
}

static void probe_tells_who_the_node_is(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_PROBE, .dir = "/srv/not/there/yet"};
    ask(&a);
    if (a.outcome != OUT_OK)
        print_error("%s\n", a.err.text);
    assert_int_equal(a.outcome, OUT_OK);
    const char *identity = NULL, *bytes = NULL, *fence = NULL;
    for (size_t i = 0; i < a.result->n_facts; i++) {
        const struct op_pair *f = &a.result->facts[i];
        identity = strcmp(f->name, "identity") == 0 ? f->value : identity;
        bytes = strcmp(f->name, "free_bytes") == 0 ? f->value : bytes;
        fence = strcmp(f->name, "fence") == 0 ? f->value : fence;
    }
    char host[256];
    gethostname(host, sizeof(host));
    assert_memory_equal(identity, host, strlen(host));
    assert_true(atoll(bytes) > 0);
    assert_string_equal(fence, "8");
    /* The identity it tells is the one that the runner accepts. */
    struct target same = *the_target();
    same.identity = identity;
    struct ask b = {.act = ACT_CHANGE, .key = "26-1", .fence = 8, .target = &same, .cmd = {.script = "true"}};
    ask_ok(&b);
    ask_free(&b);
    ask_free(&a);
    struct ask c = {.act = ACT_PROBE, .runas = "no-such-user"};
    ask(&c);
    assert_int_equal(c.outcome, OUT_FAILED);
    assert_non_null(strstr(c.err.text, "no-such-user"));
    ask_free(&c);
}

/* A host that is no node: done anew each time it is told, under the fence. */
static void host_change_is_done_each_time_under_its_fence(void **state)
{
    (void)state;
    unlink(scratch_path("told"));
    char path[160];
    strcpy(path, scratch_path("told"));
    for (int i = 0; i < 2; i++) {
        struct ask a = {.act = ACT_HOST, .key = "41-1", .fence = 9, .holder = "bob@ctl2", .path = path};
        a.cmd = (struct node_cmd){.script = "echo \"$2\" >>\"$1\"", .args = ARGS(path, "it's")};
        ask_ok(&a);
        assert_int_equal(a.status, 0);
        ask_free(&a);
    }
    assert_int_equal(file_lines("told"), 2);
    struct ask late = {.act = ACT_HOST, .key = "41-1", .fence = 8, .path = path};
    late.cmd = (struct node_cmd){.script = "rm \"$1\"", .args = ARGS(path)};
    ask(&late);
    assert_false(late.good);
    assert_int_equal(late.err.code, E_FENCED);
    assert_non_null(strstr(late.err.text, "bob@ctl2"));
    assert_true(file_there("told"));
    ask_free(&late);
    struct ask astray = {.act = ACT_HOST, .key = "41-2", .fence = 9, .path = "/nowhere/at/all"};
    astray.cmd = (struct node_cmd){.script = "true"};
    ask(&astray);
    assert_int_equal(astray.outcome, OUT_FAILED);
    assert_non_null(strstr(astray.err.text, "cannot lock the directory /nowhere/at"));
    ask_free(&astray);
}

/* Two nodes' changes of one file: the second waits until the first has ended. */
static void host_changes_of_one_file_go_one_after_another(void **state)
{
    (void)state;
    char path[160], waits[256];
    mkdir(scratch_path("conf"), 0755);
    strcpy(path, scratch_path("conf/pool"));
    unlink(path);
    unlink(scratch_path("go"));
    struct stat dir;
    assert_int_equal(stat(scratch_path("conf"), &dir), 0);
    snprintf(waits, sizeof waits, "grep -q -e '-> FLOCK .*:%lu 0 ' /proc/locks", (unsigned long)dir.st_ino);
    struct target other = *the_target();
    other.id = "other";
    struct ask a = {.act = ACT_HOST, .key = "42-1", .fence = 9, .path = path}, b = a;
    a.cmd = (struct node_cmd){.script = "echo in >>\"$1\"; until [ -e \"$2/go\" ]; do sleep 0.05; done; "
                                        "echo out >>\"$1\"",
                              .args = ARGS(path, scratch)};
    b.target = &other;
    b.cmd = (struct node_cmd){.script = "echo second >>\"$1\"; cat \"$1\"", .args = ARGS(path)};
    pthread_t first, second;
    pthread_create(&first, NULL, ask_thread, &a);
    UNTIL(file_there("conf/pool"));
    pthread_create(&second, NULL, ask_thread, &b);
    UNTIL(system(waits) == 0);
    fclose(fopen(scratch_path("go"), "w"));
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    assert_true(a.good && b.good);
    assert_string_equal(b.out, "in\nout\nsecond\n");
    ask_free(&a);
    ask_free(&b);
}

#define NODE_CASES                                                                                           \
    cmocka_unit_test(read_gives_both_streams_and_the_status),                                                \
        cmocka_unit_test(read_keeps_output_without_a_last_newline), cmocka_unit_test(read_tells_a_signal),   \
        cmocka_unit_test(read_carries_hostile_bytes), cmocka_unit_test(read_passes_input_and_env),           \
        cmocka_unit_test(read_starts_in_home_and_cwd), cmocka_unit_test(read_refuses_a_missing_cwd),         \
        cmocka_unit_test(read_drains_both_streams), cmocka_unit_test(read_100_mb_in_bounded_memory),         \
        cmocka_unit_test(read_is_ended_at_its_deadline), cmocka_unit_test(read_works_after_a_late_one),      \
        cmocka_unit_test(change_runs_detached_in_a_session_of_its_own),                                      \
        cmocka_unit_test(change_under_the_same_key_runs_once),                                               \
        cmocka_unit_test(change_that_failed_is_started_anew), cmocka_unit_test(change_passes_input_env_cwd), \
        cmocka_unit_test(change_carries_hostile_bytes), cmocka_unit_test(change_refuses_a_missing_cwd),      \
        cmocka_unit_test(change_carries_text_as_input), cmocka_unit_test(change_refuses_an_older_fence),     \
        cmocka_unit_test(host_change_is_done_each_time_under_its_fence),                                     \
        cmocka_unit_test(host_changes_of_one_file_go_one_after_another),                                     \
        cmocka_unit_test(change_refuses_another_machine),                                                    \
        cmocka_unit_test(change_is_killed_with_its_group_at_the_deadline),                                   \
        cmocka_unit_test(change_streams_while_it_runs), cmocka_unit_test(change_attaches_to_a_running_one),  \
        cmocka_unit_test(change_ends_what_another_step_left), cmocka_unit_test(job_tells_never_and_ended),   \
        cmocka_unit_test(change_that_vanished_is_unknown),                                                   \
        cmocka_unit_test(change_with_much_output_is_complete),                                               \
        cmocka_unit_test(change_leaves_no_long_outputs), cmocka_unit_test(change_runs_as_another_user),      \
        cmocka_unit_test(secrets_never_reach_the_log), cmocka_unit_test(probe_tells_who_the_node_is)

#endif
