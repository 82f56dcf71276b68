/* SPDX-License-Identifier: MIT */
/* git: {via: controller} (drivers/verbs/git_carry.c) against real git: what a node lacks comes from the controller's mirror,
 * the rest does not; a cut transfer goes on; what arrived differently is not used. */
#include "unit/drv_rig.h"

static const char *origin, *rev1, *rev2;

/* 9 MB that do not get smaller: nine pieces. */
static int setup(void **state)
{
    (void)state;
    rig_open();
    sh("git init -q -b main $D/work && cd $D/work && head -c 9000000 /dev/urandom >big && echo one >app && "
       "git add -A && git commit -qm one");
    rev1 = sh("git -C $D/work rev-parse HEAD");
    sh("cd $D/work && echo two >app && git commit -qam two");
    rev2 = sh("git -C $D/work rev-parse HEAD");
    origin = text("%s/origin.git", rig_dir);
    sh("git clone -q --bare $D/work $D/origin.git");
    WANT_OK(rig_ask(&(struct ask){.verb = "git.resolve", .args = PAIRS({"repo", origin}, {"rev", "main"})}));
    /* From here on nobody reads the origin: all comes from the mirror. */
    sh("mv $D/origin.git $D/away.git");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static struct answer ask(const char *verb, const char *node, const char *rev, const char *via)
{
    const char *dir = text("%s/%s", rig_dir, node);
    return rig_ask(&(struct ask){.verb = verb,
                                 .args = PAIRS({"repo", origin}, {"dir", dir}, {"rev", rev}, {"via", via})});
}

static struct answer bring(const char *node, const char *rev)
{
    return ask("git.fetch", node, rev, "controller");
}

#define PACKS "$XDG_CACHE_HOME/release/mirrors/*.packs"

static void what_a_node_lacks_is_brought(void **state)
{
    (void)state;
    WANT_REFUSED(ask("git.fetch", "n1", rev1, "node"), "cannot fetch");
    WANT_REFUSED(ask("git.readable", "n1", rev1, "node"), "cannot read");
    WANT_OK(ask("git.readable", "n1", rev1, "controller"));
    struct answer ans = bring("n1", rev1);
    WANT_OK(ans);
    WANT(ans, ans.changed && strstr(buf_str(&rig_log), "MiB are there"));
    WANT_OK(ask("git.fetched", "n1", rev1, "controller"));
    assert_string_equal(sh("git --git-dir=$D/n1/repo.git rev-parse refs/release/%s", rev1), rev1);
    assert_string_equal(
        sh("git --git-dir=$D/n1/repo.git cat-file blob %s:big | cmp - $D/work/big && echo same", rev1),
        "same");
    assert_string_equal(sh("ls $D/n1/repo.git | grep -c release-pack || true"), "0");
    ans = bring("n1", rev1);
    WANT_OK(ans);
    WANT(ans, !ans.changed);
}

static void only_what_it_lacks(void **state)
{
    (void)state;
    WANT_OK(bring("n1", rev2));
    assert_string_equal(sh("git --git-dir=$D/n1/repo.git cat-file blob %s:app", rev2), "two");
    assert_string_equal(
        sh("git --git-dir=$D/n1/repo.git fsck --strict 2>&1 | grep -v -e dangling -e unborn | head -n 1"),
        "");
    int64_t smallest =
        strtoll(sh("ls -S -l " PACKS "/ | grep -v sum | tail -n 1 | awk '{ print $5 }'"), NULL, 10);
    assert_in_range(smallest, 1, 2000);
}

static void nodes_that_have_the_same_share_a_pack(void **state)
{
    (void)state;
    const char *before = sh("ls " PACKS "/*.sum | wc -l");
    WANT_OK(bring("n2", rev1));
    WANT_OK(bring("n3", rev1));
    assert_string_equal(sh("ls " PACKS "/*.sum | wc -l"), before);
    /* A commit of its own, that the mirror has never seen, is in nobody's way. */
    sh("git clone -q $D/work $D/own && cd $D/own && echo own >own && git add own && git commit -qm own && "
       "git push -q $D/n3/repo.git HEAD:refs/heads/own");
    WANT_OK(bring("n3", rev2));
}

/* The pack of rev2 for a node that has nothing, as a file. */
static const char *whole_pack(void)
{
    WANT_OK(bring("n4", rev2));
    sh("rm -rf $D/n4");
    return sh("for f in $(ls -t " PACKS
              "/*.sum); do s=${f%%.sum}; [ $(wc -c <$s) -gt 9000000 ] || continue; echo $s; "
              "break; done");
}

static void a_transfer_that_was_cut_goes_on(void **state)
{
    (void)state;
    const char *pack = whole_pack(), *sum = sh("cut -d ' ' -f 1 %s.sum", pack);
    sh("git init -q --bare $D/n5/repo.git && head -c 5000000 %s >$D/n5/repo.git/release-pack-%s", pack, sum);
    sh("echo old >$D/n5/repo.git/release-pack-%064d", 7);
    struct answer ans = bring("n5", rev2);
    WANT_OK(ans);
    WANT(ans, strstr(buf_str(&rig_log), "4882 of") && strstr(buf_str(&rig_log), "from an earlier attempt"));
    assert_string_equal(sh("ls $D/n5/repo.git | grep -c release-pack || true"), "0");
    WANT_OK(ask("git.fetched", "n5", rev2, "controller"));
}

static void what_arrived_differently_is_not_used(void **state)
{
    (void)state;
    const char *pack = whole_pack(), *sum = sh("cut -d ' ' -f 1 %s.sum", pack);
    sh("git init -q --bare $D/n6/repo.git && head -c 5000000 /dev/zero >$D/n6/repo.git/release-pack-%s", sum);
    WANT_REFUSED(bring("n6", rev2), "arrived differently");
    WANT_WAITING(ask("git.fetched", "n6", rev2, "controller"));
    WANT_OK(bring("n6", rev2));
}

/* A pack that the controller lost is made again, and the part of another one is no part of it. */
static void a_lost_cache_is_made_again(void **state)
{
    (void)state;
    sh("rm -rf " PACKS);
    WANT_OK(bring("n7", rev1));
    sh("find " PACKS " -type f ! -name '*.sum' -exec rm {} +");
    WANT_OK(bring("n8", rev1));
}

static void a_damaged_cache_is_made_again(void **state)
{
    (void)state;
    const char *pack = whole_pack();
    sh("printf x | dd of=%s bs=1 seek=3000000 conv=notrunc 2>/dev/null", pack);
    WANT_REFUSED(bring("n9", rev2), "arrived differently");
    WANT_OK(bring("n9", rev2));
}

/* On no branch, and not in the mirror: whole hashes are asked for by themselves, as the nodes do. */
static void a_commit_that_no_branch_leads_to(void **state)
{
    (void)state;
    sh("mv $D/away.git $D/origin.git");
    const char *lost = sh("cd $D/work && git commit-tree -p %s -m lost %s^{tree} | tee $D/lost", rev2, rev2);
    sh("git -C $D/work push -q $D/origin.git %s:refs/heads/gone && git -C $D/origin.git update-ref -d refs/heads/gone && "
       "git -C $D/origin.git config uploadpack.allowAnySHA1InWant true",
       lost);
    struct answer ans = bring("n1", lost);
    sh("mv $D/origin.git $D/away.git");
    WANT_OK(ans);
}

static void in_place_as_well(void **state)
{
    (void)state;
    const char *dir = text("%s/tree", rig_dir);
    const struct op_pair *args = PAIRS({"repo", origin}, {"dir", dir}, {"rev", rev2}, {"via", "controller"});
    const struct op_pair *vars = PAIRS({"release_dir", dir}, {"dir", dir}, {"rev", rev2});
    WANT_OK(rig_ask(&(struct ask){.verb = "git.fetch", .args = args, .vars = vars}));
    WANT_OK(rig_ask(&(struct ask){.verb = "git.checkout", .args = args, .vars = vars}));
    assert_string_equal(sh("cat $D/tree/app"), "two");
}

static void a_commit_that_nobody_has(void **state)
{
    (void)state;
    sh("mv $D/away.git $D/origin.git");
    struct answer ans = bring("n1", "0123456789012345678901234567890123456789");
    sh("mv $D/origin.git $D/away.git");
    WANT_REFUSED(ans, "has no commit 0123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_node_lacks_is_brought),
        cmocka_unit_test(only_what_it_lacks),
        cmocka_unit_test(nodes_that_have_the_same_share_a_pack),
        cmocka_unit_test(a_transfer_that_was_cut_goes_on),
        cmocka_unit_test(what_arrived_differently_is_not_used),
        cmocka_unit_test(a_lost_cache_is_made_again),
        cmocka_unit_test(a_damaged_cache_is_made_again),
        cmocka_unit_test(a_commit_that_no_branch_leads_to),
        cmocka_unit_test(in_place_as_well),
        cmocka_unit_test(a_commit_that_nobody_has),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
