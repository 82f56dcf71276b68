/* SPDX-License-Identifier: MIT */
/* nginx, for kinds.h: two real ones with the same paths. The second stands in a mount namespace of its own, and is reached through a
 * real sshd there. What they run is read from their file of servers, and an operator writes that and reloads. */
#include "unit/kinds.h"
#include "unit/second_host.h"

static struct ngx_world {
    pid_t nginx[2], app;
    int front[2], app_port;
    char dir[2][100]; /* from outside; inside both are the first */
    char include[160], pid[160], command[300];
    struct second_host second;
} ngx;

static const char *ngx_path(size_t peer, const char *name)
{
    static char paths[4][200];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", ngx.dir[peer], name);
    return p;
}

static const char *ngx_text(size_t peer)
{
    static char text[2000];
    FILE *f = fopen(ngx_path(peer, "servers.conf"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static enum seen ngx_shows(size_t peer, const char *server)
{
    char key[32];
    snprintf(key, sizeof key, "# %s\n", server);
    const char *text = ngx_text(peer), *end = strstr(text, key), *line = end;
    assert_non_null(end);
    while (line > text && line[-1] != '\n')
        line--;
    const char *down = strstr(line, " down");
    return down && down < end ? SEEN_OUT : SEEN_IN;
}

/* All workers of now are gone: what stands in the file is what runs. */
static void ngx_reload(size_t peer)
{
    char old[500] = "", path[80];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)ngx.nginx[peer], (int)ngx.nginx[peer]);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    if (!fgets(old, sizeof old, f))
        old[0] = '\0';
    fclose(f);
    kill(ngx.nginx[peer], SIGHUP);
    rig_until(({
        bool lives = false;
        char *end;
        for (const char *p = old; *p; p = end + strspn(end, " ")) {
            long one = strtol(p, &end, 10);
            if (end == p)
                break;
            lives = lives || kill((pid_t)one, 0) == 0;
        }
        !lives;
    }));
}

static void ngx_write(size_t peer, const char *down)
{
    char text[1000] = "";
    for (int i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "app%d", i);
        snprintf(text + strlen(text), sizeof text - strlen(text), "server 127.0.0.%d:%d%s; # %s\n", i,
                 ngx.app_port, strstr(down, name) ? " down" : "", name);
    }
    const char *next = ngx_path(peer, "next");
    rig_write(next, "%s", text);
    assert_int_equal(rename(next, ngx_path(peer, "servers.conf")), 0);
    ngx_reload(peer);
}

static void ngx_hand(size_t peer, const char *server, enum seen want)
{
    char down[40] = "";
    for (int i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "app%d", i);
        if (strcmp(name, server) == 0 ? want != SEEN_IN : ngx_shows(peer, name) == SEEN_OUT)
            strcat(strcat(down, name), " ");
    }
    ngx_write(peer, down);
}

static void ngx_forget(size_t peer)
{
    ngx_write(peer, "");
}

/* nginx's name for the driver: it can be made to refuse a changed file, and to lose its caller's connection after a reload. */
static void ngx_write_program(size_t peer)
{
    rig_write(
        ngx_path(peer, "program"),
        "#!/bin/sh\nd=%s\n"
        "[ -e $d/refuse ] && case \" $*\" in *' -t') echo 'nginx: [emerg] not now' >&2; exit 1;; esac\n"
        "nginx -c $d/nginx.conf -e $d/error.log \"$@\" || exit\n"
        "[ -e $d/lose ] && case \"$*\" in *reload) rm $d/lose; ps -o pid= --ppid \"$(cat $d/sshd.pid)\" | xargs -r kill -9;; esac\n"
        "exit 0\n",
        ngx.dir[0]);
    chmod(ngx_path(peer, "program"), 0755);
}

static void ngx_write_conf(size_t peer)
{
    const char *d = ngx.dir[0]; /* as it is called inside */
    rig_write(
        ngx_path(peer, "nginx.conf"),
        "daemon off;\n%spid %s/nginx.pid;\nworker_processes 1;\nevents { worker_connections 64; }\nhttp {\n access_log off;\n"
        " client_body_temp_path %s/t1; proxy_temp_path %s/t2;\n fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path "
        "%s/t5;\n upstream site { include %s/servers.conf; }\n"
        " server { listen 127.0.0.1:%d; location / { proxy_pass http://site; proxy_http_version 1.1;\n"
        "  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; } }\n}\n",
        getuid() == 0 ? "user root;\n" : "", d, d, d, d, d, d, d, ngx.front[peer]);
}

static bool ngx_start(const char **ret_why)
{
    if (getuid() != 0 || system("unshare -m true 2>/dev/null") != 0) {
        *ret_why = "its second host is a mount namespace, which only root may make here";
        return false;
    }
    ngx.app_port = port_pick();
    ngx.app = rig_app(ngx.app_port);
    for (size_t i = 0; i < 2; i++) {
        snprintf(ngx.dir[i], sizeof ngx.dir[i], "%s/n%zu", rig_dir, i);
        assert_int_equal(mkdir(ngx.dir[i], 0755), 0);
        ngx.front[i] = port_pick();
    }
    snprintf(ngx.include, sizeof ngx.include, "%s/servers.conf", ngx.dir[0]);
    snprintf(ngx.pid, sizeof ngx.pid, "%s/nginx.pid", ngx.dir[0]);
    snprintf(ngx.command, sizeof ngx.command, "[\"%s/program\"]", ngx.dir[0]);
    for (size_t i = 0; i < 2; i++) {
        char line[600];
        ngx_write_program(i);
        ngx_write_conf(i);
        rig_write(ngx_path(i, "servers.conf"), "server 127.0.0.1:%d; # app1\n", ngx.app_port);
        snprintf(line, sizeof line, "%s exec nginx -c %s/nginx.conf -e %s/error.log",
                 i ? "mount --make-rprivate / && mount --bind ../n1 ../n0 &&" : "", ngx.dir[0], ngx.dir[0]);
        char shell[900];
        snprintf(shell, sizeof shell, "cd %s && %s", ngx.dir[0], line);
        ngx.nginx[i] = i ? rig_spawn((const char *const[]){"unshare", "-m", "sh", "-c", shell, NULL})
                         : rig_spawn((const char *const[]){"sh", "-c", shell, NULL});
        rig_until(rig_port_open(ngx.front[i]));
    }
    second_host_start(&ngx.second, ngx.nginx[1], "SHLVL=5");
    rig_write(ngx_path(1, "sshd.pid"), "%d\n", (int)ngx.second.sshd);
    return true;
}

static void ngx_stop(void)
{
    second_host_stop(&ngx.second);
    rig_stop(&ngx.nginx[0], SIGTERM);
    rig_stop(&ngx.nginx[1], SIGTERM);
    rig_stop(&ngx.app, SIGKILL);
}

static void ngx_touch(size_t peer, const char *name, bool there)
{
    if (there)
        rig_write(ngx_path(peer, name), "x");
    else
        unlink(ngx_path(peer, name));
}

/* Of the second. */
static void ngx_fault(size_t peer, enum fault f)
{
    ngx_touch(peer, "refuse", f == FAULT_REFUSES);
    ngx_touch(peer, "lose", f == FAULT_LOSES);
    if (peer == 0)
        return;
    second_host_fault(&ngx.second, f);
    rig_write(ngx_path(1, "sshd.pid"), "%d\n", (int)ngx.second.sshd);
}

static void ngx_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        ngx_fault(i, FAULT_NONE);
        ngx_write(i, "");
    }
}

static size_t ngx_args(struct op_pair *ret)
{
    size_t n = args_add(ret, 0, "hosts", "[\"localhost\",\"" SECOND_HOST "\"]");
    n = args_add(ret, args_add(ret, n, "upstream", "[\"site\"]"), "include", ngx.include);
    n = args_add(ret, args_add(ret, n, "pid", ngx.pid), "command", ngx.command);
    return args_add(ret, n, "idle", "workers");
}

static int ngx_busy(void)
{
    return rig_tunnel(ngx.front[0], "app1");
}

static struct kind nginx_kind = {
    .name = "nginx",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_FORGET,
    .peers = 2,
    .no_loss = true,
    .start = ngx_start,
    .stop = ngx_stop,
    .fresh = ngx_fresh,
    .args = ngx_args,
    .shows = ngx_shows,
    .hand = ngx_hand,
    .forget = ngx_forget,
    .fault = ngx_fault,
    .busy = ngx_busy,
};
