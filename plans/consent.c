/* What an environment asks of people before it is changed: `confirm:` and `approval:` of its release: block.
 */
#include "plans/value.h"

#include <string.h>

bool pillar_confirms(const struct pillar *p, const char *env)
{
    const struct value *v = pillar_get(p, "release:confirm");
    bool yes;
    if (v && v->kind == VALUE_SCALAR && scalar_bool(v->text, &yes))
        return yes;
    return str_starts(env, "prod");
}

bool pillar_wants_second(const struct pillar *p)
{
    const struct value *v = pillar_get(p, "release:approval");
    return v && v->kind == VALUE_SCALAR && strcmp(v->text, "other") == 0;
}
