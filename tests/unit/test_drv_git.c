/* SPDX-License-Identifier: MIT */
/* drivers/verbs/git.c against real git: names and hashes, hostile revisions, fetching, the in-place checkout, and
 * what a killed git leaves behind. */
#include "unit/drv_rig.h"

static const char *origin, *rev1, *rev2, *rev3, *side;

static const char *commit(const char *name, const char *what)
{
    return sh("cd $D/work && echo '%s' >%s && git add -A && git commit -qm '%s: %s' && git rev-parse HEAD",
              what, name, name, what);
}

static int setup(void **state)
{
    (void)state;
    rig_open();
    sh("git init -q -b main $D/work");
    rev1 = commit("app", "one");
    rev2 = commit("app", "two");
    sh("cd $D/work && git tag -a -m v2 v2");
    sh("cd $D/work && git checkout -q -b side %s", rev1);
    side = commit("other", "side");
    sh("cd $D/work && git checkout -q main");
    rev3 = commit("app", "three");
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

static struct answer resolve(const char *typed)
{
    return rig_ask(&(struct ask){.verb = "git.resolve", .args = PAIRS({"repo", origin}, {"rev", typed})});
}

static void resolves_to(const char *typed, const char *rev, const char *kind)
{
    struct answer ans = resolve(typed);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "rev"), rev) == 0 && strcmp(fact(&ans, "rev_kind"), kind) == 0);
}

static void names_and_hashes_become_forty_digits(void **state)
{
    (void)state;
    resolves_to("main", rev3, "branch");
    resolves_to("refs/heads/side", side, "branch");
    resolves_to("v2", rev2, "tag");
    resolves_to(rev1, rev1, "hash");
    resolves_to(text("%.7s", rev1), rev1, "hash");
    resolves_to(text("%.12s", side), side, "hash");
    struct answer ans = resolve("main");
    WANT(ans, strcmp(fact(&ans, "subject"), "app: three") == 0 && strcmp(fact(&ans, "author"), "Ann") == 0);
    WANT_REFUSED(resolve("no-such"), "no branch and no tag called no-such");
    WANT_REFUSED(resolve("no-such"), "main");
    WANT_REFUSED(resolve("0123456789012345678901234567890123456789"), "no commit");
    WANT_REFUSED(resolve("HEAD"), "no branch and no tag");
}

static void what_is_known_in_full_needs_no_repository(void **state)
{
    (void)state;
    WANT_OK(resolve(rev1));
    sh("mv $D/origin.git $D/away.git");
    struct answer full = resolve(rev1), name = resolve("main");
    sh("mv $D/away.git $D/origin.git");
    WANT_OK(full);
    WANT_REFUSED(name, "cannot read");
}

/* docs/promises.md#s3: git itself would take the branch, with a warning. */
static void a_branch_named_like_a_hash_never_wins(void **state)
{
    (void)state;
    const char *like = text("%.7s", rev1);
    sh("git -C $D/origin.git branch %s main && git -C $D/origin.git branch deadbee main", like);
    resolves_to(like, rev1, "hash");
    struct answer ans = resolve("deadbee");
    WANT_REFUSED(ans, "refs/heads/deadbee has that name");
    WANT(ans, strstr(ans.err.text, rev3) != NULL);
    resolves_to("refs/heads/deadbee", rev3, "branch");
    sh("git -C $D/origin.git branch -D %s deadbee", like);
}

static void ambiguous_names_and_hashes_list_what_they_could_mean(void **state)
{
    (void)state;
    sh("git -C $D/origin.git tag side main");
    struct answer ans = resolve("side");
    WANT_REFUSED(ans, "ambiguous");
    WANT(ans, strstr(ans.err.text, "refs/heads/side") && strstr(ans.err.text, "refs/tags/side"));
    sh("git -C $D/origin.git tag -d side");
    /* 400 commits: two of them share their first 4 digits (birthdays: 70 % at 400, so more until it is so).
     */
    const char *prefix = sh(
        "cd $D/work && git checkout -q -b many && t=$(git write-tree) && p=$(git rev-parse HEAD) && n=0 && "
        "while :; do n=$((n+1)); git -c core.fsync=none commit-tree -p $p -m \"n $n\" $t; "
        "[ $n -ge 700 ] && break; done >$D/all && "
        "cut -c 1-4 $D/all | sort | uniq -d | head -n 1");
    if (strlen(prefix) != 4) {
        print_message("no two of 700 commits share four digits: the ambiguous hash was not tried\n");
        return;
    }
    sh("cd $D/work && n=0; for c in $(grep '^%s' $D/all); do n=$((n+1)); git push -q $D/origin.git "
       "$c:refs/heads/amb$n; done",
       prefix);
    ans = resolve(prefix);
    WANT_REFUSED(ans, "ambiguous");
    WANT(ans, strstr(ans.err.text, "write more digits") != NULL);
    sh("cd $D/origin.git && git for-each-ref --format='delete %%(refname)' 'refs/heads/amb*' | git "
       "update-ref --stdin");
}

/* docs/promises.md#s1. Whatever is typed, nothing runs and no file appears. */
static void hostile_revisions_do_nothing(void **state)
{
    (void)state;
    const char *canary = text("%s/canary", rig_dir);
    const char *hostile[] = {
        "",
        " ",
        "-",
        "--",
        "-h",
        "--help",
        "--all",
        "--output=%s",
        "-o%s",
        "--upload-pack=touch %s",
        "-utouch %s",
        "--exec=touch %s",
        "--exec-path=%s",
        "--git-dir=%s",
        "--end-of-options",
        "ext::sh -c touch% %s",
        "ext::touch",
        "@{0}",
        "main@{0}",
        "main@{upstream}",
        "@",
        "main~1",
        "main^",
        "main^{commit}",
        "main^{/one}",
        ":/one",
        ":app",
        "main:app",
        "main..side",
        "main...side",
        "..",
        "../x",
        "a..b",
        "main\n",
        "main\nside",
        "\nmain",
        "main side",
        "main\tside",
        "main\r",
        "$(touch %s)",
        "`touch %s`",
        "main;touch %s",
        "main|touch %s",
        "main&touch %s",
        "main>%s",
        "'main'",
        "\"main\"",
        "*",
        "ma*n",
        "ma?n",
        "[m]ain",
        "refs/heads/../heads/main",
        "refs/heads/",
        "/main",
        "main/",
        "main//x",
        "main.lock",
        ".main",
        "main.",
        "\x1b[31m",
        "\x01",
        "\xff\xfe",
        "main\\",
        "HEAD^",
        "-c core.pager=touch",
        "refs/heads/--upload-pack=touch",
        "FETCH_HEAD",
        "stash@{0}",
    };
    size_t n = sizeof hostile / sizeof hostile[0];
    assert_true(n >= 60);
    for (size_t i = 0; i < n; i++) {
        const char *typed = strstr(hostile[i], "%s") ? text(hostile[i], canary) : hostile[i];
        struct answer ans = resolve(typed);
        if (ans.outcome != OUT_FAILED)
            print_error("accepted: '%s'\n", typed);
        WANT(ans, ans.outcome == OUT_FAILED && *fact(&ans, "rev") == '\0');
        assert_int_not_equal(access(canary, F_OK), 0);
    }
    char *longest = arena_alloc(&rig_arena, 4097);
    memset(longest, 'a', 4096);
    struct answer ans = resolve(longest);
    WANT(ans, ans.outcome == OUT_FAILED);
    /* Nor does a repository's address, or a revision that a damaged plan brings to a node. */
    static const char *const repos[] = {"ext::touch %s", "--upload-pack=touch %s", "fd::17", "x::y",
                                        "http://127.0.0.1:9/x"};
    for (size_t i = 0; i < sizeof repos / sizeof repos[0]; i++) {
        const char *repo = text(repos[i], canary);
        ans = rig_ask(&(struct ask){.verb = "git.resolve", .args = PAIRS({"repo", repo}, {"rev", "main"})});
        WANT(ans, ans.outcome == OUT_FAILED);
        assert_int_not_equal(access(canary, F_OK), 0);
    }
    ans = rig_ask(
        &(struct ask){.verb = "git.fetch",
                      .args = PAIRS({"repo", origin}, {"dir", text("%s/x", rig_dir)}, {"rev", "main"})});
    WANT_REFUSED(ans, "40 hex digits");
    ans = rig_ask(&(struct ask){
        .verb = "git.fetch",
        .args = PAIRS({"repo", origin}, {"dir", text("%s/x", rig_dir)}, {"rev", text("%.39s", rev1)})});
    WANT_REFUSED(ans, "40 hex digits");
    ans = rig_ask(&(struct ask){.verb = "git.fetch",
                                .args = PAIRS({"repo", origin}, {"dir", "/srv/../etc"}, {"rev", rev1})});
    WANT_REFUSED(ans, "absolute path");
}

/* A server that answers nobody until the file `go` is there; the port stands in the file `port`. */
static const char slow_server[] =
    "import os,socket,subprocess,sys,threading,time\n"
    "d=sys.argv[1]\n"
    "s=socket.create_server(('127.0.0.1',0))\n"
    "open(d+'/port.new','w').write(str(s.getsockname()[1]))\n"
    "os.rename(d+'/port.new',d+'/port')\n"
    "def serve(c):\n"
    "  "
    "p=subprocess.Popen(['git','daemon','--inetd','--export-all','--base-path='+d,d],stdin=c,stdout="
    "subprocess.PIPE)\n"
    "  while not os.path.exists(d+'/go'): time.sleep(.05)\n"
    "  for b in iter(lambda: p.stdout.read1(65536),b''): c.sendall(b)\n"
    "  c.close()\n"
    "while 1:\n"
    "  threading.Thread(target=serve,args=(s.accept()[0],),daemon=True).start()\n";

static void a_slow_first_fetch_is_not_lost(void **state)
{
    (void)state;
    const char *path = text("%s/slow.py", rig_dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(slow_server, f);
    fclose(f);
    const char *pid =
        sh("python3 $D/slow.py $D >/dev/null 2>&1 & echo $!; n=0; while [ ! -e $D/port ] && [ $n -lt 300 ]; "
           "do sleep 0.1; n=$((n+1)); done");
    const char *url = text("git://127.0.0.1:%s/origin.git", sh("cat $D/port"));
    struct ask ask = {.verb = "git.resolve", .args = PAIRS({"repo", url}, {"rev", "v2"}), .timeout_ms = 4000};
    struct answer ans = rig_ask(&ask);
    WANT_REFUSED(ans, "the fetch goes on by itself");
    ans = rig_ask(&ask); /* still at it */
    WANT_REFUSED(ans, "a fetch that an earlier attempt began is still going on");
    sh("touch $D/go");
    ask.timeout_ms = 30000;
    ans = rig_ask(&ask);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "rev"), rev2) == 0);
    sh("kill %s", pid);
}

/* What the nodes do not bring is refused before any is touched. */
static void submodules_and_lfs_are_refused_by_name(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b sub %s && git update-index --add --cacheinfo 160000,%s,lib/x && git "
       "commit -qm sub && "
       "git checkout -qf -b lfs %s && mkdir -p img && echo '*.png filter=lfs diff=lfs merge=lfs -text' "
       ">img/.gitattributes && "
       "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%%064d\\nsize 1\\n' 0 >img/a.png && "
       "git add -A && "
       "git commit -qm lfs && git push -q $D/origin.git sub lfs && git checkout -qf main",
       rev1, rev2, rev1);
    WANT_REFUSED(resolve("sub"), "submodules (lib/x)");
    WANT_REFUSED(resolve("lfs"), "git-lfs (img/a.png)");
    const struct op_pair *ignore = PAIRS({"repo", origin}, {"rev", "sub"}, {"submodules", "ignore"},
                                         {"shared", "[\"app\",\"no\",\"/fr/app\"]"});
    struct answer ans = rig_ask(&(struct ask){.verb = "git.resolve", .args = ignore});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "holds.0"), "yes") == 0 && strcmp(fact(&ans, "holds.2"), "yes") == 0);
    for (size_t i = 0; i < ans.n_facts; i++)
        WANT(ans, strcmp(ans.facts[i].name, "holds.1") != 0);
}

static struct answer resolve_wanting(const char *rev, const char *what, const char *value)
{
    return rig_ask(
        &(struct ask){.verb = "git.resolve", .args = PAIRS({"repo", origin}, {"rev", rev}, {what, value})});
}

/* The fact that says why not; NULL: it is as wanted. */
static const char *unwanted(const struct answer *ans, const char *guard)
{
    for (size_t i = 0; i < ans->n_facts; i++)
        if (strcmp(ans->facts[i].name, guard) == 0)
            return ans->facts[i].value;
    return NULL;
}

static void a_revision_must_be_on_a_branch_that_is_allowed(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b release/1.2 %s && echo r >r && git add r && git commit -qm r && git push -q "
       "$D/origin.git release/1.2 && git checkout -q -b idea && echo i >i && git add i && git commit -qm i && git push -q "
       "$D/origin.git idea && git checkout -qf main",
       rev1);
    const char *idea = text("%s", sh("git --git-dir=$D/origin.git rev-parse idea"));
    struct answer ans = resolve_wanting("release/1.2", "allow", "[\"main\",\"release/*\"]");
    WANT_OK(ans);
    WANT(ans, unwanted(&ans, "guard.allow") == NULL);
    ans = resolve_wanting(idea, "allow", "[\"main\",\"release/*\"]");
    WANT_OK(ans);
    WANT(ans, strcmp(unwanted(&ans, "guard.allow"), "is on idea and on none of 'main release/*'") == 0);
    /* Merged since: the commit was known before, the branch's new place was not. */
    sh("git --git-dir=$D/origin.git update-ref refs/heads/release/1.2 %s", idea);
    ans = resolve_wanting(idea, "allow", "[\"main\",\"release/*\"]");
    WANT(ans, unwanted(&ans, "guard.allow") == NULL);
    /* And gone from it again. */
    sh("git --git-dir=$D/origin.git update-ref refs/heads/release/1.2 %s", rev1);
    ans = resolve_wanting(idea, "allow", "[\"main\",\"release/*\"]");
    WANT(ans, unwanted(&ans, "guard.allow") != NULL);
    ans = resolve_wanting("idea", "allow", "[\"release\"]"); /* a pattern is of the whole name */
    WANT(ans, unwanted(&ans, "guard.allow") != NULL);
}

static void a_revision_may_be_too_old(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b aged %s && echo o >o && git add o && GIT_COMMITTER_DATE=\"$(date -d '-49 hours' +%%s) +0000\" "
       "git commit -qm o && git push -q $D/origin.git aged && git checkout -qf main",
       rev1);
    struct answer ans = resolve_wanting("aged", "max_age", "50h");
    WANT_OK(ans);
    WANT(ans, unwanted(&ans, "guard.max_age") == NULL);
    ans = resolve_wanting("aged", "max_age", "48h");
    WANT(ans, str_starts(unwanted(&ans, "guard.max_age"), "is 2 days and 1 hours old (committed "));
}

/* By ssh and by OpenPGP, the commit or the tag that was named; by nobody, by a stranger, changed since. */
static void a_revision_must_be_signed_by_one_of_ours(void **state)
{
    (void)state;
    sh("cd $D && ssh-keygen -q -t ed25519 -N '' -C '' -f ours && ssh-keygen -q -t ed25519 -N '' -C '' -f stranger && "
       "printf 'ann@example.org %%s\n' \"$(cat ours.pub)\" >signers && "
       "cd work && signed() { git -c gpg.format=ssh -c user.signingkey=$D/$1 \"$2\" \"$3\" \"$4\" \"$5\"; } && "
       "git checkout -q -b by-ours %s && echo 1 >s && git add s && signed ours commit -S -q -mours && "
       "git checkout -q -b by-stranger %s && echo 2 >s && git add s && signed stranger commit -S -q -mstranger && "
       "git checkout -q -b by-nobody %s && echo 3 >s && git add s && git commit -q -mnobody && "
       "signed ours tag -s v9 -mnine && git checkout -q -b nobody-at-all && echo 4 >s && git commit -qamall && git tag plain && "
       "signed stranger tag -s v8 -meight && "
       "git push -q $D/origin.git by-ours by-stranger by-nobody nobody-at-all v9 v8 plain && git checkout -qf main",
       rev1, rev1, rev1);
    const char *signers = text("%s/signers", rig_dir);
    struct answer ans = resolve_wanting("by-ours", "signers", signers);
    WANT_OK(ans);
    WANT(ans, unwanted(&ans, "guard.signed") == NULL);
    ans = resolve_wanting("v9", "signers", signers);
    WANT(ans, unwanted(&ans, "guard.signed") == NULL);
    ans = resolve_wanting(fact(&ans, "rev"), "signers", signers); /* as a room's yes gives the order */
    WANT(ans, unwanted(&ans, "guard.signed") == NULL);
    ans = resolve_wanting("by-stranger", "signers", signers);
    WANT(ans, str_starts(unwanted(&ans, "guard.signed"), "has no signature that counts: "));
    ans = resolve_wanting("v8", "signers", signers);
    WANT(ans, unwanted(&ans, "guard.signed") != NULL);
    ans = resolve_wanting(rev1, "signers", signers);
    WANT(ans, strcmp(unwanted(&ans, "guard.signed"), "has no signature that counts: it is not signed") == 0);
    WANT_REFUSED(resolve_wanting("by-ours", "signers", "/nowhere/signers"), "cannot read /nowhere/signers");
    WANT_REFUSED(resolve_wanting("by-ours", "keyring", signers), "git: keyring: ");

    sh("mkdir -m 700 $D/gnupg && cd $D && export GNUPGHOME=$D/gnupg && gpg --batch -q --passphrase '' --quick-gen-key ann@example.org "
       "ed25519 sign never 2>/dev/null && gpg --batch --export >keyring && cd work && git checkout -q -b by-pgp %s && echo 4 >s && git "
       "add s && git -c user.signingkey=ann@example.org commit -S -q -mpgp && git push -q $D/origin.git by-pgp && git checkout -qf "
       "main; gpgconf --kill all",
       rev1);
    const char *keyring = text("%s/keyring", rig_dir);
    ans = resolve_wanting("by-pgp", "keyring", keyring);
    WANT_OK(ans);
    WANT(ans, unwanted(&ans, "guard.signed") == NULL);
    ans = resolve_wanting("by-ours", "keyring", keyring);
    WANT(ans, unwanted(&ans, "guard.signed") != NULL);
    ans = resolve_wanting("by-pgp", "signers", signers);
    WANT(ans, unwanted(&ans, "guard.signed") != NULL);
}

static struct answer resolve_path(const char *rev, const char *path)
{
    return rig_ask(&(struct ask){
        .verb = "git.resolve",
        .args = PAIRS({"repo", origin}, {"rev", rev}, {"path", path}, {"shared", "[\"app\",\"conf/a\"]"})});
}

/* git: {path: apps/site}: what lies beside that directory is not asked about, what it lacks is said. */
static void a_directory_of_the_repository_is_looked_at_alone(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b apps %s && mkdir -p apps/site/conf apps/blog && echo a "
       ">apps/site/conf/a && ln -s site apps/link && git add -A && git update-index --add --cacheinfo "
       "160000,%s,apps/blog/x && git commit -qm site && git push -q $D/origin.git apps && "
       "git checkout -qf main",
       rev1, rev2);
    const char *rev = sh("git --git-dir=$D/origin.git rev-parse apps");
    WANT_REFUSED(resolve("apps"), "submodules (apps/blog/x)");
    struct answer ans = resolve_path("apps", "apps/site");
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "rev"), rev) == 0 && strcmp(fact(&ans, "holds.1"), "yes") == 0);
    for (size_t i = 0; i < ans.n_facts; i++)
        WANT(ans,
             strcmp(ans.facts[i].name, "holds.0") != 0 && strcmp(ans.facts[i].name, "path_trouble") != 0);
    WANT_REFUSED(resolve_path("apps", "apps/blog"), "submodules (x)");
    static const char *const rows[][2] = {
        {"apps/shop", "is not there (directories of apps: blog site)"},
        {"a/b/c", "is not there (directories: apps)"},
        {"apps/site/conf/a", "is a file there, wanted a directory"},
        {"apps/blog/x", "is a submodule there, which is another repository: give the address of that one"},
        {"apps/link", "is a symbolic link there; give the directory that it leads to"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ans = resolve_path("apps", rows[i][0]);
        WANT_OK(ans);
        WANT(ans, strcmp(fact(&ans, "path_trouble"), rows[i][1]) == 0);
    }
    static const char *const bad[] = {"/apps",  "apps/../x", "apps//x", "apps/", "-x",
                                      "apps/*", ":(top)x",   ".",       ".git"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        WANT_REFUSED(resolve_path("apps", bad[i]), "wanted a directory of the repository");
    ans = rig_ask(
        &(struct ask){.verb = "git.log",
                      .args = PAIRS({"repo", origin}, {"from", rev1}, {"rev", rev}, {"path", "apps/site"})});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "count"), "1") == 0 && strstr(fact(&ans, "commit.1"), "site") != NULL);
    ans = rig_ask(
        &(struct ask){.verb = "git.log",
                      .args = PAIRS({"repo", origin}, {"from", rev1}, {"rev", rev3}, {"path", "apps/site"})});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "count"), "0") == 0 && strcmp(fact(&ans, "direction"), "forward") == 0);
}

static struct answer log_of(const char *from, const char *to)
{
    return rig_ask(
        &(struct ask){.verb = "git.log", .args = PAIRS({"repo", origin}, {"from", from}, {"rev", to})});
}

static void the_log_says_which_way_it_goes(void **state)
{
    (void)state;
    struct answer ans = log_of(rev1, rev3);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "direction"), "forward") == 0 && strcmp(fact(&ans, "count"), "2") == 0);
    WANT(ans,
         strstr(fact(&ans, "commit.1"), "Ann app: three") && strstr(fact(&ans, "commit.2"), "Ann app: two"));
    ans = log_of(rev3, rev1);
    WANT(ans, strcmp(fact(&ans, "direction"), "backward") == 0 && strcmp(fact(&ans, "count"), "2") == 0);
    ans = log_of(side, rev3);
    WANT(ans, strcmp(fact(&ans, "direction"), "sideways") == 0 && strcmp(fact(&ans, "removed"), "1") == 0);
    ans = log_of(rev1, rev1);
    WANT(ans, strcmp(fact(&ans, "direction"), "same") == 0 && strcmp(fact(&ans, "count"), "0") == 0);
}

static struct answer node_git(const char *verb, const char *dir, const char *rev, bool in_place,
                              const char *force)
{
    return rig_ask(&(struct ask){
        .verb = verb,
        .args = PAIRS({"repo", origin}, {"dir", dir}, {"rev", rev}, {"force", force}),
        .vars = PAIRS({"dir", dir}, {"release_dir", in_place ? dir : text("%s/releases/x", dir)}),
    });
}

static void a_commit_is_fetched_once(void **state)
{
    (void)state;
    const char *dir = text("%s/node1/srv", rig_dir);
    WANT_WAITING(node_git("git.fetched", dir, rev1, false, "no"));
    struct answer ans = node_git("git.fetch", dir, rev1, false, "no");
    WANT_OK(ans);
    WANT(ans, ans.changed);
    WANT_OK(node_git("git.fetched", dir, rev1, false, "no"));
    WANT_WAITING(node_git("git.fetched", dir, rev3, false, "no"));
    sh("mv $D/origin.git $D/away.git");
    struct answer again = node_git("git.fetch", dir, rev1, false, "no"),
                  other = node_git("git.fetch", dir, rev3, false, "no");
    sh("mv $D/away.git $D/origin.git");
    WANT_OK(again);
    WANT(again, !again.changed);
    WANT_REFUSED(other, "cannot fetch");
    WANT_OK(node_git("git.fetch", dir, rev3, false, "no"));
    ans = node_git("git.fetch", dir, "0123456789012345678901234567890123456789", false, "no");
    WANT_REFUSED(ans, "no commit 0123");
}

static void hooks_and_monitors_of_a_repository_do_not_run(void **state)
{
    (void)state;
    const char *dir = text("%s/node2/srv", rig_dir);
    WANT_OK(node_git("git.fetch", dir, rev1, true, "no"));
    sh("printf '#!/bin/sh\\ntouch $D/hooked\\n' >$D/hook && chmod +x $D/hook && cd %s/.git && mkdir -p hooks "
       "&& "
       "for h in post-checkout pre-auto-gc reference-transaction post-merge post-index-change; do cp $D/hook "
       "hooks/$h; done && "
       "git config core.fsmonitor $D/hook",
       dir);
    WANT_OK(node_git("git.checkout", dir, rev1, true, "no"));
    WANT_OK(node_git("git.fetch", dir, rev2, true, "no"));
    WANT_OK(node_git("git.checkout", dir, rev2, true, "no"));
    assert_false(sh_true("test -e $D/hooked"));
}

static void an_existing_clone_is_taken_as_it_is(void **state)
{
    (void)state;
    const char *dir = text("%s/node3", rig_dir);
    sh("git clone -q $D/origin.git $D/node3 && cd $D/node3 && git checkout -q %s && echo mine >untracked",
       rev1);
    struct answer ans = node_git("git.fetch", dir, rev3, true, "no");
    WANT_OK(ans);
    ans = node_git("git.checkout", dir, rev3, true, "no");
    WANT_OK(ans);
    WANT(ans, ans.changed && strcmp(fact(&ans, "git.before"), rev1) == 0);
    WANT(ans, strcmp(sh("cat $D/node3/app $D/node3/untracked | tr '\\n' ' '"), "three mine ") == 0);
    WANT_OK(node_git("git.checked_out", dir, rev3, true, "no"));
    WANT_WAITING(node_git("git.checked_out", dir, rev1, true, "no"));
    ans = node_git("git.checkout", dir, rev3, true, "no");
    WANT_OK(ans);
    WANT(ans, !ans.changed);
    /* A file that git does not know would be overwritten. */
    sh("cd $D/node3 && echo mine >other");
    ans = node_git("git.fetch", dir, side, true, "no");
    WANT_OK(ans);
    WANT_REFUSED(node_git("git.checkout", dir, side, true, "no"), "overwritten by checkout");
    WANT(ans, strcmp(sh("cd $D/node3 && cat other app | tr '\\n' ' '"), "mine three ") == 0);
    WANT_OK(node_git("git.checked_out", dir, rev3, true, "no"));
}

static void files_changed_by_hand_are_kept(void **state)
{
    (void)state;
    const char *dir = text("%s/node4", rig_dir);
    WANT_OK(node_git("git.fetch", dir, rev1, true, "no"));
    WANT_OK(node_git("git.checkout", dir, rev1, true, "no"));
    sh("echo by hand >$D/node4/app");
    WANT_REFUSED(node_git("git.fetch", dir, rev2, true, "no"), "changed by hand: app");
    struct answer ans = node_git("git.fetch", dir, rev2, true, "yes");
    WANT_OK(ans);
    WANT_REFUSED(node_git("git.checkout", dir, rev2, true, "no"), "changed by hand: app");
    WANT(ans, strcmp(sh("cat $D/node4/app"), "by hand") == 0);
    WANT_OK(node_git("git.checkout", dir, rev2, true, "yes"));
    WANT(ans, strcmp(sh("cat $D/node4/app"), "two") == 0);
    sh("mkdir -p $D/node5 && echo x >$D/node5/precious");
    WANT_REFUSED(node_git("git.fetch", text("%s/node5", rig_dir), rev1, true, "no"),
                 "not empty and not a git checkout");
}

/* A killed git leaves locks; a running one must keep them. */
/* Line ends that .gitattributes speaks against: git calls such a file modified as soon as it wrote it. */
static void what_git_writes_itself_is_no_change_by_hand(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q -b crlf %s && printf 'a\\r\\nb\\r\\n' >x.js && printf 'c\\r\\n' >'odd "
       "name.js' && "
       "git add -A && git commit -qm crlf && echo '*.js text eol=lf' >.gitattributes && git add "
       ".gitattributes && "
       "git commit -qm attributes",
       rev1);
    const char *first = sh("cd $D/work && git rev-parse HEAD");
    const char *second =
        sh("cd $D/work && echo new >added && git add -A app added && git commit -qm second && "
           "git rev-parse HEAD");
    sh("cd $D/work && git push -q $D/origin.git crlf");
    const char *dir = text("%s/crlf", rig_dir);
    for (int i = 0; i < 2; i++) { /* there, back, and there again */
        const char *rev = i ? second : first;
        WANT_OK(node_git("git.fetch", dir, rev, true, "no"));
        WANT_OK(node_git("git.checkout", dir, rev, true, "no"));
        WANT_OK(node_git("git.checked_out", dir, rev, true, "no"));
    }
    assert_true(strstr(sh("git -C $D/crlf status --porcelain -uno"), "x.js") != NULL); /* git still says so */
    WANT_OK(node_git("git.checkout", dir, first, true, "no"));
    sh("echo mine >$D/crlf/added");
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "is in the way");
    sh("rm $D/crlf/added && printf 'a\\r\\nmine\\r\\n' >$D/crlf/x.js");
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "1 files changed by hand: x.js");
    sh("printf 'a\\r\\nb\\r\\n' >$D/crlf/x.js && chmod +x \"$D/crlf/odd name.js\"");
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "1 files changed by hand: odd name.js");
    sh("cd $D/work && git checkout -qf main");
}

static struct answer build(const char *dir, const char *cmd)
{
    return rig_ask(&(struct ask){
        .verb = "cmd.run",
        .args = PAIRS({"cmd", cmd}),
        .vars = PAIRS({"dir", dir}, {"release_dir", dir}, {"rev", rev1}, {"phase", "change"}),
    });
}

/* A build that edits files of the commit, removes one, and leaves one that the next revision brings: none of
 * it is in the next release's way, whatever became of the build; what a person changed is. */
static void what_our_own_build_changed_is_not_by_hand(void **state)
{
    (void)state;
    const char *dir = text("%s/built", rig_dir);
    sh("cd $D/work && git checkout -q -b built %s && echo lock >lock && echo gone >gone && git add -A && git "
       "commit -qm lock",
       rev1);
    const char *first = sh("cd $D/work && git rev-parse HEAD");
    const char *second =
        sh("cd $D/work && echo b >brought && echo 2 >app && git add -A && git commit -qm second && "
           "git push -q $D/origin.git built && git rev-parse HEAD && git checkout -qf main");
    WANT_OK(node_git("git.fetch", dir, first, true, "no"));
    WANT_OK(node_git("git.checkout", dir, first, true, "no"));
    struct answer ans = build(dir, "env >$D/env; echo built >>lock; rm gone; echo b >brought; chmod +x app");
    WANT_OK(ans);
    assert_false(sh_true("grep -q ^GIT_OPTIONAL_LOCKS $D/env")); /* the command's environment is its own */
    WANT_OK(node_git("git.fetch", dir, second, true, "no"));

    sh("echo mine >>$D/built/lock"); /* over what the build had left there */
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "1 files changed by hand: lock");
    WANT_OK(build(dir, "true")); /* nor does a later step of ours take it for its own */
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "1 files changed by hand: lock");
    sh("cd $D/built && git checkout -q lock && echo mine >brought");
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "brought is in the way");
    sh("echo b >$D/built/brought");
    WANT_OK(build(dir, "true"));
    WANT_OK(node_git("git.checkout", dir, second, true, "no"));
    WANT_OK(node_git("git.checked_out", dir, second, true, "no"));
    WANT(ans, strcmp(sh("cd $D/built && git status --porcelain; cat lock gone brought | tr '\\n' ' '"),
                     "lock gone b ") == 0);

    /* A new file alone. */
    WANT_OK(node_git("git.checkout", dir, first, true, "no"));
    WANT_OK(build(dir, "echo b >brought"));
    WANT_OK(node_git("git.checkout", dir, second, true, "no"));

    /* A build that fails, and one whose machine lost power: nobody saw its end. */
    WANT_REFUSED(build(dir, "echo half >lock; exit 3"), "status 3");
    WANT_OK(node_git("git.checkout", dir, first, true, "no"));
    sh("echo mine >$D/built/gone");
    WANT_REFUSED(build(dir, "echo half >lock; kill -9 $PPID"), "");
    WANT_REFUSED(node_git("git.checkout", dir, second, true, "no"), "1 files changed by hand: gone");
    sh("cd $D/built && git checkout -q gone");
    WANT_OK(node_git("git.checkout", dir, second, true, "no"));

    /* The same revision again is built from its commit, not from what an earlier build left. */
    WANT_OK(build(dir, "echo built >lock"));
    WANT_OK(node_git("git.checkout", dir, second, true, "no"));
    WANT(ans, strcmp(sh("cat $D/built/lock"), "lock") == 0);
}

static void locks_of_a_killed_git_are_removed(void **state)
{
    (void)state;
    const char *dir = text("%s/node6", rig_dir);
    WANT_OK(node_git("git.fetch", dir, rev1, true, "no"));
    WANT_OK(node_git("git.checkout", dir, rev1, true, "no"));
    sh("cd $D/node6/.git && touch index.lock HEAD.lock packed-refs.lock && mkdir -p refs/release && touch "
       "refs/release/%s.lock && "
       "mkdir -p objects/pack && touch objects/pack/tmp_pack_x",
       rev2);
    /* Something called git that works there: a copy of sleep. */
    sh("cp $(command -v sleep) $D/git && cd $D/node6 && { $D/git 300 >/dev/null 2>&1 & echo $! >$D/git.pid; "
       "}");
    until("grep -qx git /proc/$(cat $D/git.pid)/comm");
    WANT_REFUSED(node_git("git.fetch", dir, rev2, true, "no"), sh("cat $D/git.pid"));
    sh("kill $(cat $D/git.pid)");
    until("! grep -q '^[0-9]* (.*) [^Z]' /proc/$(cat $D/git.pid)/stat 2>/dev/null");
    struct answer ans = node_git("git.fetch", dir, rev2, true, "no");
    WANT_OK(ans);
    WANT(ans, strstr(buf_str(&rig_log), "index.lock") != NULL);
    WANT_OK(node_git("git.checkout", dir, rev2, true, "no"));
    assert_false(sh_true("find $D/node6/.git -name '*.lock' -o -name 'tmp_pack_*' | grep -q ."));
}

/* docs/promises.md#m38: kill -9 at many points, then the same step again. */
static void a_killed_checkout_is_done_again(void **state)
{
    (void)state;
    sh("cd $D/work && git checkout -q main && for i in $(seq 300); do echo $i >f$i; done && git add -A && "
       "git commit -qm files && "
       "git push -q $D/origin.git main");
    const char *many = sh("git -C $D/origin.git rev-parse main");
    const char *dir = text("%s/node7", rig_dir);
    WANT_OK(node_git("git.fetch", dir, rev1, true, "no"));
    WANT_OK(node_git("git.fetch", dir, many, true, "no"));
    int64_t began = clock_mono_ms();
    WANT_OK(node_git("git.checkout", dir, many, true, "no"));
    int whole_ms = (int)(clock_mono_ms() - began), cut = 0;
    for (int i = 1; i <= 12; i++) {
        WANT_OK(node_git("git.checkout", dir, rev1, true, "no"));
        struct answer ans = rig_ask(&(struct ask){
            .verb = "git.checkout",
            .args = PAIRS({"repo", origin}, {"dir", dir}, {"rev", many}, {"force", "no"}),
            .vars = PAIRS({"dir", dir}, {"release_dir", dir}),
            .timeout_ms = 1 + whole_ms * i / 12,
        });
        cut += ans.outcome != OUT_OK;
        WANT_OK(node_git("git.checkout", dir, many, true, "no"));
        WANT_OK(node_git("git.checked_out", dir, many, true, "no"));
        assert_string_equal(sh("cd $D/node7 && ls f* | wc -l && git status --porcelain | wc -l"), "300\n0");
    }
    print_message("%d of 12 checkouts were cut short\n", cut);
    assert_true(cut > 0);
    /* The kill itself, in the middle of the files. */
    WANT_OK(node_git("git.checkout", dir, rev1, true, "no"));
    sh("cd $D/node7 && echo %s >.git/release-checkout && for i in 1 2 3; do echo $i >f$i; done && git "
       "update-index --add f1 f2 && "
       "touch .git/index.lock",
       many);
    WANT_WAITING(node_git("git.checked_out", dir, many, true, "no"));
    WANT_OK(node_git("git.checkout", dir, many, true, "no"));
    WANT_OK(node_git("git.checked_out", dir, many, true, "no"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_hashes_become_forty_digits),
        cmocka_unit_test(what_is_known_in_full_needs_no_repository),
        cmocka_unit_test(a_branch_named_like_a_hash_never_wins),
        cmocka_unit_test(ambiguous_names_and_hashes_list_what_they_could_mean),
        cmocka_unit_test(hostile_revisions_do_nothing),
        cmocka_unit_test(the_log_says_which_way_it_goes),
        cmocka_unit_test(a_commit_is_fetched_once),
        cmocka_unit_test(hooks_and_monitors_of_a_repository_do_not_run),
        cmocka_unit_test(an_existing_clone_is_taken_as_it_is),
        cmocka_unit_test(files_changed_by_hand_are_kept),
        cmocka_unit_test(locks_of_a_killed_git_are_removed),
        cmocka_unit_test(submodules_and_lfs_are_refused_by_name),
        cmocka_unit_test(a_revision_must_be_on_a_branch_that_is_allowed),
        cmocka_unit_test(a_revision_may_be_too_old),
        cmocka_unit_test(a_revision_must_be_signed_by_one_of_ours),
        cmocka_unit_test(a_directory_of_the_repository_is_looked_at_alone),
        cmocka_unit_test(a_slow_first_fetch_is_not_lost),
        cmocka_unit_test(what_git_writes_itself_is_no_change_by_hand),
        cmocka_unit_test(what_our_own_build_changed_is_not_by_hand),
        cmocka_unit_test(a_killed_checkout_is_done_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
