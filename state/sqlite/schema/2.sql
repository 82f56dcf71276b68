-- The server: tokens, logins, orders.

-- Who may ask the server. A token is known by its hash alone; used_ms is set now and then, revoked_ms once.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')), hash TEXT NOT NULL,
    made_ms INTEGER NOT NULL, made_by TEXT NOT NULL, used_ms INTEGER NOT NULL,
    revoked_ms INTEGER NOT NULL);
CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_ms = 0;
CREATE TRIGGER tokens_no_delete BEFORE DELETE ON tokens
    BEGIN SELECT RAISE(ABORT, 'tokens are revoked, never deleted'); END;

-- Browsers that are logged in, by the hash of their cookie: they outlive a restart of the server.
CREATE TABLE logins (
    hash TEXT PRIMARY KEY, token INTEGER NOT NULL REFERENCES tokens (id), made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX logins_expires ON logins (expires_ms);

-- What people told the server to do: written before it is done, and what became of it beside it.
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL, verb TEXT NOT NULL,
    who TEXT NOT NULL, via TEXT NOT NULL, place TEXT NOT NULL, argv TEXT NOT NULL, host TEXT NOT NULL);
CREATE INDEX orders_env ON orders (env);
CREATE TRIGGER orders_no_update BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'orders is append-only'); END;
CREATE TRIGGER orders_no_delete BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'orders is append-only'); END;

CREATE TABLE order_events (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id),
    event TEXT NOT NULL CHECK (event IN ('start', 'release', 'end')), at_ms INTEGER NOT NULL,
    release INTEGER NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, boot_id TEXT NOT NULL,
    exit_status INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX order_events_order ON order_events (order_id);
CREATE INDEX order_events_release ON order_events (release) WHERE event = 'release';
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
    BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
    BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
