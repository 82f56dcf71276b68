/* SPDX-License-Identifier: MIT */
/* source: {artifact: ..} (drivers/verbs/source.c): what was built elsewhere reaches a node byte for byte, and what does not fit is
 * refused before. Real tar, git and an HTTPS server of Python's. */
#include "drivers/verbs/scripts.h"
#include "unit/drv_rig.h"

static int setup(void **state)
{
    (void)state;
    rig_open();
    sh("mkdir -p $D/tree/bin $D/tree/empty $D/builds && cd $D/tree && printf 'one\\r\\n' >text && printf '* text eol=crlf\\n*.txt text eol=lf ident\\n' "
       ">.gitattributes && printf 'a\\r\\n$Id$\\n' >b.txt && printf '#!/bin/sh\\n' >bin/run && chmod 755 bin/run && "
       "ln -s bin/run start && printf x >'\"quoted' && printf ignored >.log && printf '.log\\n' >.gitignore");
    sh("cd $D && tar -czf builds/shop-1.0.tar.gz -C tree . && mv tree shop-1.1 && echo two >shop-1.1/new && tar -cJf builds/shop-1.1.tar.gz shop-1.1");
    return 0;
}

/* Answers $D/builds by https; asks for the token, redirects what is below /moved/, and counts what it gave. */
static const char server[] =
    "import http.server, os, ssl, sys\n"
    "class Builds(http.server.SimpleHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        if (self.headers.get('Authorization') == 'Bearer sesame') != (self.headers['Host'].split(':')[0] == '127.0.0.1'):\n"
    "            return self.send_error(401)\n"
    "        if self.path.startswith('/moved/'):\n"
    "            self.send_response(302)\n"
    "            self.send_header('Location', '/' + self.path[7:])\n"
    "            self.send_header('Content-Length', '0')\n"
    "            return self.end_headers()\n"
    "        print(self.path, file=open('gave', 'a'))\n"
    "        super().do_GET()\n"
    "s = http.server.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), Builds)\n"
    "t = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
    "t.load_cert_chain('cert.pem', 'key.pem')\n"
    "s.socket = t.wrap_socket(s.socket, server_side=True)\n"
    "open('up', 'w').close()\n"
    "s.serve_forever()\n";

static int serve(void)
{
    int port = port_pick();
    FILE *f = fopen(text("%s/builds/serve.py", rig_dir), "w");
    assert_non_null(f);
    fputs(server, f);
    fclose(f);
    sh("cd $D/builds && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,IP:127.0.0.2 "
       "-keyout key.pem -out cert.pem 2>/dev/null && { setsid /usr/bin/python3 -S serve.py %d >/dev/null 2>&1 </dev/null & echo $! >pid; } && "
       "n=0; while [ ! -e up ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n + 1)); done; test -e up",
       port);
    return port;
}

static int teardown(void **state)
{
    (void)state;
    sh("! test -e $D/builds/pid || kill $(cat $D/builds/pid) 2>/dev/null || true");
    rig_close();
    return 0;
}

static struct answer resolve(const char *version, const char *artifact, const char *sha256, const char *strip)
{
    return rig_ask(
        &(struct ask){.verb = "source.resolve",
                      .args = PAIRS({"repo", text("artifact:%s", artifact)}, {"artifact", artifact},
                                    {"rev", version}, {"sha256", sha256}, {"strip", strip})});
}

static const char *shop(void)
{
    return text("%s/builds/shop-{rev}.tar.gz", rig_dir);
}

static struct answer step(const char *verb, const char *repo, const char *rev, const char *release)
{
    return rig_ask(&(struct ask){.verb = verb,
                                 .args = PAIRS({"repo", repo}, {"dir", text("%s/n", rig_dir)}, {"rev", rev},
                                               {"via", "controller"},
                                               {"release_dir", text("%s/n/releases/%s", rig_dir, release)})});
}

static void bring(const char *version, const char *sha256, const char *strip)
{
    struct answer ans = resolve(version, shop(), sha256, strip);
    WANT_OK(ans);
    const char *rev = fact(&ans, "rev"), *repo = text("artifact:%s", shop());
    assert_int_equal(strlen(rev), 40);
    assert_string_equal(fact(&ans, "rev_kind"), "artifact");
    assert_string_equal(fact(&ans, "subject"), text("shop-%s.tar.gz", version));
    WANT_OK(step("git.fetch", repo, rev, version));
    WANT_OK(
        rig_ask(&(struct ask){.verb = "release.unpack",
                              .args = PAIRS({"dir", text("%s/n", rig_dir)}, {"rev", rev},
                                            {"release_dir", text("%s/n/releases/%s", rig_dir, version)})}));
}

static void every_byte_arrives(void **state)
{
    (void)state;
    struct answer ans = resolve("1.0", shop(), "", "0");
    WANT(ans, strstr(buf_str(&rig_log), "1 empty directories are not brought"));
    bring("1.0", "", "0");
    sh("rm -rf $D/want && mkdir $D/want && tar -xzf $D/builds/shop-1.0.tar.gz -C $D/want && rmdir $D/want/empty && "
       "rm $D/n/releases/1.0/.incomplete");
    assert_string_equal(sh("diff -r --no-dereference $D/want $D/n/releases/1.0 && echo same"), "same");
    assert_string_equal(sh("test -x $D/n/releases/1.0/bin/run && readlink $D/n/releases/1.0/start"),
                        "bin/run");
}

/* A directory at the top is left out; of what is there already nothing is sent again; the same bytes are the same commit. */
static void versions_share_what_they_have(void **state)
{
    (void)state;
    bring("1.1", sh("sha256sum <$D/builds/shop-1.1.tar.gz | cut -d ' ' -f 1"), "1");
    assert_string_equal(sh("cat $D/n/releases/1.1/new && ls $D/n/releases/1.1 | wc -l"), "two\n6");
    int64_t smallest = strtoll(
        sh("ls -S -l $XDG_CACHE_HOME/release/mirrors/*.packs/ | grep -v sum | tail -n 1 | awk '{ print $5 }'"),
        NULL, 10);
    assert_in_range(smallest, 1, 1000);
    struct answer before = resolve("1.1", shop(), "", "1");
    const char *rev = fact(&before, "rev"), *mirrors = sh("ls -d $XDG_CACHE_HOME/release/mirrors");
    sh("mv %s $D/away", mirrors);
    struct answer gone = step("git.fetch", text("artifact:%s", shop()), rev, "1.1x");
    WANT_OK(gone); /* the node has it */
    sh("rm -rf $D/n/repo.git");
    WANT_REFUSED(step("git.fetch", text("artifact:%s", shop()), rev, "1.1x"), "release check --rev NAME");
    struct answer after = resolve("1.1", shop(), "", "1");
    assert_string_equal(fact(&after, "rev"), rev);
    WANT_OK(resolve(rev, shop(), "", "1"));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    WANT_REFUSED(resolve("2.0", shop(), "", "0"), "there is no");
    WANT_REFUSED(resolve("1.0", shop(), text("%064d", 1), "0"), "wanted 0000");
    WANT_REFUSED(resolve("a b", shop(), "", "0"), "not the name of a version");
    WANT_REFUSED(resolve("../x", shop(), "", "0"), "not the name of a version");
    WANT_REFUSED(resolve("1.0", "http://127.0.0.1:1/{rev}", "", "0"), "wanted https");
    WANT_REFUSED(resolve("1.0", "builds/{rev}", "", "0"), "absolute");
    static const char *const bad[][2] = {
        {"mkdir $D/bad/.git && touch $D/bad/.git/x", "a repository of its own"},
        {"mkfifo $D/bad/pipe", "neither file, directory nor symbolic link"},
        {"touch $D/bad/su && chmod 4755 $D/bad/su", "set-user-ID"},
        {"touch \"$D/bad/a\nb\"", "line feed"},
        {"true", "holds nothing"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sh("rm -rf $D/bad && mkdir $D/bad && %s && tar -cf $D/builds/bad.tar -C $D/bad .", bad[i][0]);
        WANT_REFUSED(resolve("bad", text("%s/builds/{rev}.tar", rig_dir), "", "0"), bad[i][1]);
    }
    sh("echo text >$D/builds/text.tar");
    WANT_REFUSED(resolve("text", text("%s/builds/{rev}.tar", rig_dir), "", "0"), "cannot unpack");
    /* Nothing of it is left. */
    assert_string_equal(sh("ls $XDG_CACHE_HOME/release/mirrors | grep -c work || true"), "0");
}

/* Dates that say nothing (reproducible builds), and a directory that is a link. */
static void dates_before_all_dates(void **state)
{
    (void)state;
    static const char *const times[] = {"@0", "@1", "1960-01-01"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        sh("mkdir -p $D/dated && echo x >$D/dated/x && tar --mtime='%s' -cf $D/builds/dated-%zu.tar -C $D dated",
           times[i], i);
        WANT_OK(resolve(text("%zu", i), text("%s/builds/dated-{rev}.tar", rig_dir), "", "1"));
    }
    sh("ln -sfn $D/dated $D/latest");
    WANT_OK(resolve("latest", text("%s/{rev}", rig_dir), "", "0"));
}

/* As another user than the one who owns it; root reads everything. */
static void what_cannot_be_read_is_not_left_out(void **state)
{
    (void)state;
    if (getuid() != 0)
        return skip();
    sh("mkdir -p $D/closed/private && echo x >$D/closed/private/x && echo y >$D/closed/y && chmod 711 $D && chmod 700 $D/closed/private");
    assert_non_null(strstr(
        sh("cat >$D/try.sh <<'END'\n%s\nEND\nchmod 644 $D/try.sh; mkdir -p $D/nobody && chown nobody $D/nobody && "
           "HOME=$D/nobody XDG_CACHE_HOME=$D/nobody runuser -u nobody -- sh $D/try.sh import key artifact:x/closed 30 v '' 0 "
           "$D/closed 2>/dev/null || true",
           script_source),
        "refuse auth cannot read all of"));
}

static void a_directory_and_a_digest_file(void **state)
{
    (void)state;
    const char *sums = text("%s/builds/SHA256SUMS", rig_dir);
    sh("cd $D/builds && sha256sum shop-1.0.tar.gz shop-1.1.tar.gz >SHA256SUMS");
    WANT_OK(resolve("1.0", shop(), sums, "0"));
    sh("for i in $(seq 2000); do echo \"$(printf %%064d $i)  shop-0.$i.tar.gz\"; done >$D/builds/more && cat $D/builds/SHA256SUMS >>$D/builds/more && "
       "mv $D/builds/more $D/builds/SHA256SUMS");
    WANT_OK(resolve("1.0", shop(), sums, "0"));
    sh("sed -i s/^./x/ $D/builds/SHA256SUMS");
    WANT_REFUSED(resolve("1.0", shop(), sums, "0"), "holds no SHA-256 of");
    struct answer one = resolve("1.1", text("%s/shop-{rev}", rig_dir), "", "0");
    WANT_OK(one);
    sh("echo three >$D/shop-1.1/new");
    struct answer two = resolve("1.1", text("%s/shop-{rev}", rig_dir), "", "0");
    WANT_OK(two);
    WANT(two, strcmp(fact(&one, "rev"), fact(&two, "rev")) != 0 &&
                  strstr(buf_str(&rig_log), "not the one that had this name before"));
}

static struct answer over_https(int port, const char *path, const char *version, const char *token,
                                const char *ca)
{
    const char *url = text("https://127.0.0.1:%d/%sshop-{rev}.tar.gz", port, path);
    return rig_ask(
        &(struct ask){.verb = "source.resolve",
                      .args = PAIRS({"repo", text("artifact:%s", url)}, {"artifact", url}, {"rev", version},
                                    {"sha256", text("https://127.0.0.2:%d/SHA256SUMS", port)},
                                    {"token", token}, {"ca", ca}, {"strip", "0"})});
}

static void by_https(void **state)
{
    (void)state;
    int port = serve();
    const char *ca = text("%s/builds/cert.pem", rig_dir);
    sh("cd $D/builds && sha256sum shop-1.0.tar.gz >SHA256SUMS");
    WANT_REFUSED(over_https(port, "", "1.0", "", ca), "answered 401");
    WANT_REFUSED(over_https(port, "", "1.0", "sesame", ""), "certificate");
    WANT_REFUSED(over_https(port, "", "9.9", "sesame", ca), "holds no SHA-256 of");
    struct answer ans = over_https(port, "moved/", "1.0", "sesame", ca),
                  own = resolve("1.0", shop(), "", "0");
    WANT_OK(ans);
    assert_string_equal(fact(&ans, "rev"), fact(&own, "rev"));
    assert_null(strstr(buf_str(&rig_log), "sesame"));
    /* What is known by its digest is not fetched again. */
    WANT_OK(over_https(port, "moved/", "1.0", "sesame", ca));
    assert_string_equal(sh("grep -c shop-1.0 $D/builds/gave"), "1");
    sh("cd $D/builds && sed s/1.0.tar/9.9.tar/ SHA256SUMS >more && cat more >>SHA256SUMS");
    WANT_REFUSED(over_https(port, "", "9.9", "sesame", ca), "is not there (404)");
    sh("kill $(cat $D/builds/pid) && rm $D/builds/pid");
    WANT_REFUSED(over_https(port, "", "1.0", "sesame", ca), "127.0.0.2");
    assert_string_equal(sh("ls $XDG_CACHE_HOME/release/mirrors | grep -c fetched || true"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives),
        cmocka_unit_test(versions_share_what_they_have),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(by_https),
        cmocka_unit_test(dates_before_all_dates),
        cmocka_unit_test(what_cannot_be_read_is_not_left_out),
        cmocka_unit_test(a_directory_and_a_digest_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
