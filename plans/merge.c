/* Salt's merge: maps merge deep, anything else is replaced by the later one, order of first appearance is
 * kept. */
#include "plans/value.h"

const struct value *value_merge(struct arena *a, const struct value *base, const struct value *over)
{
    if (base == NULL || base->kind != VALUE_MAP || over->kind != VALUE_MAP)
        return over;
    struct value *ret = value_map(a, base->at);
    for (size_t i = 0; i < base->n; i++) {
        const struct entry *e = &base->entries[i];
        const struct entry *later = map_entry(over, e->key);
        if (later == NULL)
            (void)map_add(a, ret, e->key, e->at, e->value);
        else
            (void)map_add(a, ret, e->key, later->at, value_merge(a, e->value, later->value));
    }
    for (size_t i = 0; i < over->n; i++)
        (void)map_add(a, ret, over->entries[i].key, over->entries[i].at, over->entries[i].value);
    return ret;
}
