/* SPDX-License-Identifier: MIT */
/* A mistake in a block of the pillar is one, however many verbs read that block: told once, at its place, with the block's name.
 * Over all drivers that there are. */
#include "unit/plans_rig.h"

#define HEAD                                                                                                 \
    "release:\n  app: a\n  repo: 'git@h:r'\n  dir: /d\n  user: u\n  branch: main\n"                          \
    "  app_servers: {n1: {host: h1, port: 1}, n2: {host: h2, port: 2}}\n"
#define HEAD_LINES 7

static bool compile(struct rig *r, const char *pillar)
{
    put_pillar("prod.sls", pillar);
    return pillar_load(dir, "prod", NULL, 0, &r->pillar, &r->problems) &&
           plan_compile(r->pillar, &(struct compile_request){.root = dir, .env = "prod"}, &r->arena, &r->plan,
                        &r->problems);
}

/* How many problems stand in this line of the pillar. */
static size_t at_line(const struct problems *p, size_t line)
{
    char place[40];
    size_t n = 0;
    (void)snprintf(place, sizeof(place), "pillar/prod.sls:%zu:", line);
    for (size_t i = 0; i < p->n; i++)
        n += strstr(p->lines[i], place) != NULL;
    return n;
}

static const char *block_name(const struct driver *d)
{
    static char name[64];
    const char *key = strcmp(d->name, "supervisord") == 0 ? "supervisor"
                      : strcmp(d->name, "http") == 0      ? "check"
                                                          : d->name;
    (void)snprintf(name, sizeof(name), driver_verb(d, DOES_DRAIN) ? "balancer:\n    %s" : "%s", key);
    return name;
}

/* Every parameter of every verb, each in a line of its own; none is of a kind that {a: {b: c}} could be. */
static size_t put_wrong(struct buf *out, const struct driver *d)
{
    size_t lines = 0;
    buf_reset(out);
    for (const struct verb *v = d->verbs; v->name; v++)
        for (const struct param *p = v->params; p && p->name; p++) {
            char line[100];
            (void)snprintf(line, sizeof(line), "      %s: {a: {b: c}}\n", p->name);
            if (strstr(buf_str(out), line))
                continue;
            buf_puts(out, line);
            lines++;
        }
    return lines;
}

static void each_wrong_value_of_a_block_is_told_once(void **state)
{
    (void)state;
    size_t told = 0, balancers = 0;
    for (const struct driver *const *d = driver_table; *d; d++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf keys = BUF_INIT(20000), text = BUF_INIT(20000);
        size_t lines = put_wrong(&keys, *d), first = HEAD_LINES + (driver_verb(*d, DOES_DRAIN) ? 3 : 2);
        if (strcmp((*d)->name, "release") == 0 || lines == 0)
            continue; /* no block is called so: it is the whole */
        buf_printf(&text, HEAD "  %s:\n%s", block_name(*d), buf_str(&keys));
        if (!strstr((*d)->name, "superv") && strcmp((*d)->name, "service") != 0)
            buf_puts(&text, "  supervisor: zope\n");
        bool made = compile(&r, buf_str(&text)); /* a block that no step of the plan reads is no mistake */
        for (size_t i = 0; i < lines; i++) {
            if (at_line(&r.problems, first + i) > 1)
                fail_msg("%s: more than once:\n%s", (*d)->name, said(&r.problems));
            told += at_line(&r.problems, first + i);
        }
        if (driver_verb(*d, DOES_DRAIN)) {
            balancers++;
            assert_false(made);
            if (r.problems.n + 2 < lines) /* weight, ramp and such are read where the plan uses them */
                fail_msg("%s: %zu of %zu told:\n%s", (*d)->name, r.problems.n, lines, said(&r.problems));
        }
    }
    assert_true(balancers > 5 && told > 100);
}

/* What types cannot judge, the verb's own check does: for the drain, the enable, the guard ... alike. */
static void what_a_verb_refuses_in_a_block_is_told_once(void **state)
{
    (void)state;
    static const struct {
        const char *block, *want;
    } rows[] = {
        {"  balancer: {nginx: {hosts: [a], include: rel, upstream: u}}\n",
         "pillar/prod.sls:9:21: release: balancer: nginx: include: 'rel' is not an absolute path (node n1)\n"},
        {"  balancer: {command: {program: rel/path, backend: b}}\n",
         "pillar/prod.sls:9:23: release: balancer: command: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf text = BUF_INIT(2000);
        buf_printf(&text, HEAD "  supervisor: zope\n%s", rows[i].block);
        assert_false(compile(&r, buf_str(&text)));
        const char *got = said(&r.problems);
        if (r.problems.n != 1 || strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s\n--- got\n%s--- wanted\n%s", rows[i].block, got, rows[i].want);
    }
}

/* The application's block is read for verbs of release.* and git.* as well: not the words that it does not have. */
static void an_unknown_word_of_a_block_is_not_read(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    assert_false(compile(&r, HEAD "  service: {name: x, user: [y]}\n"));
    assert_string_equal(said(&r.problems), "pillar/prod.sls:8:22: release: service: unknown key 'user'\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* `source:` stands in the place of `repo:`, and what is asked of a repository is not asked of an archive. */
static void a_source_is_no_repository(void **state)
{
    (void)state;
#define PLACE                                                                                                \
    "release:\n  app: a\n  dir: /d\n  user: u\n  branch: main\n  app_servers: {n1: {host: h1, port: 1}}\n  supervisor: z\n"
    static const char *const rows[][2] = {
        {"  repo: r\n  source: {artifact: '/b/shop.tar', strip: x}\n  git: {via: node, allow: [main]}\n",
         "pillar/prod.sls:8:3: release: repo and source: one of the two says what is released; leave the other out\n"
         "pillar/prod.sls:9:22: release: source: artifact: '/b/shop.tar' is one file for all versions; wanted {rev} in it, in whose place --rev stands\n"
         "pillar/prod.sls:10:20: release: git: allow: is asked of a repository, and `source` is none; leave one of the two out\n"
         "pillar/prod.sls:10:14: release: git: via: nodes do not read the artifact; leave `via` out, the controller brings it\n"},
        {"  source: {artifct: '/b/shop-{rev}.tar'}\n",
         "pillar/prod.sls:8:11: release: source: no artifact (wanted: source: {artifact: /srv/builds/shop-{rev}.tar.gz})\n"
         "pillar/prod.sls:8:12: release: source: unknown key 'artifct' (did you mean 'artifact'?)\n"},
        {"  source: {artifact: '/b/shop-{rev}.tar'}\n  plan: in-place\n",
         "pillar/prod.sls:8:11: release: source: plan in-place checks out a repository (git.checkout at (built-in) in-place.yml:5:21), "
         "and an artifact goes into a directory of its own; take `plan: rolling`\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        auto_buf struct buf text = BUF_INIT(2000);
        buf_printf(&text, PLACE "%s", rows[i][0]);
        assert_false(compile(&r, buf_str(&text)));
        assert_string_equal(said(&r.problems), rows[i][1]);
    }
    auto_rig struct rig r = {.plan = NULL};
    assert_true(compile(
        &r, PLACE
        "  source: {artifact: '/b/{rev}/shop-{rev}.tar', sha256: '/b/{rev}/SUMS', ca: /etc/ssl/ci.pem, token: 'file:/t', strip: 1}\n"));
    assert_string_equal(r.plan->repo, "artifact:/b/{rev}/shop-{rev}.tar");
    assert_string_equal(r.plan->resolve_step.verb, "source.resolve");
    assert_null(r.plan->log_step.verb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_wrong_value_of_a_block_is_told_once),
        T(what_a_verb_refuses_in_a_block_is_told_once),
        T(an_unknown_word_of_a_block_is_not_read),
        T(a_source_is_no_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
