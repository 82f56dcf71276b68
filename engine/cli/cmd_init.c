/* SPDX-License-Identifier: MIT */
/* release init: a commented starting pillar, guessed from the checkout it is called in. It never overwrites.
 */
#include "cli/init.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

static const struct option_def options[] = {
    {.name = "from", .arg = "KIND", .help = "read the files of another tool: capistrano"},
    OPTION_END,
};

struct guess {
    const char *file, *what, *program, *build;
};

/* The first that is there decides; the build lines are what such projects usually do, for the reader to
 * correct. */
static const struct guess guesses[] = {
    {"buildout.cfg", "a buildout (Plone, Zope)", "zope",
     "    - cmd.run: {cmd: bin/buildout -N, timeout: 30m}\n"},
    {"manage.py", "a Django project", "gunicorn",
     "    - cmd.run: {cmd: python3 -m venv env, creates: env/bin/python}\n"
     "    - cmd.run: {cmd: env/bin/pip install -r requirements.txt, timeout: 10m}\n"
     "    - cmd.run: {cmd: env/bin/python manage.py collectstatic --noinput}\n"
     "    - cmd.run: {cmd: env/bin/python manage.py migrate --noinput, once: first}\n"},
    {"composer.json", "a PHP project", "php-fpm",
     "    - cmd.run: {cmd: composer install --no-dev --no-interaction, timeout: 10m}\n"},
    {"package.json", "a Node project", "web",
     "    - npm.install: {dir: .}\n    - cmd.run: {cmd: npm run build, timeout: 10m}\n"},
    {NULL, "a project of a kind that init does not know", "web",
     "    # - cmd.run: {cmd: make, timeout: 10m}\n"},
};

static const struct guess *guess_project(void)
{
    const struct guess *g = guesses;
    while (g->file && access(g->file, F_OK) != 0)
        g++;
    return g;
}

/* The first `url = ` line of .git/config: no git is needed, and none is run in a directory that may be
 * hostile. */
static const char *guess_repo(struct arena *arena)
{
    auto_close_file FILE *f = fopen(".git/config", "re");
    char line[1024];
    while (f && fgets(line, sizeof line, f)) {
        const char *p = line + strspn(line, " \t");
        if (!str_starts(p, "url"))
            continue;
        p += 3 + strspn(p + 3, " \t=");
        return arena_strndup(arena, p, strcspn(p, "\r\n'\""));
    }
    return "https://git.example.org/site.git";
}

static const char *guess_branch(struct arena *arena)
{
    auto_close_file FILE *f = fopen(".git/HEAD", "re");
    char line[1024];
    if (f && fgets(line, sizeof line, f) && str_starts(line, "ref: refs/heads/")) {
        const char *name = arena_strndup(arena, line + 16, strcspn(line + 16, "\r\n"));
        if (rev_valid(name))
            return name;
    }
    return "main";
}

static const char *guess_app(struct arena *arena)
{
    char dir[4096];
    const char *name = getcwd(dir, sizeof dir) ? strrchr(dir, '/') : NULL;
    return name && name_valid(name + 1, 64) ? arena_strdup(arena, name + 1) : "site";
}

static const char *pillar_for(struct arena *arena, const char *env)
{
    const struct guess *g = guess_project();
    const char *app = guess_app(arena);
    return arena_printf(
        arena,
        "# The %s environment: %s. What each key means: docs/pillar.md\n"
        "# 'release check %s' says what is still wrong; it changes nothing.\n"
        "release:\n"
        "  app: %s\n"
        "  repo: '%s'\n"
        "  branch: '%s'                  # what --rev defaults to\n"
        "  dir: /srv/%s                  # on the nodes: repo.git, releases/, shared/, current\n"
        "  user: %s                      # who owns it and runs the build there\n"
        "  plan: rolling                 # build beside the running release, switch node by node\n"
        "  app_servers:                  # your nodes, in the order of a release\n"
        "    app1: {host: 10.10.10.11, port: 8080}\n"
        "    app2: {host: 10.10.10.12, port: 8080}\n"
        "  ssh: {user: deploy}           # the rest comes from your own ssh configuration\n"
        "  balancer:\n"
        "    haproxy: {sockets: ['tcp://lb1:9999'], backend: %s, drain_timeout: 60s}\n"
        "  supervisor: {programs: [%s]}\n"
        "  # shared: [{path: .env, file: yes}, var/]  # kept over releases, linked into each\n"
        "  build:                        # beside the running release, before anything is taken out of "
        "rotation\n"
        "%s"
        "  check: {url: 'http://{host}:{port}/', status: 200, stable: 3, within: 60s}\n"
        "  stages: [1, 100%%]             # one node first, judged for `soak`, then the rest\n"
        "  soak: 30s\n"
        "  window: 1                     # nodes out of rotation at once\n"
        "  min_up: 50%%                   # so many must stay in rotation, read live from the balancer\n"
        "  on_failure: rollback\n",
        env, g->what, env, app, guess_repo(arena), guess_branch(arena), app, app, app, g->program, g->build);
}

static int write_new(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    size_t n = strlen(text);
    if (fd < 0 && errno == EEXIST) {
        say_error("init: %s is there already; it is left as it is ('release check' judges it)", path);
        return EXIT_USAGE;
    }
    if (fd < 0 || write(fd, text, n) != (ssize_t)n) {
        say_error("init: %s cannot be written: %s", path, strerror(errno));
        return EXIT_USAGE;
    }
    return 0;
}

/* ---- from another tool */

/* One of these for each tool whose files are read as a whole; the others are refused by name. */
struct other_tool {
    const char *kind;
    const char *const *(*envs)(struct arena *arena); /* all that its files have */
    bool (*read)(struct import *t, const char *env, struct err *err);
    const char *env; /* where the files have none */
};
static const struct other_tool other_tools[] = {
    {"capistrano", capistrano_stages, capistrano_read, "prod"},
};

static const struct other_tool *tool_find(const char *kind)
{
    auto_buf struct buf known = BUF_INIT(256);
    for (size_t i = 0; i < sizeof other_tools / sizeof *other_tools; i++) {
        if (strcmp(other_tools[i].kind, kind) == 0)
            return &other_tools[i];
        buf_printf(&known, "%s%s", i ? ", " : "", other_tools[i].kind);
    }
    say_error(
        "init: --from %s: the files of that tool are not read; wanted one of: %s. docs/coming-from.md has its words beside ours",
        kind, buf_str(&known));
    return NULL;
}

static void tell_left(const struct import *t)
{
    for (size_t i = 0; i < t->left.n; i++)
        say_note("%s: not taken along: %s", t->left.list[i].place, t->left.list[i].text);
}

static int write_one(struct cli *cli, const struct other_tool *tool, const char *dir, const char *env)
{
    struct import t = {.arena = &cli->arena, .env = env};
    const char *path = arena_printf(&cli->arena, "%s/%s.sls", dir, env);
    struct err err;
    if (!tool->read(&t, env, &err)) {
        err_wrap(&err, "init: %s", env);
        return say_err(&err);
    }
    const char *text = taken_pillar(&t, tool->kind);
    if (!text) {
        say_error("init: %s would be longer than a pillar may be", path);
        return EXIT_USAGE;
    }
    int status = write_new(path, text);
    if (status)
        return status;
    tell_left(&t);
    out_printf(
        "wrote %s: %zu server%s, %zu thing%s not taken along (they stand in the file too); next: release doctor %s\n",
        path, t.n_servers, t.n_servers == 1 ? "" : "s", t.left.n, t.left.n == 1 ? "" : "s", env);
    return 0;
}

/* The environment that was named, else all. One that is there already is left as it is; the others are written all the same. */
static int write_from(struct cli *cli, const char *kind, const char *dir)
{
    const struct other_tool *tool = tool_find(kind);
    if (!tool)
        return EXIT_USAGE;
    const char *const *envs = tool->envs(&cli->arena);
    if (cli->n_words)
        return write_one(cli, tool, dir, cli->words[0]);
    if (!envs[0])
        return write_one(cli, tool, dir, tool->env);
    int worst = 0;
    for (; *envs; envs++) {
        int status = write_one(cli, tool, dir, *envs);
        worst = status ? status : worst;
    }
    return worst;
}

static int run(struct cli *cli)
{
    const char *root = cli_opt(cli, "root") ? cli_opt(cli, "root") : ".";
    const char *env = cli->n_words ? cli->words[0] : "prod";
    if (!name_valid(env, 64)) {
        say_error("init: '%s' cannot be an environment's name (letters, digits, '.', '_' and '-')", env);
        return EXIT_USAGE;
    }
    umask(022); /* a pillar without secrets, to be committed and shared */
    const char *dir = arena_printf(&cli->arena, "%s/pillar", root);
    if ((mkdir(root, 0777) != 0 && errno != EEXIST) || (mkdir(dir, 0777) != 0 && errno != EEXIST)) {
        say_error("init: %s cannot be made: %s", dir, strerror(errno));
        return EXIT_USAGE;
    }
    if (cli_opt(cli, "from"))
        return write_from(cli, cli_opt(cli, "from"), dir);
    const char *path = arena_printf(&cli->arena, "%s/%s.sls", dir, env);
    int status = write_new(path, pillar_for(&cli->arena, env));
    if (!status)
        out_printf("wrote %s for %s; fill in your servers, then: release check %s\n", path,
                   guess_project()->what, env);
    return status;
}

const struct command command_init = {
    .name = "init",
    .summary = "A commented starting pillar, guessed from a checkout",
    .usage = "[ENV] [--from KIND]",
    .text =
        "Writes pillar/ENV.sls (default prod) under --root or here, guessed from package.json, manage.py,\n"
        "buildout.cfg, composer.json and .git. It never overwrites. --from reads the files of another tool, without\n"
        "running them: each value stands in the pillar with the place where it was found, and what could not be taken\n"
        "along is listed. capistrano: Capfile, config/deploy.rb, config/deploy/ENV.rb (without ENV: all stages).",
    .example = "  cd site && release init\n  cd site && release init --from capistrano production",
    .options = options,
    .max_words = 1,
    .run = run,
};
