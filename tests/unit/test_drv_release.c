/* SPDX-License-Identifier: MIT */
/* Driver "release" (drivers/verbs/releasedir.c): directories that are complete or never a target, the link,
 * cleaning, and which revision is running. */
#include "unit/drv_rig.h"

static const char *origin, *rev1, *rev2, *link_rev, *marker_rev_;

static const char *commit(const char *what)
{
    return sh("cd $D/work && echo %s >app && git add -A && git commit -qm %s && git rev-parse HEAD", what,
              what);
}

static int setup(void **state)
{
    (void)state;
    rig_open();
    sh("git init -q -b main $D/work && cd $D/work && mkdir -p var/keep conf && echo default >conf/site.ini "
       "&& "
       "echo x >var/keep/x && echo 'docs export-ignore' >.gitattributes && mkdir docs && echo y >docs/y && "
       "printf '#!/bin/sh\\n' >run && chmod +x run && ln -s app link");
    rev1 = commit("one");
    rev2 = commit("two");
    sh("cd $D/work && git checkout -q -b bad && ln -s /tmp evil");
    link_rev = commit("evil");
    sh("cd $D/work && git rm -q evil && echo rev >.release-complete");
    marker_rev_ = commit("marker");
    origin = text("%s/origin.git", rig_dir);
    sh("git clone -q --bare $D/work $D/origin.git");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

/* A node's directory under that name; the release directory as the plan would name it. */
static const char *dir_of(const char *node)
{
    return text("%s/%s/srv", rig_dir, node);
}

static const char *place(const char *node, const char *rev)
{
    return text("%s/releases/%.12s-abcdef", dir_of(node), rev);
}

static struct answer step_with(const char *verb, const char *node, const char *rev, const char *shared,
                               const struct op_pair *recall, bool back)
{
    return rig_ask(&(struct ask){
        .verb = verb,
        .args = PAIRS({"repo", origin}, {"dir", dir_of(node)}, {"shared", shared}, {"keep", "2"},
                      {"strict", "yes"}),
        .vars = PAIRS({"dir", dir_of(node)}, {"release_dir", place(node, rev)}, {"rev", rev}),
        .recall = recall,
        .back = back,
    });
}

static struct answer step(const char *verb, const char *node, const char *rev)
{
    return step_with(verb, node, rev, "[]", NO_PAIRS, false);
}

static void deploy(const char *node, const char *rev)
{
    WANT_OK(step("git.fetch", node, rev));
    WANT_OK(step("release.unpack", node, rev));
    WANT_OK(step("release.seal", node, rev));
    WANT_OK(step("release.switch", node, rev));
}

static void a_first_release_and_the_same_again(void **state)
{
    (void)state;
    struct answer ans = step("release.probe", "a", rev1);
    WANT_OK(ans);
    WANT(ans, *fact(&ans, "rev_before") == '\0' && *fact(&ans, "release.before") == '\0');
    WANT(ans, atoll(fact(&ans, "free_bytes")) > 0 && strcmp(fact(&ans, "repo_present"), "no") == 0);
    WANT_OK(step("git.fetch", "a", rev1));
    WANT_WAITING(step("release.unpacked", "a", rev1));
    ans = step("release.unpack", "a", rev1);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "complete"), "no") == 0);
    WANT_OK(step("release.unpacked", "a", rev1));
    WANT_WAITING(step("release.sealed", "a", rev1));
    WANT_REFUSED(step("release.switch", "a", rev1), "not a complete release directory");
    WANT_OK(step("release.seal", "a", rev1));
    WANT_OK(step("release.sealed", "a", rev1));
    WANT_WAITING(step("release.switched", "a", rev1));
    WANT_OK(step("release.switch", "a", rev1));
    WANT_OK(step("release.switched", "a", rev1));
    /* Everything that was committed is there, also what archives would leave out. */
    assert_string_equal(sh("cd $D/a/srv/current && cat app docs/y && test -x run && readlink link && stat -c "
                           "%%a app run && ls -A | wc -l"),
                        "one\ny\napp\n644\n755\n8");
    assert_string_equal(sh("readlink $D/a/srv/current"), text("releases/%.12s-abcdef", rev1));
    ans = step("release.unpack", "a", rev1);
    WANT_OK(ans);
    WANT(ans, !ans.changed && strcmp(fact(&ans, "complete"), "yes") == 0);
    ans = step("release.seal", "a", rev1);
    WANT(ans, ans.outcome == OUT_OK && !ans.changed);
    ans = step("release.switch", "a", rev1);
    WANT(ans, ans.outcome == OUT_OK && !ans.changed);
    ans = step("release.probe", "a", rev2);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "rev_before"), rev1) == 0 &&
                  strcmp(fact(&ans, "release.before"), place("a", rev1)) == 0);
}

static void the_way_back_leads_to_the_directory_of_before(void **state)
{
    (void)state;
    deploy("b", rev1);
    /* Made by another recipe than the one that this plan would compute. */
    sh("cd $D/b/srv && mv releases/%.12s-abcdef releases/%.12s-012345 && ln -sfn releases/%.12s-012345 "
       "current",
       rev1, rev1, rev1);
    const char *before = text("%s/releases/%.12s-012345", dir_of("b"), rev1);
    deploy("b", rev2);
    const struct op_pair *recall = PAIRS({"release.before", before});
    WANT_OK(step_with("release.switch", "b", rev1, "[]", recall, true));
    WANT_OK(step_with("release.switched", "b", rev1, "[]", recall, true));
    assert_string_equal(sh("cat $D/b/srv/current/app"), "one");
    WANT_REFUSED(step_with("release.switch", "b", rev2, "[]", recall, true), "wanted");
    WANT_REFUSED(step_with("release.switch", "b", rev1, "[]", NO_PAIRS, true), "nothing to go back to");
}

static void what_cannot_be_named_is_not_taken_for_nothing(void **state)
{
    (void)state;
    deploy("c", rev1);
    sh("rm $D/c/srv/current/.release-complete");
    WANT_REFUSED(step("release.probe", "c", rev2), "its revision cannot be named");
    WANT_REFUSED(step("release.unpack", "c", rev1), "which is not complete");
    sh("rm -rf $D/c/srv/releases/*");
    WANT_REFUSED(step("release.probe", "c", rev2), "which is not there");
    sh("rm $D/c/srv/current && mkdir $D/c/srv/current");
    WANT_REFUSED(step("release.probe", "c", rev2), "not a symbolic link");
}

static void partial_directories_are_made_again(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b many main && for i in $(seq 600); do echo $i >f$i; done && git add "
       "-A && git commit -qm many && "
       "git push -q $D/origin.git many");
    const char *many = sh("git -C $D/work rev-parse many");
    WANT_OK(step("git.fetch", "d", many));
    int64_t began = clock_mono_ms();
    WANT_OK(step("release.unpack", "d", many));
    int whole_ms = (int)(clock_mono_ms() - began), cut = 0;
    sh("rm -rf %s", place("d", many));
    for (int i = 1; i <= 5; i++) {
        struct answer ans = rig_ask(&(struct ask){
            .verb = "release.unpack",
            .args = PAIRS({"dir", dir_of("d")}, {"shared", "[]"}),
            .vars = PAIRS({"release_dir", place("d", many)}, {"rev", many}),
            .timeout_ms = 1 + whole_ms * i / 5,
        });
        cut += ans.outcome != OUT_OK;
        WANT_REFUSED(step("release.switch", "d", many), "not a complete release directory");
        WANT_OK(step("release.unpack", "d", many));
        assert_string_equal(sh("ls %s | grep -c '^f'", place("d", many)), "600");
        sh("rm -rf %s", place("d", many));
    }
    print_message("%d of 5 were cut short\n", cut);
    assert_true(cut > 0);
    WANT_OK(step("git.fetch", "d", rev1));
    sh("cd $D/d/srv/releases && rm -rf * && mkdir -p %.12s-abcdef && touch %.12s-abcdef/.incomplete "
       "%.12s-abcdef/stale",
       rev1, rev1, rev1);
    /* Not while somebody works in it. */
    sh("cd %s && { sleep 300 >/dev/null 2>&1 & echo $! >$D/sleep.pid; }", place("d", rev1));
    WANT_REFUSED(step("release.unpack", "d", rev1), sh("cat $D/sleep.pid"));
    sh("kill $(cat $D/sleep.pid)");
    until("! grep -q '^[0-9]* (.*) [^Z]' /proc/$(cat $D/sleep.pid)/stat 2>/dev/null");
    WANT_OK(step("release.unpack", "d", rev1));
    assert_false(sh_true(text("test -e %s/stale", place("d", rev1))));
    sh("mv %s $D/d/elsewhere && ln -s $D/d/elsewhere %s", place("d", rev1), place("d", rev1));
    WANT_REFUSED(step("release.unpack", "d", rev1), "symbolic link");
}

static void what_git_writes_itself_is_as_committed(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b crlf %s && printf 'a\\r\\nb\\r\\n' >x.js && git add -A && git "
       "commit -qm crlf && "
       "echo '*.js text eol=lf' >.gitattributes && git add .gitattributes && git commit -qm attributes && "
       "git push -q $D/origin.git crlf",
       rev1);
    const char *rev = sh("cd $D/work && git rev-parse HEAD");
    deploy("crlf", rev);
    assert_string_equal(sh("cat $D/crlf/srv/current/x.js | od -c | head -n 1"),
                        sh("od -c $D/work/x.js | head -n 1"));
    sh("cd $D/work && git checkout -qf main");
}

static struct answer of_path(const char *verb, const char *node, const char *rev, const char *path)
{
    return rig_ask(&(struct ask){
        .verb = verb,
        .args = PAIRS({"repo", origin}, {"dir", dir_of(node)}, {"shared", "[\"var\"]"}, {"keep", "2"}),
        .vars =
            PAIRS({"dir", dir_of(node)}, {"release_dir", place(node, rev)}, {"rev", rev}, {"git_path", path}),
    });
}

/* git: {path: apps/site}: what lies above it and beside it does not reach the release. */
static void a_directory_of_the_repository_is_the_application(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b apps && mkdir -p apps/site/var apps/site/docs apps/blog && "
       "echo site >apps/site/app && echo first >apps/site/var/x && echo y >apps/site/docs/y && "
       "printf 'docs export-ignore\\n*.bat text eol=crlf\\n' >apps/site/.gitattributes && "
       "echo dir >apps/site/x.bat && echo b >apps/blog/app && ln -s site apps/link && git add -A && "
       "git commit -qm apps && git push -q $D/origin.git apps");
    const char *rev = sh("cd $D/work && git rev-parse HEAD");
    sh("cd $D/work && git checkout -qf main");
    WANT_OK(step("git.fetch", "sub", rev));
    static const char *const none[] = {"apps/nothing", "apps/site/app", "apps/link"};
    for (size_t i = 0; i < 3; i++)
        WANT_REFUSED(of_path("release.unpack", "sub", rev, none[i]), text("holds no directory %s", none[i]));
    WANT_REFUSED(of_path("release.unpack", "sub", rev, "apps/../apps"), "has a part '.' or '..'");
    assert_false(sh_true("test -e $D/sub/srv/releases"));
    WANT_OK(of_path("release.unpack", "sub", rev, "apps/site"));
    WANT_OK(of_path("release.unpacked", "sub", rev, "apps/site"));
    WANT_OK(of_path("release.seal", "sub", rev, "apps/site"));
    WANT_OK(of_path("release.switch", "sub", rev, "apps/site"));
    assert_string_equal(
        sh("cd $D/sub/srv/current && ls -A | tr '\\n' ' ' && cat app var/x docs/y && od -An -c "
           "x.bat | tr -d ' '"),
        ".gitattributes .release-complete app docs var x.bat site\nfirst\ny\ndir\\r\\n");
    assert_string_equal(sh("sed -n 3p $D/sub/srv/current/.release-complete"), "path apps/site");
    assert_string_equal(sh("cat $D/sub/srv/shared/var/x"), "first");
    struct answer ans = of_path("release.probe", "sub", rev, "apps/site");
    WANT(ans, strcmp(fact(&ans, "rev_before"), rev) == 0);
}

static void shared_paths_are_linked_and_nothing_moves_silently(void **state)
{
    (void)state;
    const char *shared = "[\"/d/var/blobs\",\"/f/.env\",\"conf/site.ini\",\"logs/\",\"var/keep\"]";
    WANT_OK(step("git.fetch", "e", rev1));
    sh("mkdir -p $D/e/srv/shared/var/keep && echo mine >$D/e/srv/shared/var/keep/x");
    WANT_OK(step_with("release.unpack", "e", rev1, shared, NO_PAIRS, false));
    WANT_OK(step_with("release.unpacked", "e", rev1, shared, NO_PAIRS, false));
    assert_string_equal(
        sh("cd %s && test -d var/blobs && test -f .env && test -d logs && cat conf/site.ini var/keep/x && "
           "readlink var/blobs | sed \"s|$D||\"",
           place("e", rev1)),
        "default\nmine\n/e/srv/shared/var/blobs");
    sh("echo changed >$D/e/srv/shared/conf/site.ini");
    WANT_OK(step("git.fetch", "e", rev2));
    WANT_OK(step_with("release.unpack", "e", rev2, shared, NO_PAIRS, false));
    assert_string_equal(sh("cat %s/conf/site.ini", place("e", rev2)), "changed");
    static const char *const bad[] = {"[\"../x\"]", "[\"/etc\"]", "[\"a/../../b\"]", "[\".git/hooks\"]",
                                      "[\"\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sh("rm -rf %s", place("e", rev2));
        WANT_REFUSED(step_with("release.unpack", "e", rev2, bad[i], NO_PAIRS, false), "must be relative");
    }
}

/* An empty .env in rotation is worse than a release that does not begin. */
static void a_shared_path_that_is_missing_is_refused(void **state)
{
    (void)state;
    WANT_OK(step("git.fetch", "miss", rev1));
    static const struct {
        const char *word, *says;
    } rows[] = {
        {"[\"config/master_key\"]", "is missing, and the revision does not bring it: put it there, or say"},
        {"[\".env\"]", "{path: .env, file: yes, required: no}"},
        {"[\"/fr/config/master_key\"]", "the pillar says that it is required"},
        {"[\"/drm/blobs\"]", "the pillar says that it is required"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sh("rm -rf %s", place("miss", rev1));
        WANT_REFUSED(step_with("release.unpack", "miss", rev1, rows[i].word, NO_PAIRS, false), rows[i].says);
        assert_string_equal(sh("find $D/miss/srv/shared ! -type d | tr -d '\\n'"), ""); /* nothing was made */
    }
    sh("mkdir -p $D/miss/srv/shared/config/master_key $D/miss/srv/shared/blobs");
    struct answer ans = step_with(
        "release.probe", "miss", rev1,
        "[\"gone\",\"/fr/config/master_key\",\"/drm/blobs\",\"blobs/\",\"/dr/blobs\"]", NO_PAIRS, false);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "shared.0"), "missing") == 0);
    WANT(ans, strcmp(fact(&ans, "shared.1"), "is a directory, wanted a file") == 0);
    WANT(ans, strstr(fact(&ans, "shared.2"), "is not mounted") != NULL);
    for (size_t i = 0; i < ans.n_facts; i++)
        WANT(ans, strcmp(ans.facts[i].name, "shared.3") != 0 && strcmp(ans.facts[i].name, "shared.4") != 0);
}

static struct answer unpack_with(const char *node, const char *shared, const char *content)
{
    return rig_ask(&(struct ask){
        .verb = "release.unpack",
        .args = PAIRS({"dir", dir_of(node)}, {"shared", shared}, {"content", content}, {"keep", "2"}),
        .vars = PAIRS({"dir", dir_of(node)}, {"release_dir", place(node, rev1)}, {"rev", rev1}),
    });
}

/* Modes, owners and first content are for what is made. What is there is told, never changed: the release that runs may
 * need it as it is. */
static void a_shared_path_begins_as_the_pillar_says(void **state)
{
    (void)state;
    WANT_OK(step("git.fetch", "begin", rev1));
    const char *me = text("%s", sh("id -un | tr -d '\\n'")), *group = text("%s", sh("id -gn | tr -d '\\n'"));
    const char *shared =
        text("[\"/fc,mode=640,owner=%s:%s/conf/key\",\"/fc/conf/other\",\"/d,mode=2750/blobs\"]", me, group);
    const char *content = "{\"conf/key\":\"a\\n $HOME 'b'\",\"conf/other\":\"x\"}";
    struct answer ans = unpack_with("begin", shared, content);
    WANT_OK(ans);
    WANT(ans, strstr(buf_str(&rig_log), "shared/conf/key begins with what the pillar says") != NULL);
    WANT(ans, strstr(buf_str(&rig_log), "$HOME") == NULL);
    assert_string_equal(
        sh("cd $D/begin/srv/shared && stat -c '%%a %%U:%%G %%n' conf/key conf/other blobs && cat conf/key && cat %s/conf/key",
           place("begin", rev1)),
        text("640 %s:%s conf/key\n600 %s:%s conf/other\n2750 %s:%s blobs\na\n $HOME 'b'\na\n $HOME 'b'", me,
             group, me, group, me, group));
    sh("rm -rf %s; echo mine >$D/begin/srv/shared/conf/other", place("begin", rev1));
    WANT_OK(unpack_with("begin", shared, content)); /* a first content, not the content */
    assert_string_equal(
        sh("cat $D/begin/srv/shared/conf/other; find $D/begin/srv/shared -name '*.release-new'"), "mine");

    sh("rm -rf %s; chmod 600 $D/begin/srv/shared/conf/key", place("begin", rev1));
    WANT_REFUSED(unpack_with("begin", shared, content),
                 "conf/key has mode 600, wanted 640: change it there, or the pillar");
    assert_string_equal(sh("stat -c %%a $D/begin/srv/shared/conf/key"), "600");
    const char *others = text(
        "[\"/f,owner=nobody-of-that-name/gone\",\"/f,owner=%s:nobody-of-that-name/gone\",\"/f,owner=daemon/conf/other\"]",
        me);
    ans = step_with("release.probe", "begin", rev1, others, NO_PAIRS, false);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "shared.0"), "missing, and there is no user nobody-of-that-name here") == 0);
    WANT(ans, strcmp(fact(&ans, "shared.1"), "missing, and there is no group nobody-of-that-name here") == 0);
    WANT(ans, strstr(fact(&ans, "shared.2"), "wanted daemon: change it there") != NULL);
}

/* docs/promises.md#s2, S18. */
static void a_hostile_revision_reaches_nothing_outside(void **state)
{
    (void)state;
    WANT_OK(step("git.fetch", "f", link_rev));
    WANT_REFUSED(step_with("release.unpack", "f", link_rev, "[\"evil/planted\"]", NO_PAIRS, false),
                 "symbolic link in this revision");
    assert_false(sh_true("test -e /tmp/planted"));
    WANT_OK(step("git.fetch", "f", marker_rev_));
    WANT_REFUSED(step("release.unpack", "f", marker_rev_), "those names are ours");
}

static void cleaning_keeps_what_may_be_needed(void **state)
{
    (void)state;
    deploy("g", rev1);
    deploy("g", rev2);
    sh("cd $D/g/srv/releases && for i in 1 2 3 4 5 6; do cp -a %.12s-abcdef 00000000000$i-abcdef && "
       "touch -d \"2020-01-0$i\" 00000000000$i-abcdef/.release-complete; done && mkdir half && touch "
       "half/.incomplete && mkdir theirs && "
       "mkdir $D/g/outside && touch $D/g/outside/.incomplete && ln -s $D/g/outside linked",
       rev1);
    sh("cd $D/g/srv/releases/000000000003-abcdef && { sleep 300 >/dev/null 2>&1 & echo $! >$D/sleep.pid; }");
    const struct op_pair *recall =
        PAIRS({"release.before", text("%s/releases/000000000002-abcdef", dir_of("g"))});
    struct answer ans = step_with("release.clean", "g", rev2, "[]", recall, false);
    sh("kill $(cat $D/sleep.pid)");
    WANT_OK(ans);
    WANT(ans, ans.changed);
    assert_string_equal(sh("cd $D/g/srv/releases && ls | tr '\\n' ' '"),
                        sh("printf '%%s\\n' %.12s-abcdef %.12s-abcdef 000000000002-abcdef "
                           "000000000003-abcdef theirs linked | LC_ALL=C sort | "
                           "tr '\\n' ' '",
                           rev1, rev2));
    assert_true(sh_true("test -e $D/g/outside/.incomplete"));
    /* Names of commits go with the last directory that needs them. */
    sh("cd $D/g/srv/repo.git && git update-ref refs/release/0000000000000000000000000000000000000001 %s",
       rev1);
    WANT_OK(step_with("release.clean", "g", rev2, "[]", recall, false));
    assert_string_equal(sh("git --git-dir=$D/g/srv/repo.git for-each-ref --format='%%(refname)' "
                           "refs/release | tr '\n' ' '"),
                        sh("printf 'refs/release/%%s\n' %s %s | sort | tr '\n' ' '", rev1, rev2));
}

/* Attempts that failed, one release after another: there are never more than `keep` and the one that is made.
 */
static void failed_attempts_do_not_pile_up(void **state)
{
    (void)state;
    deploy("pile", rev1);
    sh("cd $D/pile/srv/releases && for i in 1 2 3 4; do cp -a %.12s-abcdef 00000000000$i-abcdef && "
       "touch -d \"2020-01-0$i\" 00000000000$i-abcdef/.release-complete; done && mkdir half && touch "
       "half/.incomplete",
       rev1);
    WANT_OK(step("git.fetch", "pile", rev2));
    WANT_OK(step_with("release.unpack", "pile", rev2, "[]",
                      PAIRS({"release.before", text("%s/releases/000000000002-abcdef", dir_of("pile"))}),
                      false));
    assert_string_equal(
        sh("cd $D/pile/srv/releases && ls | tr '\n' ' '"),
        sh("printf '%%s\n' %.12s-abcdef %.12s-abcdef 000000000002-abcdef 000000000004-abcdef | "
           "LC_ALL=C sort | tr '\n' ' '",
           rev1, rev2));
}

/* Coming over from Capistrano: its REVISION says what is there, and a way back leads there. */
static struct answer prepare(const char *verb, const char *node, const char *user)
{
    return rig_ask(&(struct ask){.verb = verb, .vars = PAIRS({"dir", dir_of(node)}, {"user", user})});
}

static void a_place_for_releases_is_made_and_what_is_there_stays(void **state)
{
    (void)state;
    const char *me = sh("id -un");
    struct answer ans = prepare("release.prepared", "new", me);
    WANT_WAITING(ans);
    WANT(ans, strcmp(fact(&ans, "prepare.state"), "missing") == 0 &&
                  strcmp(fact(&ans, "prepare.way"), "self") == 0);
    WANT_OK(prepare("release.prepare", "new", me));
    WANT_OK(prepare("release.prepared", "new", me));
    ans = prepare("release.prepare", "new", me);
    WANT_OK(ans);
    WANT(ans, !ans.changed);
    sh("mkdir -p $D/file && echo mine >$D/file/srv");
    WANT_REFUSED(prepare("release.prepare", "file", me), "is no directory");
    WANT_REFUSED(prepare("release.prepare", "new", "nobody-here"), "there is no user 'nobody-here'");
    WANT_REFUSED(prepare("release.prepare", "new", "a b"), "is not a user name");
    assert_string_equal(sh("cat $D/file/srv"), "mine");
    if (getuid() != 0)
        return;
    sh("chmod 755 $D && mkdir -p $D/foreign/srv && echo mine >$D/foreign/srv/x");
    ans = prepare("release.prepared", "foreign", "nobody");
    WANT(ans, strcmp(fact(&ans, "prepare.state"), "foreign") == 0 &&
                  strcmp(fact(&ans, "prepare.owner"), "root") == 0);
    WANT_REFUSED(prepare("release.prepare", "foreign", "nobody"), "belongs to root");
    assert_string_equal(sh("stat -c %%U $D/foreign/srv"), "root");
    WANT_OK(prepare("release.prepare", "theirs", "nobody"));
    assert_string_equal(sh("stat -c %%U $D/theirs/srv"), "nobody");
}

static void a_revision_file_names_what_is_there(void **state)
{
    (void)state;
    deploy("cap", rev1);
    sh("cd $D/cap/srv && mv releases/%.12s-abcdef releases/20240102030405 && cd releases/20240102030405 && "
       "rm .release-complete && echo %s >REVISION && ln -sfn releases/20240102030405 $D/cap/srv/current",
       rev1, rev1);
    struct answer a = rig_ask(&(struct ask){.verb = "release.probe",
                                            .args = PAIRS({"dir", dir_of("cap")}, {"layout", "rolling"}),
                                            .vars = PAIRS({"dir", dir_of("cap")})});
    WANT_OK(a);
    assert_string_equal(fact(&a, "rev_before"), rev1);
    WANT_OK(step("git.fetch", "cap", rev2));
    WANT_OK(step("release.unpack", "cap", rev2));
    WANT_OK(step("release.seal", "cap", rev2));
    WANT_OK(step("release.switch", "cap", rev2));
    WANT_OK(step_with("release.switch", "cap", rev1, "[]",
                      PAIRS({"release.before", text("%s/releases/20240102030405", dir_of("cap"))}), true));
    assert_string_equal(sh("readlink $D/cap/srv/current"), "releases/20240102030405");
}

/* The processes are asked, not the disk. */
static struct answer running_with(const char *node, const char *rev, int port, const char *started,
                                  const char *unseen)
{
    return rig_ask(&(struct ask){
        .verb = "release.running",
        .args = PAIRS({"dir", dir_of(node)}, {"port", text("%d", port)}, {"listen", "127.0.0.1"},
                      {"strict", "yes"}, {"unseen", unseen}),
        .vars = PAIRS({"rev", rev}),
        .recall = PAIRS({"app.started", started}),
    });
}

static struct answer running(const char *node, const char *rev, int port, const char *started)
{
    return running_with(node, rev, port, started, "[]");
}

static void end_app(int port)
{
    sh("kill $(cat $D/app.pid)");
    until(text("! ss -Hltn 'sport = :%d' | grep -q .", port));
}

static void the_running_revision_is_that_of_the_processes(void **state)
{
    (void)state;
    int port = port_pick();
    deploy("h", rev1);
    sh("printf 'import socket, sys, time, os\\nif len(sys.argv) > 2: os.chdir(\"/\")\\ns = socket.socket()\\n"
       "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\\ns.bind((\"127.0.0.1\", "
       "int(sys.argv[1])))\\ns.listen()\\n"
       "time.sleep(300)\\n' >$D/serve.py");
    struct answer ans = running("h", rev1, port, "");
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "how"), "disk") == 0);
    WANT_WAITING(running("h", rev1, port, "app:999999999"));

    sh("cd $D/h/srv/current && { setsid /usr/bin/python3 -S $D/serve.py %d >/dev/null 2>&1 & echo $! "
       ">$D/app.pid; }",
       port);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    ans = running("h", rev1, port, text("app:%s", sh("cat $D/app.pid")));
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "running_rev"), rev1) == 0 && strcmp(fact(&ans, "how"), "cwd") == 0);
    /* Switched on disk, but nobody restarted it. */
    deploy("h", rev2);
    ans = running("h", rev2, port, "");
    WANT_WAITING(ans);
    WANT(ans, strcmp(fact(&ans, "running_rev"), rev1) == 0 &&
                  strstr(buf_str(&rig_log), sh("cat $D/app.pid")) != NULL);
    end_app(port);

    /* One that works elsewhere is judged by its age only where the pillar allows that. */
    sh("cd $D/h/srv/current && { setsid /usr/bin/python3 -S $D/serve.py %d away >/dev/null 2>&1 & echo $! "
       ">$D/app.pid; }",
       port);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    ans = running_with("h", rev2, port, "", "[\"all\"]");
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "how"), "age") == 0 && strcmp(fact(&ans, "running_rev"), rev2) == 0);
    /* The link is made again later than the process: two whole seconds, since both times are rounded. */
    int64_t end = clock_mono_ms() + 3100;
    while (clock_mono_ms() < end)
        poll(NULL, 0, 100);
    sh("cd $D/h/srv && ln -s releases/%.12s-abcdef n && mv -T n current", rev1);
    ans = running("h", rev1, port, "");
    WANT_WAITING(ans);
    WANT(ans, strstr(buf_str(&rig_log), "older than the switch") != NULL);
    end_app(port);

    /* A worker that listens nowhere and still runs old code. */
    sh("cd %s && { setsid sleep 300 >/dev/null 2>&1 & echo $! >$D/sleep.pid; }", place("h", rev2));
    until("test \"$(readlink /proc/$(cat $D/sleep.pid)/exe)\" = \"$(readlink -f $(command -v sleep))\"");
    ans = running("h", rev1, port, "");
    WANT_WAITING(ans);
    WANT(ans, strcmp(fact(&ans, "old_pids"), sh("cat $D/sleep.pid")) == 0);
    sh("kill $(cat $D/sleep.pid)");
    until("! grep -q '^[0-9]* (.*) [^Z]' /proc/$(cat $D/sleep.pid)/stat 2>/dev/null");
    WANT_OK(running("h", rev1, port, ""));
}

/* An app started as `line` says, in /, with $PORT for its port. */
static void start_app(int port, const char *line)
{
    sh("cd / && { PORT=%d setsid sh -c '%s' >/dev/null 2>&1 & echo $! >$D/app.pid; }", port, line);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
}

/* A program whose directory is not the release's is started anew by each release and runs the same code for
 * ever: its age proves nothing. What else shows where it comes from does. */
static void age_alone_is_never_verified(void **state)
{
    (void)state;
    int port = port_pick();
    deploy("k", rev1);
    deploy("k", rev2);
    start_app(port, "exec /usr/bin/python3 -S $D/serve.py $PORT");
    const char *pid = sh("cat $D/app.pid");
    struct answer ans = running("k", rev2, port, text("site:%s", pid));
    WANT(ans, ans.outcome == OUT_UNKNOWN && strstr(ans.err.text, "released, not verified") &&
                  strstr(ans.err.text, text("pid %s", pid)) && strstr(ans.err.text, "works in /;") &&
                  strstr(ans.err.text, "directory="));
    WANT(ans, *fact(&ans, "running_rev") == '\0' && strcmp(fact(&ans, "how"), "age") == 0);
    WANT_SO(running_with("k", rev2, port, text("site:%s", pid), "[\"other\"]"), got.outcome == OUT_UNKNOWN);
    WANT_OK(running_with("k", rev2, port, text("site:%s", pid), "[\"site\"]"));
    end_app(port);

    static const struct {
        const char *line, *how;
    } seen[] = {
        {"exec /usr/bin/python3 -S $D/serve.py $PORT $D/k/srv/current/app", "command"},
        {"exec /usr/bin/python3 -S $D/serve.py $PORT --app=$D/k/srv/current", "command"},
        {"cd $D/k/srv/current && exec 8<app && cd / && exec /usr/bin/python3 -S $D/serve.py $PORT", "files"},
        {"cd $D/k/srv/current && $(cd / && :) exec /usr/bin/python3 -S $D/serve.py $PORT", "cwd"},
        /* The wrapper is what supervisord started; its child serves. */
        {"(cd $D/k/srv/current && exec /usr/bin/python3 -S $D/serve.py $PORT); :", "cwd"},
    };
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        start_app(port, seen[i].line);
        const char *started = text("site:%s", sh("cat $D/app.pid"));
        ans = running("k", rev2, port, started);
        WANT_OK(ans);
        WANT(ans,
             strcmp(fact(&ans, "how"), seen[i].how) == 0 && strcmp(fact(&ans, "running_rev"), rev2) == 0);
        WANT_WAITING(running("k", rev1, port, started));
        sh("ss -Hltnp 'sport = :%d' | sed 's/.*pid=\\([0-9]*\\).*/\\1/' | xargs kill", port);
        until(text("! ss -Hltn 'sport = :%d' | grep -q .", port));
    }
    /* By another name of the directory: the kernel knows where links lead to. */
    sh("ln -s $D/k $D/named");
    start_app(port, "cd $D/named/srv/current && exec /usr/bin/python3 -S $D/serve.py $PORT");
    ans = rig_ask(
        &(struct ask){.verb = "release.running",
                      .args = PAIRS({"dir", text("%s/named/srv", rig_dir)}, {"port", text("%d", port)},
                                    {"listen", "127.0.0.1"}, {"strict", "yes"}),
                      .vars = PAIRS({"rev", rev2})});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "how"), "cwd") == 0);
    end_app(port);
}

/* Root may read everything, and git all the same does not trust it with another's tree. */
static void a_tree_is_looked_at_as_its_owner(void **state)
{
    (void)state;
    if (getuid() != 0 || !sh_true("command -v runuser >/dev/null && id nobody >/dev/null 2>&1"))
        skip();
    int port = port_pick();
    const char *dir = dir_of("o");
    const struct op_pair *args =
        PAIRS({"repo", origin}, {"dir", dir}, {"force", "no"}, {"port", text("%d", port)},
              {"listen", "127.0.0.1"}, {"strict", "yes"});
    const struct op_pair *vars = PAIRS({"dir", dir}, {"release_dir", dir}, {"rev", rev1}, {"user", "nobody"});
    sh("chmod 755 $D && mkdir -p %s && git clone -q $D/work %s && git -C %s checkout -q %s && chown -R "
       "nobody %s && "
       "! git -C %s rev-parse HEAD 2>/dev/null",
       sh("dirname %s", dir), dir, dir, rev1, dir, dir);
    rig_target.ssh.user = "root";
    struct answer ans = rig_ask(&(struct ask){.verb = "git.running", .args = args, .vars = vars});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "running_rev"), rev1) == 0);
    WANT_OK(rig_ask(&(struct ask){.verb = "release.probe", .args = PAIRS({"dir", dir}), .vars = vars}));
    /* Without `user`, root would leave its own files in there. */
    vars = PAIRS({"dir", dir}, {"release_dir", dir}, {"rev", rev1});
    WANT_REFUSED(rig_ask(&(struct ask){.verb = "release.probe", .args = PAIRS({"dir", dir}), .vars = vars}),
                 "give `user: nobody`");
    /* What git says is never swallowed. */
    sh("echo nonsense >%s/.git/HEAD", dir);
    WANT_SO(rig_ask(&(struct ask){.verb = "git.running", .args = args, .vars = vars}),
            got.outcome == OUT_UNKNOWN && strstr(got.err.text, "not a git repository"));
    rig_target.ssh.user = NULL;
}

static void in_place_the_process_must_be_younger_than_the_checkout(void **state)
{
    (void)state;
    int port = port_pick();
    const char *dir = dir_of("i");
    const struct op_pair *args =
        PAIRS({"repo", origin}, {"dir", dir}, {"force", "no"}, {"port", text("%d", port)},
              {"listen", "127.0.0.1"}, {"strict", "yes"});
    const struct op_pair *vars = PAIRS({"dir", dir}, {"release_dir", dir}, {"rev", rev1});
    WANT_OK(rig_ask(&(struct ask){.verb = "release.probe", .args = PAIRS({"dir", dir}), .vars = vars}));
    WANT_OK(rig_ask(&(struct ask){.verb = "git.fetch", .args = args, .vars = vars}));
    WANT_OK(rig_ask(&(struct ask){.verb = "git.checkout", .args = args, .vars = vars}));
    struct answer ans =
        rig_ask(&(struct ask){.verb = "release.probe", .args = PAIRS({"dir", dir}), .vars = vars});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "rev_before"), rev1) == 0 && strcmp(fact(&ans, "dirty"), "0") == 0);
    sh("cd %s && { setsid /usr/bin/python3 -S $D/serve.py %d >/dev/null 2>&1 & echo $! >$D/app.pid; }", dir,
       port);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    ans = rig_ask(&(struct ask){.verb = "git.running", .args = args, .vars = vars});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "how"), "cwd") == 0);
    vars = PAIRS({"dir", dir}, {"release_dir", dir}, {"rev", rev2});
    WANT_WAITING(rig_ask(&(struct ask){.verb = "git.running", .args = args, .vars = vars}));
    int64_t end = clock_mono_ms() + 3100;
    while (clock_mono_ms() < end)
        poll(NULL, 0, 100);
    WANT_OK(rig_ask(&(struct ask){.verb = "git.fetch", .args = args, .vars = vars}));
    WANT_OK(rig_ask(&(struct ask){.verb = "git.checkout", .args = args, .vars = vars}));
    ans = rig_ask(&(struct ask){.verb = "git.running", .args = args, .vars = vars});
    sh("kill $(cat $D/app.pid)");
    WANT_WAITING(ans);
    WANT(ans, strstr(buf_str(&rig_log), "older than the switch") != NULL);
    sh("echo hand >%s/app", dir);
    ans = rig_ask(&(struct ask){.verb = "release.probe", .args = PAIRS({"dir", dir}), .vars = vars});
    WANT(ans, strcmp(fact(&ans, "dirty"), "1") == 0 && strstr(fact(&ans, "dirty_files"), "app") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_release_and_the_same_again),
        cmocka_unit_test(the_way_back_leads_to_the_directory_of_before),
        cmocka_unit_test(what_cannot_be_named_is_not_taken_for_nothing),
        cmocka_unit_test(partial_directories_are_made_again),
        cmocka_unit_test(what_git_writes_itself_is_as_committed),
        cmocka_unit_test(a_shared_path_that_is_missing_is_refused),
        cmocka_unit_test(a_directory_of_the_repository_is_the_application),
        cmocka_unit_test(a_shared_path_begins_as_the_pillar_says),
        cmocka_unit_test(shared_paths_are_linked_and_nothing_moves_silently),
        cmocka_unit_test(a_hostile_revision_reaches_nothing_outside),
        cmocka_unit_test(cleaning_keeps_what_may_be_needed),
        cmocka_unit_test(failed_attempts_do_not_pile_up),
        cmocka_unit_test(a_place_for_releases_is_made_and_what_is_there_stays),
        cmocka_unit_test(a_revision_file_names_what_is_there),
        cmocka_unit_test(the_running_revision_is_that_of_the_processes),
        cmocka_unit_test(age_alone_is_never_verified),
        cmocka_unit_test(a_tree_is_looked_at_as_its_owner),
        cmocka_unit_test(in_place_the_process_must_be_younger_than_the_checkout),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
