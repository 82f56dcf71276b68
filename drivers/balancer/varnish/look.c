/* varnish: what the Varnishes say of a backend now, and what they said before the release. */
#include "drivers/balancer/varnish/varnish.h"

#include <string.h>

#include "base/auto.h"
#include "base/str.h"

bool varn_open(struct varn *v)
{
    struct arena *a = op_arena(v->op);
    size_t n;
    const char *const *texts = op_arg_list(v->op, "admin", &n);
    v->admins = arena_array(a, n + 1, sizeof *v->admins);
    v->now = arena_array(a, n + 1, sizeof *v->now);
    if (n == 0 || n > VARN_ADMINS_MAX)
        op_refused(v->op, E_CONFIG, "varnish: %zu admin addresses given; wanted 1 to %d", n, VARN_ADMINS_MAX);
    for (; v->n < n && !op_failed(v->op); v->n++) {
        struct err err = {0};
        if (!varnish_admin_parse(texts[v->n], a, &v->admins[v->n], &err))
            op_refused(v->op, err.code, "%s", err.text);
    }
    return !op_failed(v->op);
}

bool varn_open_node(struct op *op, struct varn *ret)
{
    *ret = (struct varn){.op = op, .backend = op_arg(op, "backend")};
    if (!ret->backend)
        ret->backend = op_var(op, "lb_server");
    if (!ret->backend)
        ret->backend = op_var(op, "node");
    if (!ret->backend || !varnish_name_valid(ret->backend)) {
        op_refused(op, E_CONFIG, "varnish: \"%s\" cannot be the name of a backend",
                   ret->backend ? ret->backend : "");
        return false;
    }
    return varn_open(ret);
}

/* For READ verbs: a Varnish that cannot be asked leaves the answer UNKNOWN, as hap_open_read does. */
bool varn_open_read(struct op *op, struct varn *ret)
{
    op_sending(op);
    return varn_open_node(op, ret);
}

/* ---- looking ------------------------------------------------------------------------------------- */

static bool gets_requests(const struct varnish_vcls *vcls, const char *vcl)
{
    for (size_t i = 0; i < vcls->n; i++) {
        const struct varnish_vcl *v = &vcls->rows[i];
        if ((v->active && !strcmp(v->name, vcl)) || (v->label && !strcmp(v->target, vcl)))
            return true;
    }
    return false;
}

/* Backends of the VCLs that may get requests; name NULL: all. */
bool varn_live(struct vcli *c, const char *name, struct place *ret)
{
    struct varnish_vcls vcls;
    struct varnish_backends all;
    if (!vcli_vcls(c, &vcls) || !vcli_backends(c, &all))
        return false;
    *ret = (struct place){.at = arena_array(op_arena(c->op), all.n + 1, sizeof *ret->at)};
    for (size_t i = 0; i < all.n; i++) {
        struct varnish_backend *b = &all.rows[i];
        if (!b->director && gets_requests(&vcls, b->vcl) && (!name || !strcmp(b->name, name)))
            ret->at[ret->n++] = *b;
    }
    return true;
}

bool varn_look(struct varn *v, struct vcli *c, size_t i)
{
    if (!varn_live(c, v->backend, &v->now[i]))
        return false;
    if (v->now[i].n > 0)
        return true;
    struct place all;
    auto_buf struct buf names = BUF_INIT(300);
    if (!varn_live(c, NULL, &all))
        return false;
    for (size_t k = 0; k < all.n; k++)
        buf_printf(&names, "%s%s", k ? ", " : "", all.at[k].name);
    op_refused(v->op, E_NOTFOUND,
               "%s: the active VCL has no backend \"%s\" (it has %s); check `lb_server:` of the pillar",
               v->admins[i].text, v->backend, buf_str(&names));
    return false;
}

bool varn_look_all(struct varn *v)
{
    for (size_t i = 0; i < v->n; i++) {
        auto_vcli struct vcli c;
        if (!vcli_open(v->op, &v->admins[i], &c) || !varn_look(v, &c, i))
            return false;
    }
    return true;
}

/* "sick" only when every VCL says so; else the word of the first that does not. */
const char *varn_word(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->at[i].admin, "sick") != 0)
            return p->at[i].admin;
    }
    return "sick";
}

bool varn_is_out(const struct varn *v, size_t i)
{
    return !strcmp(varn_word(&v->now[i]), "sick");
}

bool varn_out_everywhere(const struct varn *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (!varn_is_out(v, i))
            return false;
    }
    return true;
}

bool varn_backend_serving(const struct varnish_backend *b)
{
    return strcmp(b->admin, "sick") != 0 && (b->healthy || !strcmp(b->admin, "healthy"));
}

bool varn_serving(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!varn_backend_serving(&p->at[i]))
            return false;
    }
    return p->n > 0;
}

const char *varn_text(struct varn *v)
{
    auto_buf struct buf b = BUF_INIT(2000);
    buf_printf(&b, "%s ", v->backend);
    for (size_t i = 0; i < v->n; i++)
        buf_printf(&b, "%s%s on %s", i ? ", " : "", varn_word(&v->now[i]), v->admins[i].text);
    return arena_strdup(op_arena(v->op), buf_str(&b));
}

/* ---- lb.before ----------------------------------------------------------------------------------- */

/* "ADMIN varnish/BACKEND=probe"; NULL: nothing recorded. */
const char *varn_before(struct varn *v, size_t i)
{
    const char *fact = op_recall(v->op, "lb.before");
    const char *key = arena_printf(op_arena(v->op), "%s varnish/%s=", v->admins[i].text, v->backend);
    while (fact && *fact) {
        size_t n = strcspn(fact, ";");
        if (n > strlen(key) && !strncmp(fact, key, strlen(key)))
            return arena_strndup(op_arena(v->op), fact + strlen(key), n - strlen(key));
        fact += n + (fact[n] == ';');
    }
    return NULL;
}

bool varn_recorded(struct varn *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (!varn_before(v, i))
            return false;
    }
    return true;
}

/* Once a release: later looks see our own drain. */
void varn_report_before(struct varn *v)
{
    if (varn_recorded(v))
        return;
    const char *old = op_recall(v->op, "lb.before");
    auto_buf struct buf b = BUF_INIT(16384);
    buf_puts(&b, old ? old : "");
    for (size_t i = 0; i < v->n; i++) {
        if (!varn_before(v, i))
            buf_printf(&b, "%s%s varnish/%s=%s", b.len ? ";" : "", v->admins[i].text, v->backend,
                       varn_word(&v->now[i]));
    }
    op_fact(v->op, "lb.before", "%s", buf_str(&b));
}
