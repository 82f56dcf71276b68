/* SPDX-License-Identifier: MIT */
/* The statements of state/chat.c and state/queue.c: part of SQL_LIST (state/sql.h). */
#ifndef RELEASE_STATE_CHAT_SQL_H
#define RELEASE_STATE_CHAT_SQL_H

#define SQL_ASK_COLUMNS                                                                                      \
    "SELECT id, code, env, verb, who, person, via, place, reply_to, wish, state, rev, digest, approved_by, " \
    "plan_order, order_id, made_ms, lapse_ms, said, app FROM asks "

#define SQL_PLACE_COLUMNS                                                                                    \
    "SELECT id, env, who, person, via, place, joined_ms, lapse_ms, offered_ms, app FROM queue "

/* '~' is behind every name of an environment (name_valid): NULL asks for all, and the index serves both. A
 * row without an application is of any (state/schema.c, version 5). */
#define SQL_CHAT_LIST(X)                                                                                     \
    X(ASK_INSERT, "INSERT INTO asks (code, env, verb, who, person, via, place, reply_to, wish, state, rev, " \
                  "digest, approved_by, plan_order, order_id, made_ms, lapse_ms, said, app) VALUES "         \
                  "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, '', '', '', ?11, ?12, ?13, ?14, 0, ?15)")       \
    X(ASK_MOVE, "UPDATE asks SET state = ?3, rev = ifnull(?4, rev), digest = ifnull(?5, digest), "           \
                "approved_by = ifnull(?6, approved_by), order_id = max(order_id, ?7), "                      \
                "lapse_ms = CASE WHEN ?8 > 0 THEN ?8 ELSE lapse_ms END WHERE id = ?1 AND state = ?2")        \
    X(ASK_SAID, "UPDATE asks SET said = ?2 WHERE id = ?1")                                                   \
    X(ASK_GET, SQL_ASK_COLUMNS "WHERE id = ?1")                                                              \
    X(ASK_CODE, SQL_ASK_COLUMNS "WHERE code = ?1 AND state <> 'ended'")                                      \
    X(ASK_OPEN,                                                                                              \
      SQL_ASK_COLUMNS "WHERE state <> 'ended' AND env >= ifnull(?1, '') AND env <= ifnull(?1, '~') "         \
                      "AND (?1 IS NULL OR app IN (?2, '')) ORDER BY env, id")                                \
    X(SEEN_INSERT, "INSERT OR IGNORE INTO seen (hash, at_ms) VALUES (?1, ?2)")                               \
    X(SEEN_FORGET, "DELETE FROM seen WHERE at_ms < ?1")                                                      \
    X(QUEUE_INSERT, "INSERT INTO queue (env, who, person, via, place, joined_ms, lapse_ms, offered_ms, "     \
                    "ended_ms, how, app) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, '', ?8)")                 \
    X(QUEUE_FRONT,                                                                                           \
      "INSERT INTO queue (id, env, who, person, via, place, joined_ms, lapse_ms, offered_ms, "               \
      "ended_ms, how, app) VALUES ((SELECT min(id) - 1 FROM queue), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, 0, "     \
      "'', ?8)")                                                                                             \
    X(QUEUE_OPEN,                                                                                            \
      SQL_PLACE_COLUMNS "WHERE ended_ms = 0 AND env >= ifnull(?1, '') AND env <= ifnull(?1, '~') "           \
                        "AND (?1 IS NULL OR app IN (?2, '')) ORDER BY env, id")                              \
    X(QUEUE_OFFER, "UPDATE queue SET offered_ms = ?2 WHERE id = ?1 AND ended_ms = 0")                        \
    X(QUEUE_WITHDRAW, "UPDATE queue SET offered_ms = 0 WHERE env = ?1 AND app IN (?2, '') AND ended_ms = 0 " \
                      "AND offered_ms > 0")                                                                  \
    X(QUEUE_END, "UPDATE queue SET ended_ms = ?2, how = ?3 WHERE id = ?1 AND ended_ms = 0")                  \
    X(MESSAGE_GET, "SELECT place, ts, digest, done FROM messages WHERE sink = ?1 AND release = ?2")          \
    X(MESSAGE_PUT, "INSERT INTO messages (sink, release, place, ts, digest, done) "                          \
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (sink, release) DO UPDATE SET "              \
                   "place = excluded.place, ts = excluded.ts, digest = excluded.digest, "                    \
                   "done = excluded.done")                                                                   \
    X(MESSAGE_OPEN, "SELECT release FROM messages WHERE sink = ?1 AND done = 0 ORDER BY release")            \
    X(NOTICE_INSERT, "INSERT INTO notices (at_ms, env, event, who, person, via, ask, text, app) "            \
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                          \
    X(NOTICE_AFTER, "SELECT id, at_ms, env, event, who, person, via, ask, text, app FROM notices "           \
                    "WHERE id > ?1 ORDER BY id LIMIT ?2")                                                    \
    X(NOTICE_LAST, "SELECT ifnull(max(id), 0) FROM notices")                                                 \
    X(LOCK_EVENTS, "SELECT id, at_ms, env, event, fence, over_fence, release, who, why, EXISTS "             \
                   "(SELECT 1 FROM hand_locks WHERE fence IN (h.fence, h.over_fence)), app "                 \
                   "FROM lock_history h WHERE id > ?1 ORDER BY id LIMIT ?2")                                 \
    X(LOCK_EVENT_LAST, "SELECT ifnull(max(id), 0) FROM lock_history")                                        \
    X(JOURNAL_TOLD,                                                                                          \
      "SELECT seq, at_ms, ifnull(release, 0), kind, node, step, verb, role, code, attempt, "                 \
      "back, a, b, '', text FROM journal WHERE seq > ?1 AND (kind = 'order' OR "                             \
      "(kind = 'note' AND code IN ('life', 'stage', 'soak', 'soaked', 'judged', 'stopping', 'end'))) "       \
      "ORDER BY seq LIMIT ?2")

#endif
