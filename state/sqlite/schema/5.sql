-- An environment is (application, name); the journal has an identity; where nodes stand.
--
-- Until here an environment was its name alone, and two applications with a `prod` each were one. Rows that belong
-- to a release take its application. Of locks by hand and of what rooms wait for it is not known: '' there means
-- any application of that name, so that nothing that was held comes free by an update.

-- Who this journal is, wherever its file lies: nodes are claimed in its name.
CREATE TABLE self (
    id TEXT NOT NULL);
INSERT INTO self (id) VALUES (lower(hex(randomblob(16))));
CREATE TRIGGER self_no_update BEFORE UPDATE ON self BEGIN SELECT RAISE(ABORT, 'self is append-only'); END;
CREATE TRIGGER self_no_delete BEFORE DELETE ON self BEGIN SELECT RAISE(ABORT, 'self is append-only'); END;

-- The tree that it was released from.
ALTER TABLE releases ADD COLUMN root TEXT NOT NULL DEFAULT '';
CREATE INDEX releases_app ON releases (env, app);
CREATE INDEX releases_root ON releases (env, root);

ALTER TABLE journal ADD COLUMN app TEXT NOT NULL DEFAULT '';
DROP TRIGGER journal_no_update;
UPDATE journal SET app = (SELECT app FROM releases WHERE id = journal.release) WHERE release IS NOT NULL;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
DROP INDEX journal_node_in;
DROP INDEX journal_identity;
DROP INDEX journal_debt;
CREATE INDEX journal_node_in ON journal (app, env, node) WHERE kind = 'note' AND code = 'node-in';
CREATE INDEX journal_identity ON journal (app, env, node) WHERE identity IS NOT NULL;
CREATE INDEX journal_debt ON journal (app, env, node) WHERE debt IS NOT NULL;

CREATE TABLE locks_5 (
    app TEXT NOT NULL, env TEXT NOT NULL, fence INTEGER NOT NULL UNIQUE, release INTEGER NOT NULL,
    since_ms INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, host TEXT NOT NULL,
    boot_id TEXT NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, by_hand INTEGER NOT NULL,
    PRIMARY KEY (app, env)) WITHOUT ROWID;
INSERT INTO locks_5 SELECT coalesce((SELECT app FROM releases WHERE id = l.release), (SELECT max(app) FROM releases
    WHERE env = l.env GROUP BY env HAVING min(app) = max(app)), ''), env, fence, release, since_ms, who, why, host,
    boot_id, pid, pid_start, by_hand FROM locks l;
DROP TABLE locks;
ALTER TABLE locks_5 RENAME TO locks;
CREATE TRIGGER locks_by_hand AFTER INSERT ON locks WHEN new.by_hand
    BEGIN INSERT OR IGNORE INTO hand_locks (fence) VALUES (new.fence); END;

ALTER TABLE lock_history ADD COLUMN app TEXT NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN app TEXT NOT NULL DEFAULT '';
ALTER TABLE asks ADD COLUMN app TEXT NOT NULL DEFAULT '';
ALTER TABLE notices ADD COLUMN app TEXT NOT NULL DEFAULT '';
ALTER TABLE queue ADD COLUMN app TEXT NOT NULL DEFAULT '';
DROP INDEX queue_who;
CREATE UNIQUE INDEX queue_who ON queue (env, app, who) WHERE ended_ms = 0;

-- Where the nodes of an environment stood when its lock was last taken for them: two environments with a
-- site in common are one to the lock.
CREATE TABLE sites (
    site TEXT NOT NULL, app TEXT NOT NULL, env TEXT NOT NULL, node TEXT NOT NULL,
    PRIMARY KEY (site, app, env)) WITHOUT ROWID;
CREATE INDEX sites_env ON sites (env, app);
