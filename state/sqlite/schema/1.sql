-- The first: releases, plans, journal, outputs, locks, cursors. Tables that hold history refuse UPDATE and DELETE.

-- One row when it begins; its frozen plan and its ends stand beside it.
CREATE TABLE releases (
    id INTEGER PRIMARY KEY, env TEXT NOT NULL, app TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('release', 'rollback', 'task', 'exec')), plan_name TEXT NOT NULL,
    rev TEXT NOT NULL, rev_typed TEXT NOT NULL, who TEXT NOT NULL, host TEXT NOT NULL,
    plan_digest TEXT NOT NULL, of_release INTEGER NOT NULL, started_ms INTEGER NOT NULL);
CREATE INDEX releases_env ON releases (env);
CREATE TRIGGER releases_no_update BEFORE UPDATE ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER releases_no_delete BEFORE DELETE ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;

CREATE TABLE plans (
    release INTEGER PRIMARY KEY REFERENCES releases (id), json TEXT NOT NULL);
CREATE TRIGGER plans_no_update BEFORE UPDATE ON plans BEGIN SELECT RAISE(ABORT, 'plans is append-only'); END;
CREATE TRIGGER plans_no_delete BEFORE DELETE ON plans BEGIN SELECT RAISE(ABORT, 'plans is append-only'); END;

CREATE TABLE release_ends (
    id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id),
    exit_status INTEGER NOT NULL, summary TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX release_ends_release ON release_ends (release);
CREATE TRIGGER release_ends_no_update BEFORE UPDATE ON release_ends
    BEGIN SELECT RAISE(ABORT, 'release_ends is append-only'); END;
CREATE TRIGGER release_ends_no_delete BEFORE DELETE ON release_ends
    BEGIN SELECT RAISE(ABORT, 'release_ends is append-only'); END;

-- rev, identity, debt are copies out of facts, for the indexes: no JSON function may stand in a schema.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, release INTEGER REFERENCES releases (id),
    env TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'note', 'order')),
    node TEXT NOT NULL, step INTEGER NOT NULL, verb TEXT NOT NULL, role TEXT NOT NULL, code TEXT NOT NULL,
    attempt INTEGER NOT NULL, back INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, facts TEXT,
    text TEXT NOT NULL, rev TEXT, identity TEXT, debt TEXT);
CREATE INDEX journal_release ON journal (release);
CREATE INDEX journal_abandon ON journal (release) WHERE kind = 'order' AND code = 'abandon';
CREATE INDEX journal_node_in ON journal (env, node) WHERE kind = 'note' AND code = 'node-in';
CREATE INDEX journal_identity ON journal (env, node) WHERE identity IS NOT NULL;
CREATE INDEX journal_debt ON journal (env, node) WHERE debt IS NOT NULL;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;

-- What steps printed: pieces as they came, and one row of totals when an op ends.
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id), at_ms INTEGER NOT NULL,
    node TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, stream INTEGER NOT NULL,
    back INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX outputs_release ON outputs (release);
CREATE TRIGGER outputs_no_update BEFORE UPDATE ON outputs BEGIN SELECT RAISE(ABORT, 'outputs is append-only'); END;
CREATE TRIGGER outputs_no_delete BEFORE DELETE ON outputs BEGIN SELECT RAISE(ABORT, 'outputs is append-only'); END;

CREATE TABLE output_ends (
    id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id), at_ms INTEGER NOT NULL,
    node TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, back INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL, cut INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE INDEX output_ends_release ON output_ends (release);
CREATE TRIGGER output_ends_no_update BEFORE UPDATE ON output_ends
    BEGIN SELECT RAISE(ABORT, 'output_ends is append-only'); END;
CREATE TRIGGER output_ends_no_delete BEFORE DELETE ON output_ends
    BEGIN SELECT RAISE(ABORT, 'output_ends is append-only'); END;

-- Who holds what now; the unique row is the lock. The only table besides cursors that changes in place.
CREATE TABLE locks (
    env TEXT PRIMARY KEY, fence INTEGER NOT NULL UNIQUE, release INTEGER NOT NULL,
    since_ms INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, host TEXT NOT NULL,
    boot_id TEXT NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, by_hand INTEGER NOT NULL) WITHOUT ROWID;

-- The next fence is one above the highest here, so no number comes twice.
CREATE TABLE lock_history (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('take', 'take-over', 'bind', 'free', 'force')),
    fence INTEGER NOT NULL, over_fence INTEGER NOT NULL, release INTEGER NOT NULL, who TEXT NOT NULL,
    why TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,
    pid_start INTEGER NOT NULL);
CREATE INDEX lock_history_fence ON lock_history (fence);
CREATE TRIGGER lock_history_no_update BEFORE UPDATE ON lock_history
    BEGIN SELECT RAISE(ABORT, 'lock_history is append-only'); END;
CREATE TRIGGER lock_history_no_delete BEFORE DELETE ON lock_history
    BEGIN SELECT RAISE(ABORT, 'lock_history is append-only'); END;

-- How far each observer has read the journal.
CREATE TABLE cursors (
    observer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
