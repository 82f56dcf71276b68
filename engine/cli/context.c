/* SPDX-License-Identifier: MIT */
/* Which root, environment, pillar, journal and person a command works with. */
#include "cli/session.h"

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

const char *cli_root(const struct cli *cli)
{
    const char *root = cli_opt(cli, "root");
    struct stat st;
    if (root)
        return root;
    return stat("pillar", &st) == 0 && S_ISDIR(st.st_mode) ? "." : "/etc/release";
}

static void list_envs(struct buf *out, const char *const *envs)
{
    for (size_t i = 0; envs[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "", envs[i]);
}

const char *cli_env(struct cli *cli, size_t index)
{
    if (index < cli->n_words)
        return cli->words[index];
    const char *const *envs = pillar_envs(cli_root(cli), &cli->arena);
    if (envs && envs[0] && !envs[1] && strcmp(envs[0], "base") != 0)
        return envs[0]; /* base is what the others are made of: only who types it means it */
    auto_buf struct buf list = BUF_INIT(4096);
    if (envs)
        list_envs(&list, envs);
    if (list.len)
        say_error("%s: which environment? %s/pillar has %s: 'release %s %s'", cli->command->name,
                  cli_root(cli), list.data, cli->command->name, cli->command->usage);
    else
        say_error("%s: no environment in %s/pillar (wanted a file such as pillar/prod.sls); 'release init' "
                  "writes a first "
                  "one, --root names another directory",
                  cli->command->name, cli_root(cli));
    return NULL;
}

int cli_env_or_all(struct cli *cli, size_t index, const char **ret)
{
    *ret = index < cli->n_words ? cli->words[index] : NULL;
    if (!*ret || env_valid(*ret))
        return 0;
    say_error("%s: '%s' cannot be an environment's name (letters, digits, '.', '_' and '-'; of another "
              "application: APP:ENV)",
              cli->command->name, *ret);
    return EXIT_USAGE;
}

int cli_env_meant(struct cli *cli, struct store *store, const char *env)
{
    auto_problems struct problems problems = {0};
    auto_pillar struct pillar *pillar = NULL;
    struct env_key key;
    struct err err;
    if (env_resolve(reader(store, &cli->arena), env, &key, &err) && key.app[0])
        return 0;
    if (env_bare(env) == env && pillar_load(cli_root(cli), env, NULL, 0, &pillar, &problems))
        store_app(store, env, pillar_app(pillar));
    else
        pillar = NULL;
    return env_resolve(reader(store, &cli->arena), env, &key, &err) ? 0 : say_err(&err);
}

int cli_env_known(struct cli *cli, struct store *store, const char *env)
{
    auto_problems struct problems problems = {0};
    struct release_info *list;
    struct err err;
    size_t n = 0;
    if (!release_list(reader(store, &cli->arena), &(struct newest){.env = env, .limit = 1}, &list, &n, &err))
        return say_err(&err);
    /* Where it cannot be told, it is there and damaged, or this is a controller without a pillar. */
    if (n > 0 || pillar_known(cli_root(cli), env_bare(env), &problems) != PILLAR_KNOWN_NO)
        return 0;
    for (size_t i = 0; i < problems.n; i++)
        say_error("%s: %s", cli->command->name, problems.lines[i]);
    return EXIT_USAGE;
}

/* One mistake in the pillar may be met on several ways through it. */
static bool said_before(const struct problems *problems, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(problems->lines[k], problems->lines[i]) == 0)
            return true;
    return false;
}

int cli_problems(const struct problems *problems, const char *what, int status)
{
    size_t repeated = 0;
    for (size_t i = 0; i < problems->n; i++)
        if (said_before(problems, i))
            repeated++;
        else
            say_note("%s", problems->lines[i]);
    size_t n = problems->n + problems->dropped - repeated;
    if (problems->dropped)
        say_note("... and %zu more", problems->dropped);
    say_error("%s: %zu problem%s; nothing was touched", what, n, n == 1 ? "" : "s");
    return status;
}

bool cli_app_matches(const char *env, const struct pillar *pillar)
{
    const char *bare = env_bare(env), *app = pillar_app(pillar);
    return bare == env || (strlen(app) == (size_t)(bare - 1 - env) && strncmp(app, env, strlen(app)) == 0);
}

int cli_pillar(struct cli *cli, const char *env, struct pillar **ret)
{
    auto_problems struct problems problems = {0};
    size_t n;
    const char *const *overrides = cli_opts(cli, "pillar", &n);
    const struct pillar_request req = {.root = cli_root(cli),
                                       .env = env_bare(env),
                                       .overrides = overrides,
                                       .n_overrides = n,
                                       .command = cli_opt(cli, "pillar-command")};
    if (!pillar_load_as(&req, ret, &problems))
        return cli_problems(&problems, cli->command->name, EXIT_USAGE);
    cli->app = arena_strdup(&cli->arena, pillar_app(*ret));
    if (cli_app_matches(env, *ret))
        return 0;
    say_error("%s: %s is not of this tree: in %s, %s is of the application %s; --root names another tree; "
              "nothing was touched",
              cli->command->name, env, cli_root(cli), env_bare(env), cli->app);
    auto_pillar_fn(ret);
    return EXIT_USAGE;
}

int cli_compile(struct cli *cli, const struct pillar *pillar, const struct compile_request *req,
                struct plan **ret)
{
    auto_problems struct problems problems = {0};
    if (req->rev_typed && !rev_valid(req->rev_typed)) {
        say_error(
            "%s: '%s' is not a revision (wanted a commit in hex, a branch or a tag); nothing was touched",
            cli->command->name, req->rev_typed);
        return EXIT_USAGE;
    }
    if (plan_compile(pillar, req, &cli->arena, ret, &problems))
        return 0;
    return cli_problems(&problems, cli->command->name, EXIT_USAGE);
}

static int compile_as_said(struct cli *cli, const char *env, const struct pillar *pillar, const char *only,
                           bool look, struct plan **ret)
{
    struct compile_request req = {
        .root = cli_root(cli),
        .env = env_bare(env),
        .plan_name = cli_opt(cli, "plan"),
        .rev_typed = cli_opt(cli, "rev"),
        .only = only,
        .exclude = cli_opt(cli, "exclude"),
        .only_role = cli_opt(cli, "only-role"),
        .stages = cli_opt(cli, "stages") ? cli_opt(cli, "stages") : cli_opt(cli, "stage"),
        .window = cli_opt(cli, "window"),
        .look = look,
    };
    return cli_compile(cli, pillar, &req, ret);
}

static int plan_of(struct cli *cli, const char *env, bool look, struct pillar **ret_pillar, struct plan **ret)
{
    int status = cli_pillar(cli, env, ret_pillar);
    return status ? status : compile_as_said(cli, env, *ret_pillar, cli_opt(cli, "only"), look, ret);
}

int cli_plan_only(struct cli *cli, const char *env, const struct pillar *pillar, const char *only,
                  struct plan **ret)
{
    return compile_as_said(cli, env, pillar, only, false, ret);
}

int cli_plan(struct cli *cli, const char *env, struct pillar **ret_pillar, struct plan **ret)
{
    return plan_of(cli, env, false, ret_pillar, ret);
}

int cli_plan_look(struct cli *cli, const char *env, struct pillar **ret_pillar, struct plan **ret)
{
    int status = plan_of(cli, env, true, ret_pillar, ret);
    if (!status && (!(*ret)->rev_typed || !(*ret)->rev_typed[0]))
        (*ret)->needs_rev = false; /* preflight has nothing to resolve */
    return status;
}

const char *cli_tree(struct cli *cli)
{
    auto_free char *real = realpath(cli_root(cli), NULL);
    return real ? arena_strdup(&cli->arena, real) : NULL;
}

/* Two names of one file, also of one that is not there yet. */
static bool same_file(const char *a, const char *b)
{
    auto_free char *one = realpath(a, NULL), *two = realpath(b, NULL);
    return strcmp(one ? one : a, two ? two : b) == 0;
}

int cli_state(struct cli *cli, enum store_mode mode, const char **ret)
{
    auto_problems struct problems problems = {0};
    const char *given = cli_opt(cli, "state"), *own = getenv("RELEASE_STATE"), *tree;
    if (!given && own && own[0])
        given = own;
    *ret = given;
    if (!pillar_state(cli_root(cli), &cli->arena, &tree, &problems)) {
        if (given)
            return 0;
        say_note("which journal is meant stands in that file; --state names one without it");
        return cli_problems(&problems, cli->command->name, EXIT_USAGE);
    }
    if (!tree)
        return 0;
    if (!given) {
        *ret = tree;
        return 0;
    }
    if (mode == STORE_READ || same_file(given, tree))
        return 0;
    say_error("%s: %s/release.yml keeps the journal of this tree in %s, and %s was given: with two journals "
              "there would be two locks; leave it out, or change `state:` there; nothing was touched",
              cli->command->name, cli_root(cli), tree, given);
    return EXIT_USAGE;
}

int cli_store(struct cli *cli, enum store_mode mode, struct store **ret)
{
    struct err err;
    const char *path;
    int status = cli_state(cli, mode, &path);
    if (status)
        return status;
    if (store_open(path, mode, ret, &err)) {
        store_scope(*ret, cli_tree(cli));
        return 0;
    }
    err_wrap(&err, "%s", cli->command->name);
    return say_err(&err);
}

static const char *login_name(uid_t uid)
{
    const struct passwd *pw = getpwuid(uid); /* main thread only, before any other is started */
    return pw ? pw->pw_name : NULL;
}

const char *cli_who(struct cli *cli)
{
    const char *operator= cli_opt(cli, "operator");
    if (operator)
        return operator;
    const char *sudo = getenv("SUDO_USER");
    const char *name = geteuid() == 0 && sudo && name_valid(sudo, 64) ? sudo : login_name(getuid());
    return name ? arena_strdup(&cli->arena, name) : arena_printf(&cli->arena, "uid-%u", (unsigned)getuid());
}

const char *cli_host(struct cli *cli)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        return "localhost";
    return arena_strdup(&cli->arena, name);
}

void auto_pillar_fn(struct pillar **p)
{
    if (*p)
        pillar_free(*p);
    *p = NULL;
}

int cli_release_meant(struct cli *cli, struct store *store, struct release_info **ret)
{
    const char *word = cli->n_words ? cli->words[0] : NULL;
    struct release_info *list;
    long long id = 0;
    struct err err;
    size_t n;
    if (word && parse_number(word, &id)) {
        if (!release_get(reader(store, &cli->arena), id, ret, &err))
            return say_err(&err);
        if (!*ret)
            say_error("%s: there is no release %lld; 'release history' lists them", cli->command->name, id);
        return *ret ? 0 : EXIT_USAGE;
    }
    if (!release_list(reader(store, &cli->arena), &(struct newest){.env = word, .limit = 1}, &list, &n, &err))
        return say_err(&err);
    *ret = n ? &list[0] : NULL;
    int status = n == 0 && word ? cli_env_known(cli, store, word) : 0;
    if (status)
        return status;
    if (n == 0)
        say_error("%s: there are no releases%s%s yet", cli->command->name, word ? " of " : "",
                  word ? word : "");
    return n ? 0 : EXIT_USAGE;
}
