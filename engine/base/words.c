/* SPDX-License-Identifier: MIT */
/* Names of the enumerations in words.h, both ways. */
#include "base/words.h"

#include <string.h>

#define TEXT(n, t) t,

#define DEFINE_NAME(func, type, list)                                                                        \
    static const char *const func##_texts[] = {list(TEXT)};                                                  \
    const char *func(type v)                                                                                 \
    {                                                                                                        \
        size_t n = sizeof(func##_texts) / sizeof(func##_texts[0]);                                           \
        return (size_t)v < n ? func##_texts[v] : "?";                                                        \
    }

#define DEFINE_FROM(func, texts)                                                                             \
    int func(const char *text)                                                                               \
    {                                                                                                        \
        for (size_t i = 0; i < sizeof(texts) / sizeof((texts)[0]); i++)                                      \
            if (strcmp((texts)[i], text) == 0)                                                               \
                return (int)i;                                                                               \
        return -1;                                                                                           \
    }

DEFINE_NAME(outcome_name, enum outcome, OUTCOME_LIST)
DEFINE_NAME(effect_name, enum effect, EFFECT_LIST)
DEFINE_NAME(phase_name, enum phase, PHASE_LIST)
DEFINE_NAME(once_name, enum once, ONCE_LIST)
DEFINE_NAME(on_timeout_name, enum on_timeout, ON_TIMEOUT_LIST)
DEFINE_NAME(role_name, enum role, ROLE_LIST)
DEFINE_NAME(row_kind_name, enum row_kind, ROW_LIST)
DEFINE_NAME(order_name, enum order, ORDER_LIST)
DEFINE_NAME(kind_name, enum release_kind, KIND_LIST)
DEFINE_NAME(right_name, enum right, RIGHT_LIST)
DEFINE_NAME(via_name, enum via, VIA_LIST)
DEFINE_NAME(wish_name, enum wish, WISH_LIST)
DEFINE_NAME(ask_state_name, enum ask_state, ASK_LIST)
DEFINE_NAME(lock_event_name, enum lock_event_kind, LOCK_EVENT_LIST)
DEFINE_NAME(queued_name, enum queued, QUEUED_LIST)
DEFINE_NAME(notice_name, enum notice_kind, NOTICE_LIST)
DEFINE_NAME(direction_name, enum direction, DIRECTION_LIST)
DEFINE_NAME(override_name, enum override, OVERRIDE_LIST)

DEFINE_FROM(phase_from_name, phase_name_texts)
DEFINE_FROM(once_from_name, once_name_texts)
DEFINE_FROM(on_timeout_from_name, on_timeout_name_texts)
DEFINE_FROM(outcome_from_name, outcome_name_texts)
DEFINE_FROM(role_from_name, role_name_texts)
DEFINE_FROM(row_kind_from_name, row_kind_name_texts)
DEFINE_FROM(order_from_name, order_name_texts)
DEFINE_FROM(kind_from_name, kind_name_texts)
DEFINE_FROM(right_from_name, right_name_texts)
DEFINE_FROM(via_from_name, via_name_texts)
DEFINE_FROM(wish_from_name, wish_name_texts)
DEFINE_FROM(ask_state_from_name, ask_state_name_texts)
DEFINE_FROM(lock_event_from_name, lock_event_name_texts)
DEFINE_FROM(notice_from_name, notice_name_texts)
DEFINE_FROM(direction_from_name, direction_name_texts)
DEFINE_FROM(override_from_name, override_name_texts)
