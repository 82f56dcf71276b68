/* SPDX-License-Identifier: MIT */
/* The compiler's parts share this: pillar blocks in, plan out. Private to plans/.
 *
 * block.c reads the release: block, nodes.c its app_servers, steps.c walks the plan file, args.c checks one
 * step against its verb's table, stages.c works out numbers of nodes, compile.c ties them together. Every
 * part reports its problems and goes on, so that one run shows all of them. */
#ifndef RELEASE_PLANS_COMPILE_PRIV_H
#define RELEASE_PLANS_COMPILE_PRIV_H

#include "plans/pillar_priv.h"
#include "plans/schema.h"

/* A block of the pillar that gives a driver's verbs their arguments. */
struct driver_block {
    const char *driver;
    const char *what; /* for messages: "release: balancer: haproxy" */
    const struct value *map;
};

struct ssh_block {
    const char *user, *key, *known_hosts, *proxy_jump, *config, *transport;
    int64_t port;
};

struct release_block {
    const struct value *map;
    const char *git_path; /* the application is this directory of the repository; NULL: all of it */
    const char *artifact; /* `source: {artifact: ..}` as written; NULL: a repository, or none */
    const char *app, *repo, *branch, *dir, *user, *plan, *on_failure, *confirm, *approval, *tz,
        *window_closes, *drain;
    const struct value *app_servers, *ssh, *balancer, *supervisor, *service, *shared, *build, *check, *stages,
        *hooks, *notify, *windows, *skip_days, *freeze, *judge;
    struct value *content; /* of shared paths, path: reference; shared.c */
    struct share window, min_up, max_failed;
    int64_t soak_ms, keep;
    struct ssh_block ssh_defaults;
    struct driver_block *balancers, *apps, *checks;
    size_t n_balancers, n_apps, n_checks;
};

/* A {name} that nodes must have, and where it was first used. */
struct var_use {
    const char *name;
    struct place at;
};

struct compiler {
    struct schema_reader r; /* arena of the plan, problems */
    struct pillar *pillar;
    const struct compile_request *req;
    const struct driver *const *table;
    const struct value
        *block;       /* of a role: the release: block with its own keys in it; NULL: as the pillar has it */
    const char *role; /* its name */
    bool left_alone;  /* --only-role does not name it */
    struct release_block b;
    struct plan *plan;
    struct plan_judge *judge; /* the plan's, while it is compiled */
    const char *layout;
    bool under_load;    /* `drain: no`, and the plan does not stop the application */
    bool revision;      /* the plan is about a revision: {rev} and {release_dir} mean something */
    size_t n_all_nodes; /* before --only and --exclude */
    const struct plan_node *all_nodes;
    const char **servers; /* lb_server of all of them */
    bool all_have_port;
    bool nodes_wrong; /* told already: what names nodes have is not known, so none is called unknown */
    bool told_dir, told_repo, told_port,
        told_app;            /* one mistake, one message, however many places need what is missing */
    const char **node_names; /* every variable that some node has */
    size_t n_node_names;
    struct var_use *uses;
    size_t n_uses, cap_uses;
    size_t n_problems_before;
    size_t n_plan_problems; /* problems that were there before */
};

/* One step as written, with what it takes its defaults from. */
struct item {
    bool hook; /* out of the pillar's hooks:, on the nodes */
    const char *verb;
    const struct value *args;         /* map, scalar or NULL */
    const struct driver_block *block; /* NULL: found by the verb's driver */
    const char *one_of;               /* as in struct plan_step */
    struct place at;
    enum phase phase;
    enum once once; /* ONCE_NO: as the step's own `once:` says */
};

/* block.c */
bool block_read(struct compiler *c);
/* Is it a word that the block's driver knows? (One that is not is told by block_read.) */
bool block_may_hold(struct compiler *c, const struct driver_block *b, const char *key);
/* source.c: `source:` becomes repo and `git: {via: controller}`; the arguments of source.resolve that no variable may change;
 * plans that could not take it. */
void source_read(struct compiler *c);
void source_args(struct compiler *c, struct value *args);
void source_missed(struct compiler *c);
/* shared.c: the list `shared:` as drivers take it, NULL when there is none. Fills b.content. */
const struct value *shared_words(struct compiler *c, const struct value *list);
const struct driver_block *block_of_driver(struct compiler *c, const char *driver);
bool ssh_read(struct compiler *c, const struct value *map, const char *what, struct ssh_block *ret);
struct ssh_way ssh_way(const struct ssh_block *ssh);

/* nodes.c */
void nodes_read(struct compiler *c);
/* instances.c: an entry with `instances:` becomes a node for each. */
bool instances_wanted(const struct server_entry *e);
size_t instances_count(struct compiler *c, const struct server_entry *e); /* 0: problems has why */
bool instance_at(struct compiler *c, const struct server_entry *e, size_t i, struct server_entry *ret);
/* A key whose list says what of the application is this instance: programs. */
bool instance_own_key(struct compiler *c, const char *key);
void instance_own_set(struct compiler *c, struct plan_node *node, const struct value *map, const char *what);
/* nodes[i], just read from its entry, against its sisters before it. */
void instance_check(struct compiler *c, const struct plan_node *nodes, size_t i, const struct value *entry,
                    struct place at);
/* Every node has its own value of this parameter, so the block need not have one. */
bool instances_say_all(const struct compiler *c, const struct verb *verb, const char *param);
/* What is of the directory is the same for all instances of a host, and for all or none of them. */
void instances_prove(struct compiler *c);
const struct param *param_find(const struct verb *verb, const char *name);
/* Is the id in "app1,app3"? */
bool named_in(const char *list, const char *id);
bool node_named_in(const char *list, const struct plan_node *node); /* itself, or its host */
/* Ids of nodes, then of hosts of instances. */
size_t node_ids(const struct plan_node *nodes, size_t n, const char **ret);
/* All that is named there must be one of these. */
void check_named(struct compiler *c, const char *option, const char *list, const char *what, const char **ids,
                 size_t n_ids);
/* {pillar:...} of a node that need not be in the plan; NULL when it has no such text. */
const char *node_pillar_value(struct compiler *c, const struct plan_node *node, const char *name);
/* Every {name} used is a variable of every node; adds per-node {pillar:...} values. */
void nodes_prove(struct compiler *c);
/* For a rehearsal: as many nodes as were asked for, copies of the ones that there are. */
void nodes_rehearse(struct compiler *c);

/* place.c: the node's directory when its names had to be put in, NULL: as it is written; and the runner's
 * place, with its lock and fence. A directory has one: whoever works in it, whatever the environment is
 * called, meets the others there. Without a directory it is the node's own. */
const char *place_dir(struct compiler *c, const struct plan_node *node, const struct entry *own);
const char *place_state_dir(struct compiler *c, const struct plan_node *node);

/* args.c: adds the step to the plan when it is sound. */
void step_add(struct compiler *c, const struct item *item);
/* Adds nothing to the plan; false: problems has why. */
bool step_make(struct compiler *c, const struct item *item, struct plan_step *ret);

/* template.c */
struct template_place {
    struct place at;
    bool no_node; /* runs on the controller or for the fleet: no {node} */
};
/* Written text -> canonical template in the arena; problems for unknown names. */
const char *template_text(struct compiler *c, const char *written, const struct template_place *where);
bool is_plan_name(const struct compiler *c, const char *name);

/* steps.c */
void steps_read(struct compiler *c, const struct value *plan_file);
const struct value *plan_file_load(struct compiler *c, const char *name);
const char *plan_file_layout(const struct value *file);
/* The place of what stops or restarts the application; NULL: nothing does. */
const struct place *plan_file_stops(const struct value *file);

/* stages.c */
void stages_set(struct compiler *c);
void times_set(struct compiler *c); /* times_read.c */
void judge_set(struct compiler *c); /* judge.c */

/* prove.c: what can only be looked at with a node's own values. */
/* The balancers count the servers that their own blocks name. */
void lb_servers_set(struct compiler *c);
/* Arguments that the verbs themselves call wrong (struct verb, check). */
void args_prove(struct compiler *c);

/* events.c */
void events_set(struct compiler *c);

/* compile.c: c->plan of c->block, as far as one block goes. */
void compile_block(struct compiler *c);
/* roles.c: each role as a plan of its own, then all in one (roles_join.c). */
bool has_roles(const struct pillar *p);
void roles_compile(struct compiler *c);

/* compile.c: plan_compile with another table of drivers. */
bool plan_compile_with(const struct pillar *pillar, const struct compile_request *req,
                       const struct driver *const *table, struct arena *arena, struct plan **ret,
                       struct problems *problems);
const struct verb *table_verb(const struct driver *const *table, const char *name);
const char *driver_of(struct arena *a, const char *verb);

#endif
