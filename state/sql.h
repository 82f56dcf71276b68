/* SPDX-License-Identifier: MIT */
/* Every statement of the store, and the way to run them.
 *
 * X(NAME, "sql"). One place, so that the benchmark and a reader see which index serves which question. Values
 * are always bound, never spliced in (docs/promises.md#s25). */
#ifndef RELEASE_STATE_SQL_H
#define RELEASE_STATE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "state/chat_sql.h"

/* A release with its last end. The order of columns is that of release_from_row. */
#define SQL_RELEASE_COLUMNS                                                                                  \
    "SELECT r.id, r.of_release, r.started_ms, ifnull(e.at_ms, 0), ifnull(e.exit_status, -1), r.env, r.app, " \
    "r.kind, r.plan_name, r.rev, r.rev_typed, r.who, r.host, r.plan_digest, ifnull(e.summary, ''), "         \
    "EXISTS (SELECT 1 FROM journal j WHERE j.release = r.id AND j.kind = 'order' AND j.code = 'abandon'), "  \
    "r.root, CASE WHEN ifnull(e.exit_status, -1) <> 1 THEN 0 "                                               \
    "WHEN EXISTS (SELECT 1 FROM journal j WHERE j.release = r.id AND j.kind = 'order' "                      \
    "AND j.code = 'rollback') THEN 1 "                                                                       \
    "WHEN EXISTS (SELECT 1 FROM journal j WHERE j.release = r.id AND j.kind = 'note' "                       \
    "AND j.code = 'admit') THEN 0 ELSE 2 END "                                                               \
    "FROM releases r LEFT JOIN release_ends e "                                                              \
    "ON e.id = (SELECT max(id) FROM release_ends WHERE release = r.id) "

#define SQL_JOURNAL_COLUMNS                                                                                  \
    "SELECT seq, at_ms, ifnull(release, 0), kind, node, step, verb, role, code, attempt, back, a, b, "       \
    "ifnull(facts, ''), text FROM journal "

#define SQL_OUTPUT_COLUMNS                                                                                   \
    "SELECT id, release, at_ms, node, step, attempt, stream, back, data FROM outputs WHERE release = ?1 "    \
    "AND id > ?2 "

#define SQL_TOKEN_COLUMNS                                                                                    \
    "SELECT t.id, t.name, t.role, t.hash, t.made_ms, t.made_by, t.used_ms, t.revoked_ms, t.bot "             \
    "FROM tokens t "

/* An order with its last event of each sort. The order of columns is that of order_from_row. */
#define SQL_ORDER_EVENT(event)                                                                               \
    "(SELECT max(id) FROM order_events WHERE order_id = o.id AND event = '" event "') "
#define SQL_ORDER_COLUMNS                                                                                    \
    "SELECT o.id, o.at_ms, o.env, o.verb, o.who, o.via, o.place, o.argv, o.host, o.app, "                    \
    "ifnull(s.pid, 0), ifnull(s.pid_start, 0), ifnull(s.boot_id, ''), ifnull(r.release, 0), "                \
    "ifnull(e.at_ms, 0), ifnull(e.exit_status, -1), ifnull(e.text, '') FROM orders o "                       \
    "LEFT JOIN order_events s ON s.id = " SQL_ORDER_EVENT(                                                   \
        "start") "LEFT JOIN order_events r ON r.id = " SQL_ORDER_EVENT("release") "LEFT JOIN order_events "  \
                                                                                  "e ON e.id "               \
                                                                                  "= " SQL_ORDER_EVENT("en"  \
                                                                                                       "d")

#define SQL_LIST(X)                                                                                          \
    X(RELEASE_INSERT, "INSERT INTO releases (env, app, kind, plan_name, rev, rev_typed, who, host, "         \
                      "plan_digest, of_release, started_ms, root) "                                          \
                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                          \
    X(PLAN_INSERT, "INSERT INTO plans (release, json) VALUES (?1, ?2)")                                      \
    X(RELEASE_END, "INSERT INTO release_ends (release, exit_status, summary, at_ms) "                        \
                   "VALUES (?1, ?2, ?3, ?4)")                                                                \
    X(RELEASE_ALL, SQL_RELEASE_COLUMNS "WHERE r.id < ?1 ORDER BY r.id DESC LIMIT ?2")                        \
    X(RELEASE_ENV,                                                                                           \
      SQL_RELEASE_COLUMNS "WHERE r.env = ?3 AND r.app = ?4 AND r.id < ?1 ORDER BY r.id DESC LIMIT ?2")       \
    X(RELEASE_ONE, SQL_RELEASE_COLUMNS "WHERE r.id = ?1")                                                    \
    X(RELEASE_OPEN, SQL_RELEASE_COLUMNS "WHERE r.env = ?1 AND r.app = ?3 AND r.id > ?2 "                     \
                                        "AND r.kind IN ('release', 'rollback') ORDER BY r.id DESC")          \
    X(RELEASE_SETTLED, "SELECT r.id FROM releases r CROSS JOIN release_ends e "                              \
                       "ON e.id = (SELECT max(id) FROM release_ends WHERE release = r.id) "                  \
                       "WHERE r.env = ?1 AND r.app = ?2 AND r.kind IN ('release', 'rollback') "              \
                       "AND e.exit_status IN (0, 1) ORDER BY r.id DESC LIMIT 1")                             \
    X(PLAN_GET, "SELECT json FROM plans WHERE release = ?1")                                                 \
    X(JOURNAL_INSERT, "INSERT INTO journal (at_ms, release, env, kind, node, step, verb, role, code, "       \
                      "attempt, back, a, b, facts, text, rev, identity, debt, app) "                         \
                      "VALUES (?1, nullif(?2, 0), ifnull((SELECT env FROM releases WHERE id = ?2), ''), "    \
                      "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, json_extract(?13, '$.rev'), "    \
                      "json_extract(?13, '$.identity'), json_extract(?13, '$.debt'), "                       \
                      "ifnull((SELECT app FROM releases WHERE id = ?2), ''))")                               \
    X(JOURNAL_ALL, SQL_JOURNAL_COLUMNS "WHERE seq > ?1 ORDER BY seq LIMIT ?2")                               \
    X(JOURNAL_RELEASE, SQL_JOURNAL_COLUMNS "WHERE release = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2")          \
    X(JOURNAL_LAST, "SELECT ifnull(max(seq), 0) FROM journal")                                               \
    X(TIMES_RELEASES,                                                                                        \
      "SELECT id FROM releases WHERE env = ?1 AND app = ?3 AND plan_name = ?2 AND kind <> 'rollback' "       \
      "ORDER BY id DESC LIMIT 20")                                                                           \
    X(TIMES_ROWS, "SELECT node, step, verb, kind, role, code, back, a, at_ms FROM journal "                  \
                  "WHERE release = ?1 ORDER BY seq")                                                         \
    X(OUTPUT_INSERT, "INSERT INTO outputs (release, at_ms, node, step, attempt, stream, back, data) "        \
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                              \
    X(OUTPUT_END, "INSERT INTO output_ends (release, at_ms, node, step, attempt, back, total_bytes, cut, "   \
                  "sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                     \
    X(OUTPUT_READ, SQL_OUTPUT_COLUMNS "AND (?3 IS NULL OR node = ?3) AND (?4 < 0 OR step = ?4) "             \
                                      "ORDER BY id LIMIT ?5")                                                \
    X(OUTPUT_SUMS, "SELECT release, at_ms, node, step, attempt, back, total_bytes, cut, sha256 "             \
                   "FROM output_ends WHERE release = ?1 ORDER BY id")                                        \
    X(LOCK_GET, "SELECT app, fence, release, since_ms, who, why, host, boot_id, pid, pid_start, by_hand "    \
                "FROM locks WHERE env = ?1 AND app IN (?2, '') ORDER BY app DESC LIMIT 1")                   \
    X(LOCK_INSERT, "INSERT INTO locks (env, fence, release, since_ms, who, why, host, boot_id, pid, "        \
                   "pid_start, by_hand, app) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")    \
    X(LOCK_BIND, "UPDATE locks SET release = ?3 WHERE env = ?1 AND fence = ?2")                              \
    X(LOCK_DELETE, "DELETE FROM locks WHERE env = ?1 AND fence = ?2")                                        \
    X(LOCK_FENCE, "SELECT ifnull(max(fence), 0) FROM lock_history")                                          \
    X(LOCK_FORCED,                                                                                           \
      "SELECT ifnull(max(-over_fence), 0) FROM lock_history WHERE env = ?1 AND app IN (?2, '') "             \
      "AND event = 'force' AND over_fence < 0 "                                                              \
      "AND id > ifnull((SELECT max(id) FROM lock_history WHERE env = ?1 AND app IN (?2, '') "                \
      "AND event = 'bind'), 0)")                                                                             \
    X(LOCK_HISTORY, "INSERT INTO lock_history (at_ms, env, event, fence, over_fence, release, who, why, "    \
                    "host, boot_id, pid, pid_start, app) "                                                   \
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")                       \
    X(NODE_NEXT, "SELECT min(node) FROM ("                                                                   \
                 "SELECT (SELECT node FROM journal WHERE app = ?3 AND env = ?1 AND node > ?2 "               \
                 "AND kind = 'note' AND code = 'node-in' ORDER BY node LIMIT 1) AS node "                    \
                 "UNION ALL SELECT (SELECT node FROM journal WHERE app = ?3 AND env = ?1 AND node > ?2 "     \
                 "AND identity IS NOT NULL ORDER BY node LIMIT 1) "                                          \
                 "UNION ALL SELECT (SELECT node FROM journal WHERE app = ?3 AND env = ?1 AND node > ?2 "     \
                 "AND debt IS NOT NULL ORDER BY node LIMIT 1))")                                             \
    X(NODE_IN,                                                                                               \
      "SELECT seq, ifnull(release, 0), at_ms, rev FROM journal "                                             \
      "WHERE app = ?3 AND env = ?1 AND node = ?2 AND kind = 'note' AND code = 'node-in' ORDER BY seq DESC")  \
    X(NODE_IDENTITY, "SELECT ifnull(release, 0), at_ms, identity FROM journal "                              \
                     "WHERE app = ?3 AND env = ?1 AND node = ?2 AND identity IS NOT NULL "                   \
                     "ORDER BY seq DESC LIMIT 1")                                                            \
    X(NODE_DEBT, "SELECT ifnull(release, 0), at_ms, debt FROM journal "                                      \
                 "WHERE app = ?4 AND env = ?1 AND node = ?2 AND debt IS NOT NULL "                           \
                 "AND seq > ?3 ORDER BY seq")                                                                \
    X(NODE_BEFORE, "SELECT json_extract(facts, '$.\"lb.before\"') FROM journal "                             \
                   "WHERE release = ?1 AND node = ?2 AND role = 'before' "                                   \
                   "AND json_extract(facts, '$.\"lb.before\"') IS NOT NULL ORDER BY seq DESC LIMIT 1")       \
    X(CURSOR_GET, "SELECT seq FROM cursors WHERE observer = ?1")                                             \
    X(CURSOR_SET, "INSERT INTO cursors (observer, seq) VALUES (?1, ?2) "                                     \
                  "ON CONFLICT (observer) DO UPDATE SET seq = excluded.seq")                                 \
    X(ENDS_AFTER, "SELECT e.id, r.env, r.kind, e.exit_status, e.at_ms - r.started_ms, r.id, r.app "          \
                  "FROM release_ends e CROSS JOIN releases r ON r.id = e.release "                           \
                  "WHERE e.id > ?1 ORDER BY e.id LIMIT ?2")                                                  \
    X(STATS_RELEASES,                                                                                        \
      "SELECT r.id, r.kind, r.of_release, r.started_ms, ifnull(e.at_ms, 0), ifnull(e.exit_status, -1), "     \
      "r.rev, (SELECT ifnull(json_extract(facts, '$.\"commit.date\"'), '') FROM journal "                    \
      "WHERE release = r.id ORDER BY seq LIMIT 1), "                                                         \
      "CASE WHEN e.exit_status = 0 THEN 1 ELSE EXISTS (SELECT 1 FROM journal WHERE release = r.id "          \
      "AND kind = 'note' AND code = 'admit') END, "                                                          \
      "CASE WHEN e.exit_status = 0 THEN 0 ELSE ifnull((SELECT at_ms FROM journal WHERE release = r.id "      \
      "AND kind = 'note' AND code IN ('node-failed', 'soak-failed', 'gang-bad') ORDER BY seq LIMIT 1), 0) "  \
      "END FROM releases r LEFT JOIN release_ends e "                                                        \
      "ON e.id = (SELECT max(id) FROM release_ends WHERE release = r.id) "                                   \
      "WHERE r.env = ?1 AND r.app = ?2 AND (r.kind = 'rollback' OR r.kind = 'release' AND r.rev <> '') "     \
      "ORDER BY r.id")                                                                                       \
    X(START_FACTS, "SELECT ifnull(facts, '') FROM journal WHERE release = ?1 ORDER BY seq LIMIT 1")          \
    X(OUTPUT_LAST, SQL_OUTPUT_COLUMNS "AND node = ?3 AND step = ?4 ORDER BY id DESC LIMIT ?5")               \
    X(SELF, "SELECT id FROM self WHERE rowid = 1")                                                           \
    X(ENV_OF_ROOT, "SELECT app FROM releases WHERE env = ?1 AND root = ?2 ORDER BY id DESC LIMIT 1")         \
    X(ENV_ROOT, "SELECT root FROM releases WHERE env = ?1 AND app = ?2 ORDER BY id DESC LIMIT 1")            \
    X(ENV_APP_NEXT, "SELECT min(app) FROM (SELECT app FROM releases WHERE env = ?1 AND app > ?2 "            \
                    "UNION ALL SELECT app FROM locks WHERE env = ?1 AND app > ?2)")                          \
    X(ENV_NEXT, "SELECT min(env) FROM releases WHERE env > ?1 AND ?2 IS NULL")                               \
    X(SITE_ADD, "INSERT OR REPLACE INTO sites (site, app, env, node) VALUES (?1, ?2, ?3, ?4)")               \
    X(SITE_DROP, "DELETE FROM sites WHERE env = ?1 AND app = ?2")                                            \
    X(SITE_OTHERS, "SELECT app, env, node FROM sites WHERE site = ?1 AND NOT (env = ?2 AND app = ?3)")       \
    X(TOKEN_INSERT, "INSERT INTO tokens (name, role, hash, made_ms, made_by, used_ms, revoked_ms, bot) "     \
                    "VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)")                                                 \
    X(TOKEN_USED, "UPDATE tokens SET used_ms = ?2 WHERE id = ?1 AND used_ms < ?2")                           \
    X(TOKEN_REVOKE, "UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms = 0")                    \
    X(TOKEN_GET, SQL_TOKEN_COLUMNS "WHERE t.id = ?1")                                                        \
    X(TOKEN_NAMED, SQL_TOKEN_COLUMNS "WHERE t.name = ?1 AND t.revoked_ms = 0")                               \
    X(TOKEN_LIST, SQL_TOKEN_COLUMNS "WHERE t.id > 0 ORDER BY t.id")                                          \
    X(LOGIN_INSERT, "INSERT INTO logins (hash, token, made_ms, expires_ms) VALUES (?1, ?2, ?3, ?4)")         \
    X(LOGIN_GET, SQL_TOKEN_COLUMNS "JOIN logins l ON l.token = t.id WHERE l.hash = ?1 "                      \
                                   "AND l.expires_ms > ?2")                                                  \
    X(LOGIN_DELETE, "DELETE FROM logins WHERE hash = ?1")                                                    \
    X(LOGIN_EXPIRE, "DELETE FROM logins WHERE expires_ms <= ?1")                                             \
    X(ORDER_INSERT, "INSERT INTO orders (at_ms, env, verb, who, via, place, argv, host, app) "               \
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                           \
    X(ORDER_EVENT, "INSERT INTO order_events (order_id, event, at_ms, release, pid, pid_start, boot_id, "    \
                   "exit_status, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                         \
    X(ORDER_GET, SQL_ORDER_COLUMNS "WHERE o.id = ?1")                                                        \
    X(ORDER_ALL, SQL_ORDER_COLUMNS "WHERE o.id < ?1 ORDER BY o.id DESC LIMIT ?2")                            \
    X(ORDER_ENV,                                                                                             \
      SQL_ORDER_COLUMNS "WHERE o.env = ?3 AND o.app IN (?4, '') AND o.id < ?1 ORDER BY o.id DESC LIMIT ?2")  \
    X(ORDER_OF_RELEASE, "SELECT ifnull(max(order_id), 0) FROM order_events "                                 \
                        "WHERE release = ?1 AND event = 'release'")                                          \
    X(ORDER_EVENT_LAST, "SELECT ifnull(max(id), 0) FROM order_events")                                       \
    X(ORDER_EVENTS_AFTER, "SELECT id, order_id FROM order_events WHERE id > ?1 ORDER BY id LIMIT ?2")        \
    SQL_CHAT_LIST(X)

#define SQL_ENUM(n, text) SQL_##n,
enum sql { SQL_LIST(SQL_ENUM) SQL_COUNT };
const char *sql_text(enum sql id);

/* A value to bind. Memory stays the caller's, and must live until the query ends. */
struct arg {
    enum arg_kind { ARG_INT, ARG_TEXT, ARG_BLOB } kind;
    int64_t number;
    const char *data; /* ARG_TEXT: NULL binds NULL */
    size_t n;
};
struct arg arg_int(int64_t v);
struct arg arg_text(const char *v);
struct arg arg_blob(const char *data, size_t n);
struct arg arg_limit(size_t most);     /* of rows */
struct arg arg_before(int64_t number); /* 0 = no bound */
/* A statement with its values: SQL(TOKEN_USED, arg_int(id), arg_int(now)) gives one that lives in its block. */
struct statement {
    enum sql id;
    const struct arg *args;
    size_t n;
};
#define SQL(name, ...)                                                                                       \
    (&(const struct statement){.id = SQL_##name,                                                             \
                               .args = (struct arg[]){__VA_ARGS__},                                          \
                               .n = sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg)})

struct store;
/* Runs a statement that changes something and gives no rows; inside a transaction of the caller. */
bool sql_run(struct store *s, const struct statement *what, struct err *err) MUST_CHECK;
int64_t sql_id(const struct store *s);      /* of the row that the last sql_run inserted */
int64_t sql_changed(const struct store *s); /* how many rows it changed */
/* The number that a question has for its answer; 0 when there is no row. */
bool sql_number(struct store *s, const struct statement *what, int64_t *ret, struct err *err) MUST_CHECK;

/* Rows, one by one:
 *     auto_query struct query q;
 *     if (!query_open(&q, s, SQL(X, ...), err)) return false;
 *     while (query_next(&q, err)) ...
 *     return !q.failed;
 * On a journal that is not there yet there are no rows. */
struct db_rows;
struct query {
    struct store *store;
    struct db_rows *rows;
    struct err *err; /* of query_open */
    bool failed;
};
bool query_open(struct query *q, struct store *s, const struct statement *what, struct err *err) MUST_CHECK;
bool query_next(struct query *q, struct err *err) MUST_CHECK;
void query_end(struct query *q);
#define auto_query __attribute__((cleanup(query_end)))
int64_t query_int(const struct query *q, int column);
const char *query_peek(const struct query *q, int column); /* until the next query_next; "" for NULL */
const char *query_text(const struct query *q, int column, struct arena *arena);
/* A word of one of the closed lists in base/words.h, by its reader there. One that is in no list is damage: the
 * query has failed with E_JOURNAL, and 0 is given. */
int query_word(struct query *q, int column, int (*from_name)(const char *text));
/* As query_text, for bytes of any kind; *ret_n of them. */
const char *query_blob(const struct query *q, int column, struct arena *arena, size_t *ret_n);

#endif
