/* SPDX-License-Identifier: MIT */
/* release init --from capistrano: Capfile, config/deploy.rb and config/deploy/STAGE.rb of Capistrano 2 and 3, as far as they
 * say plain values. They are Ruby: what is computed cannot be known without running it, and is told as not taken along. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/init.h"
#include "cli/init_ruby.h"

#define VARS_MAX   256
#define VALUES_MAX 256
#define STAGES_MAX 64
#define STAGE_DIR  "config/deploy"
#define MAIN_FILE  "config/deploy.rb"

struct var {
    const char *name, *place;
    const char *values[VALUES_MAX];
    size_t n;
};

struct cap {
    struct import *t;
    const char *file;
    struct var *vars;
    size_t n_vars;
    struct ruby_statement now;
    int depth; /* inside blocks that are not read */
};

static struct var *var_find(struct cap *c, const char *name)
{
    for (size_t i = 0; i < c->n_vars; i++)
        if (strcmp(c->vars[i].name, name) == 0)
            return &c->vars[i];
    return NULL;
}

static struct var *var_make(struct cap *c, const char *name)
{
    struct var *v = var_find(c, name);
    if (!v && c->n_vars < VARS_MAX) {
        v = &c->vars[c->n_vars++];
        v->name = name;
    }
    return v;
}

static const char *var_text(struct cap *c, const char *name)
{
    const struct var *v = var_find(c, name);
    return v && v->n == 1 ? v->values[0] : NULL;
}

static const char *place_here(const struct cap *c)
{
    return arena_printf(c->t->arena, "%s:%d", c->file, c->now.line);
}

/* ---- values */

/* #{fetch(:application)}, #{fetch :application}, #{application}: NULL when it is anything else, or not known. */
static const char *filled_name(struct cap *c, const char *p, size_t n)
{
    char *name = arena_strndup(c->t->arena, p, n);
    char *from = strncmp(name, "fetch", 5) == 0 ? name + 5 : name;
    from += strspn(from, " (:'\"");
    from[strcspn(from, " ),'\"")] = '\0';
    return var_text(c, from);
}

static const char *fill(struct cap *c, const struct ruby_token *t)
{
    if (!t->fills || !strstr(t->text, "#{"))
        return t->text;
    auto_buf struct buf out = BUF_INIT(64 * 1024);
    for (const char *p = t->text; *p;) {
        const char *open = strstr(p, "#{"), *end = open ? strchr(open, '}') : NULL;
        buf_printf(&out, "%.*s", (int)(open ? (size_t)(open - p) : strlen(p)), p);
        const char *value = end ? filled_name(c, open + 2, (size_t)(end - open - 2)) : NULL;
        if (open && !value)
            return NULL;
        if (!open)
            break;
        buf_puts(&out, value);
        p = end + 1;
    }
    return arena_strdup(c->t->arena, buf_str(&out));
}

/* What an argument comes to. `known` false: it is computed. */
struct argument {
    const char *texts[VALUES_MAX];
    size_t n;
    bool known;
};

static void value_add(struct argument *v, const char *text)
{
    if (text && v->n < VALUES_MAX)
        v->texts[v->n++] = text;
    else
        v->known = false;
}

static void value_add_words(struct cap *c, struct argument *v, const char *words)
{
    char *rest = NULL, *copy = arena_strdup(c->t->arena, words);
    for (char *w = strtok_r(copy, " \t\r\n", &rest); w; w = strtok_r(NULL, " \t\r\n", &rest))
        value_add(v, w);
}

/* fetch(:name, default): the index behind it. */
static size_t take_fetch(struct cap *c, size_t i, struct argument *v)
{
    const struct ruby_statement *s = &c->now;
    bool open = ruby_is(s, i + 1, "(");
    size_t at = i + 1 + open;
    const struct var *var =
        at < s->n && s->tokens[at].kind == RUBY_SYMBOL ? var_find(c, s->tokens[at].text) : NULL;
    for (size_t k = 0; var && k < var->n; k++)
        value_add(v, var->values[k]);
    at++;
    if (!var && ruby_is(s, at, ","))
        return at + 1; /* the default is what follows; its bracket is skipped as one */
    v->known &= var != NULL;
    for (int depth = open; at < s->n && depth > 0; at++)
        depth += ruby_is(s, at, "(") - ruby_is(s, at, ")");
    return at;
}

/* One word of an argument, at i; the index behind it. What only joins (brackets, push, +) is passed over. */
static size_t take_word(struct cap *c, size_t i, struct argument *v)
{
    static const char *const joins[] = {"[", "]",    "(",      ")",      ".",      "push", "concat",
                                        "+", ",",    "to_s",   "to_sym", "freeze", "->",   "{",
                                        "}", "proc", "lambda", "uniq",   "|",      NULL};
    const struct ruby_token *t = &c->now.tokens[i];
    if (t->kind == RUBY_TEXT)
        value_add(v, fill(c, t));
    else if (t->kind == RUBY_WORDS)
        value_add_words(c, v, t->text);
    else if (t->kind == RUBY_SYMBOL)
        value_add(v, t->text);
    else if (t->kind == RUBY_WORD && strcmp(t->text, "fetch") == 0)
        return take_fetch(c, i, v);
    else if (t->kind == RUBY_WORD &&
             ((t->text[0] >= '0' && t->text[0] <= '9') || ruby_is(&c->now, i, "true") ||
              ruby_is(&c->now, i, "false") || ruby_is(&c->now, i, "nil")))
        value_add(v, t->text);
    else {
        bool join = false;
        for (const char *const *j = joins; *j && t->kind != RUBY_LABEL; j++)
            join |= strcmp(t->text, *j) == 0;
        if (!join)
            v->known = false;
    }
    return i + 1;
}

/* ENV['BRANCH'] || 'main': what it is when nobody says otherwise. */
static size_t after_or(const struct ruby_statement *s, size_t i, size_t end)
{
    for (size_t k = i; k < end; k++)
        if (ruby_is(s, k, "||"))
            i = k + 1;
    return i;
}

static void take_value(struct cap *c, size_t from, size_t end, struct argument *v)
{
    *v = (struct argument){.known = from < end};
    for (size_t i = after_or(&c->now, from, end); i < end;)
        i = take_word(c, i, v);
}

/* The end of the argument that begins at i: its comma, or the end of the statement or of the bracket that it is in. */
static size_t argument_end(const struct ruby_statement *s, size_t i)
{
    int depth = 0;
    for (; i < s->n; i++) {
        if (ruby_is(s, i, "(") || ruby_is(s, i, "[") || ruby_is(s, i, "{"))
            depth++;
        if ((ruby_is(s, i, ")") || ruby_is(s, i, "]") || ruby_is(s, i, "}")) && depth-- == 0)
            return i;
        if (depth == 0 &&
            (ruby_is(s, i, ",") || ruby_is(s, i, "if") || ruby_is(s, i, "unless") || ruby_is(s, i, "do")))
            return i;
    }
    return i;
}

static bool conditional(const struct ruby_statement *s, size_t i)
{
    return ruby_is(s, i, "if") || ruby_is(s, i, "unless");
}

/* ---- statements */

/* Settings that a pillar has no use for, or that are said elsewhere. */
static bool not_wanted(const char *name)
{
    static const char *const names[] = {"scm",
                                        "format",
                                        "format_options",
                                        "log_level",
                                        "pty",
                                        "use_sudo",
                                        "deploy_via",
                                        "stages",
                                        "default_stage",
                                        "stage",
                                        "rails_env",
                                        "linked_files",
                                        "linked_dirs",
                                        "application",
                                        "repo_url",
                                        "repository",
                                        "branch",
                                        "deploy_to",
                                        "keep_releases",
                                        "user",
                                        "default_shell",
                                        "copy_exclude",
                                        "git_shallow_clone",
                                        "scm_verbose",
                                        "local_user",
                                        "server_name",
                                        "full_app_name",
                                        "tmp_dir",
                                        "ssh_options",
                                        "deploy_user",
                                        "puma_service_unit_name",
                                        NULL};
    for (const char *const *n = names; *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

static void do_set(struct cap *c, bool append)
{
    const struct ruby_statement *s = &c->now;
    size_t i = 1 + ruby_is(s, 1, "(");
    if (i >= s->n || (s->tokens[i].kind != RUBY_SYMBOL && s->tokens[i].kind != RUBY_TEXT) ||
        !ruby_is(s, i + 1, ","))
        return;
    const char *name = s->tokens[i].text;
    struct argument *v = arena_alloc(c->t->arena, sizeof *v);
    size_t end = append ? s->n - (ruby_is(s, 1, "(") && ruby_is(s, s->n - 1, ")")) : argument_end(s, i + 2);
    take_value(c, i + 2, end, v);
    bool hash = ruby_is(s, i + 2, "{");
    if (conditional(s, end)) {
        taken_left(c->t, place_here(c), "%s is set on a condition", name);
        return;
    }
    if (!v->known || hash) {
        if (!not_wanted(name) || strcmp(name, "branch") == 0)
            taken_left(c->t, place_here(c), "%s is %s", name, hash ? "a hash" : "computed");
        else if (!hash && strcmp(name, "linked_files") * strcmp(name, "linked_dirs") *
                                  strcmp(name, "deploy_to") * strcmp(name, "repo_url") *
                                  strcmp(name, "application") ==
                              0)
            taken_left(c->t, place_here(c), "%s is computed", name);
        return;
    }
    struct var *var = var_make(c, name);
    if (!var)
        return;
    if (!append)
        var->n = 0;
    for (size_t k = 0; k < v->n && var->n < VALUES_MAX; k++)
        var->values[var->n++] = v->texts[k];
    var->place = place_here(c);
    if (!not_wanted(name) && !append)
        taken_left(c->t, place_here(c), "%s", name);
}

/* Behind "roles:", ":user =>" of a server's or a role's statement: the index of its value, 0 when it has none. */
static size_t option_at(const struct ruby_statement *s, const char *name)
{
    for (size_t i = 1; i < s->n; i++) {
        if (s->tokens[i].kind == RUBY_LABEL && strcmp(s->tokens[i].text, name) == 0)
            return i + 1;
        if (s->tokens[i].kind == RUBY_SYMBOL && strcmp(s->tokens[i].text, name) == 0 &&
            ruby_is(s, i + 1, "=>"))
            return i + 2;
    }
    return 0;
}

static const char *option_text(struct cap *c, const char *name)
{
    size_t i = option_at(&c->now, name);
    struct argument *v = arena_alloc(c->t->arena, sizeof *v);
    if (i == 0)
        return NULL;
    take_value(c, i, argument_end(&c->now, i), v);
    return v->known && v->n == 1 ? v->texts[0] : NULL;
}

static bool is_number(const char *text)
{
    return text && *text && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text);
}

/* "deploy@host:22" */
static void add_server(struct cap *c, const char *text)
{
    struct arena *a = c->t->arena;
    const char *at = strrchr(text, '@'), *host = at ? at + 1 : text, *colon = strrchr(host, ':');
    struct taken_server s = {.user =
                                 at ? arena_strndup(a, text, (size_t)(at - text)) : option_text(c, "user"),
                             .port = option_text(c, "port"),
                             .place = place_here(c)};
    if (colon && is_number(colon + 1) && strchr(host, ':') == colon) {
        s.port = colon + 1;
        host = arena_strndup(a, host, (size_t)(colon - host));
    }
    if (!is_number(s.port) || strcmp(s.port, "22") == 0)
        s.port = NULL;
    s.host = host;
    s.name = name_valid(host, 64) ? host : arena_printf(a, "app%zu", c->t->n_servers + 1);
    if (*host && !strpbrk(host, " \t\n'\"{}"))
        taken_server_add(c->t, s);
    else
        taken_left(c->t, place_here(c), "a server called '%s'", text);
}

/* app_servers are those that serve: the others are told. */
static bool role_serves(const char *role)
{
    return strcmp(role, "app") == 0 || strcmp(role, "web") == 0 || strcmp(role, "all") == 0;
}

static void do_server(struct cap *c)
{
    const struct ruby_statement *s = &c->now;
    size_t i = 1 + ruby_is(s, 1, "("), end = argument_end(s, i);
    struct argument *host = arena_alloc(c->t->arena, sizeof *host),
                    *roles = arena_alloc(c->t->arena, sizeof *roles);
    take_value(c, i, end, host);
    if (!host->known || host->n != 1) {
        taken_left(c->t, place_here(c), "a server whose name is computed");
        return;
    }
    size_t at = option_at(s, "roles");
    at = at ? at : option_at(s, "role");
    bool serves = at == 0;
    if (at)
        take_value(c, at, argument_end(s, at), roles);
    else /* Capistrano 2: server "x", :app, :web */
        for (size_t k = end + 1; k < s->n && s->tokens[k].kind == RUBY_SYMBOL && !ruby_is(s, k + 1, "=>");
             k += 2) {
            value_add(roles, s->tokens[k].text);
            serves = false;
        }
    for (size_t k = 0; k < roles->n; k++)
        serves |= role_serves(roles->texts[k]);
    if (serves)
        add_server(c, host->texts[0]);
    else
        taken_left(c->t, place_here(c), "server %s, which is neither app nor web", host->texts[0]);
}

static void do_role(struct cap *c)
{
    const struct ruby_statement *s = &c->now;
    size_t i = 1 + ruby_is(s, 1, "(");
    if (i >= s->n || s->tokens[i].kind != RUBY_SYMBOL)
        return;
    for (size_t from = i + 2; from < s->n; from++) {
        size_t end = argument_end(s, from);
        struct argument *v = arena_alloc(c->t->arena, sizeof *v);
        if (s->tokens[from].kind == RUBY_LABEL || ruby_is(s, from + 1, "=>"))
            break;
        take_value(c, from, end, v);
        if (!v->known)
            taken_left(c->t, place_here(c), "hosts of role %s are computed", s->tokens[i].text);
        for (size_t k = 0; k < v->n && v->known; k++) {
            if (role_serves(s->tokens[i].text))
                add_server(c, v->texts[k]);
            else
                taken_left(c->t, place_here(c), "%s, of role %s", v->texts[k], s->tokens[i].text);
        }
        from = end;
    }
}

/* What gems of Capistrano do at a release. */
struct plugin {
    const char *name, *build;
};
static const struct plugin plugins[] = {
    {"capistrano/bundler",
     "cmd.run: {cmd: bundle install --deployment --without development test, timeout: 15m}"},
    {"bundler/capistrano",
     "cmd.run: {cmd: bundle install --deployment --without development test, timeout: 15m}"},
    {"capistrano/rails/assets",
     "cmd.run: {cmd: bundle exec rake assets:precompile, env: {RAILS_ENV: production}, timeout: 15m}"},
    {"capistrano/rails/migrations",
     "cmd.run: {cmd: bundle exec rake db:migrate, env: {RAILS_ENV: production}, once: first}"},
    {"capistrano/npm", "npm.install: {dir: .}"},
    {"capistrano/yarn", "cmd.run: {cmd: yarn install --production --frozen-lockfile, timeout: 15m}"},
    {"capistrano/composer", "cmd.run: {cmd: composer install --no-dev --no-interaction, timeout: 15m}"},
};

static void take_plugin(struct cap *c, const char *name)
{
    const char *server = strstr(name, "puma")      ? "puma"
                         : strstr(name, "unicorn") ? "unicorn"
                         : strstr(name, "sidekiq") ? "sidekiq"
                                                   : NULL;
    bool known = false;
    if (strcmp(name, "capistrano/rails") == 0) {
        take_plugin(c, "capistrano/bundler");
        take_plugin(c, "capistrano/rails/assets");
        take_plugin(c, "capistrano/rails/migrations");
        return;
    }
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        if (strcmp(plugins[i].name, name) == 0) {
            taken_add(c->t, &c->t->build, plugins[i].build, place_here(c));
            known = true;
        }
    if (server && strcmp(server, "sidekiq") != 0 && !c->t->program.text)
        c->t->program =
            taken_at(server, arena_printf(c->t->arena, "%s: A GUESS, the unit's name", place_here(c)));
    else if (!known && !str_starts(name, "capistrano/setup") && !str_starts(name, "capistrano/deploy") &&
             !str_starts(name, "capistrano/scm") && !strstr(name, "framework"))
        taken_left(c->t, place_here(c), "require '%s'", name);
}

static void do_require(struct cap *c)
{
    const struct ruby_token *t = &c->now.tokens[1 + ruby_is(&c->now, 1, "(")];
    if (c->now.n > 1 && t->kind == RUBY_TEXT)
        take_plugin(c, t->text);
}

/* What has no bearing on a release, or is said otherwise here. */
static bool harmless(const struct ruby_statement *s)
{
    static const char *const words[] = {
        "lock", "desc", "end", "install_plugin", "import", "Dir", "default_run_options", NULL};
    for (const char *const *w = words; *w; w++)
        if (ruby_is(s, 0, *w))
            return true;
    return s->n == 0 || s->tokens[0].kind == RUBY_SIGN;
}

/* `after 'deploy:publishing', 'x'`, `task :x do`: what somebody wrote there must be looked at by somebody. */
static void do_other(struct cap *c)
{
    const struct ruby_statement *s = &c->now;
    const char *what = s->n > 1 && s->tokens[1].kind != RUBY_SIGN ? s->tokens[1].text : "";
    if (ruby_is(s, 0, "ask"))
        taken_left(c->t, place_here(c), "ask: give --rev to 'release run'");
    else if (!harmless(s))
        taken_left(c->t, place_here(c), "%s%s%s", s->tokens[0].text, *what ? " " : "", what);
}

static void statement(struct cap *c)
{
    const struct ruby_statement *s = &c->now;
    int depth = ruby_depth(s);
    bool top = c->depth == 0;
    c->depth = c->depth + depth > 0 ? c->depth + depth : 0;
    if (!top)
        return;
    if (depth > 0)
        do_other(c);
    else if (ruby_is(s, 0, "set"))
        do_set(c, false);
    else if (ruby_is(s, 0, "append"))
        do_set(c, true);
    else if (ruby_is(s, 0, "server"))
        do_server(c);
    else if (ruby_is(s, 0, "role"))
        do_role(c);
    else if (ruby_is(s, 0, "require"))
        do_require(c);
    else
        do_other(c);
}

/* false: it is not there. */
static bool read_file(struct cap *c, const char *file)
{
    const char *text = init_file(file, c->t->arena);
    if (!text)
        return false;
    struct ruby_reader r = {.p = text, .line = 1, .arena = c->t->arena};
    c->file = file;
    c->depth = 0;
    while (ruby_next(&r, &c->now)) {
        if (c->now.cut)
            taken_left(c->t, place_here(c), "a statement of more than %d words", RUBY_TOKENS_MAX);
        statement(c);
    }
    return true;
}

/* ---- what it comes to */

static struct taken_value of_var(struct cap *c, const char *name)
{
    const struct var *v = var_find(c, name);
    return v && v->n == 1 && *v->values[0] ? taken_at(v->values[0], v->place)
                                           : (struct taken_value){NULL, NULL};
}

static void take_shared(struct cap *c, const char *name, struct taken_list *list)
{
    const struct var *v = var_find(c, name);
    for (size_t i = 0; v && i < v->n; i++) {
        const char *path = v->values[i];
        size_t n = strlen(path);
        path = n > 1 && path[n - 1] == '/' ? arena_strndup(c->t->arena, path, n - 1) : path;
        const char *trouble = strpbrk(path, "{}") ? "it has braces" : subdir_trouble(path);
        if (trouble)
            taken_left(c->t, v->place, "shared path '%s': %s", path, trouble);
        else
            taken_add(c->t, list, path, v->place);
    }
}

static void take_user(struct cap *c)
{
    struct import *t = c->t;
    t->user = of_var(c, "user");
    for (size_t i = 0; i < t->n_servers && !t->user.text; i++)
        if (t->servers[i].user)
            t->user = taken_at(t->servers[i].user, t->servers[i].place);
}

static void take_all(struct cap *c)
{
    struct import *t = c->t;
    t->app = of_var(c, "application");
    if (!t->app.text || !name_valid(t->app.text, 64)) {
        if (t->app.text)
            taken_left(t, t->app.place,
                       "application '%s' cannot be a name here (letters, digits, '.', '_' and '-')",
                       t->app.text);
        t->app = taken_at("site", NULL);
    }
    t->repo = of_var(c, "repo_url").text ? of_var(c, "repo_url") : of_var(c, "repository");
    t->branch = of_var(c, "branch");
    t->branch =
        t->branch.text && rev_valid(t->branch.text) ? t->branch : taken_at("master", "Capistrano's default");
    t->dir = of_var(c, "deploy_to");
    if (t->dir.text &&
        (t->dir.text[0] != '/' || strpbrk(t->dir.text, "{}\n") || strstr(t->dir.text, "/.."))) {
        taken_left(t, t->dir.place, "deploy_to '%s': a plain absolute path is wanted", t->dir.text);
        t->dir.text = NULL;
    }
    if (!t->dir.text)
        t->dir = taken_at(arena_printf(t->arena, "/var/www/%s", t->app.text), "Capistrano's default");
    size_t n = strlen(t->dir.text);
    while (n > 1 && t->dir.text[n - 1] == '/')
        t->dir.text = arena_strndup(t->arena, t->dir.text, --n);
    t->keep = of_var(c, "keep_releases");
    if (!is_number(t->keep.text))
        t->keep = (struct taken_value){NULL, NULL};
    take_user(c);
    take_shared(c, "linked_files", &t->files);
    take_shared(c, "linked_dirs", &t->dirs);
    if (!t->program.text)
        t->program = taken_at(t->app.text, NULL);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *capistrano_stages(struct arena *arena)
{
    const char **names = arena_array(arena, STAGES_MAX + 1, sizeof *names);
    size_t n = 0;
    DIR *dir = opendir(STAGE_DIR);
    for (struct dirent *e; dir && n < STAGES_MAX && (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        if (len > 3 && strcmp(e->d_name + len - 3, ".rb") == 0) {
            const char *name = arena_strndup(arena, e->d_name, len - 3);
            if (name_valid(name, 64))
                names[n++] = name;
        }
    }
    if (dir)
        closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    return names;
}

bool capistrano_read(struct import *t, const char *stage, struct err *err)
{
    struct cap *c = arena_alloc(t->arena, sizeof *c);
    const char *file = arena_printf(t->arena, STAGE_DIR "/%s.rb", stage);
    c->t = t;
    c->vars = arena_array(t->arena, VARS_MAX, sizeof *c->vars);
    struct var *known = var_make(c, "stage");
    known->values[known->n++] = stage;
    known->place = file;
    read_file(c, "Capfile");
    if (!read_file(c, MAIN_FILE))
        return err_set(err, E_CONFIG, "there is no " MAIN_FILE " here; stand in the checkout that has it");
    bool staged = read_file(c, file);
    if (!staged && capistrano_stages(t->arena)[0])
        return err_set(err, E_CONFIG, "there is no %s; the stages here are the files of " STAGE_DIR, file);
    take_all(c);
    if (!t->repo.text)
        return err_set(err, E_CONFIG, MAIN_FILE " names no repository (set :repo_url, 'URL')");
    return true;
}
