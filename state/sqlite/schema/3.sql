-- Chat rooms: asks, seen requests, queue, messages, notices, locks held by hand.

-- A request from a room until its last answer (state/chat.h). What was ordered stands in orders, for good.
CREATE TABLE asks (
    id INTEGER PRIMARY KEY, code TEXT NOT NULL, env TEXT NOT NULL, verb TEXT NOT NULL, who TEXT NOT NULL,
    person TEXT NOT NULL, via TEXT NOT NULL, place TEXT NOT NULL, reply_to TEXT NOT NULL,
    wish TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('plan', 'confirm', 'approve', 'going', 'ended')),
    rev TEXT NOT NULL, digest TEXT NOT NULL, approved_by TEXT NOT NULL, plan_order INTEGER NOT NULL,
    order_id INTEGER NOT NULL, made_ms INTEGER NOT NULL, lapse_ms INTEGER NOT NULL, said INTEGER NOT NULL);
CREATE UNIQUE INDEX asks_code ON asks (code) WHERE state <> 'ended';
CREATE INDEX asks_open ON asks (env) WHERE state <> 'ended';

-- Signatures of requests, for as long as their stamp is young enough to be played again.
CREATE TABLE seen (
    hash TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at_ms);

-- Who waits for the lock; ended_ms is set once.
CREATE TABLE queue (
    id INTEGER PRIMARY KEY, env TEXT NOT NULL, who TEXT NOT NULL, person TEXT NOT NULL, via TEXT NOT NULL,
    place TEXT NOT NULL, joined_ms INTEGER NOT NULL, lapse_ms INTEGER NOT NULL,
    offered_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, how TEXT NOT NULL);
CREATE UNIQUE INDEX queue_who ON queue (env, who) WHERE ended_ms = 0;
CREATE INDEX queue_open ON queue (env) WHERE ended_ms = 0;

-- The one message of a release in a room, which is kept up to date.
CREATE TABLE messages (
    sink TEXT NOT NULL, release INTEGER NOT NULL, place TEXT NOT NULL, ts TEXT NOT NULL,
    digest TEXT NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (sink, release)) WITHOUT ROWID;

-- What rooms are told of that is no row of the journal.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL, event TEXT NOT NULL,
    who TEXT NOT NULL, person TEXT NOT NULL, via TEXT NOT NULL, ask INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TRIGGER notices_no_update BEFORE UPDATE ON notices BEGIN SELECT RAISE(ABORT, 'notices is append-only'); END;
CREATE TRIGGER notices_no_delete BEFORE DELETE ON notices BEGIN SELECT RAISE(ABORT, 'notices is append-only'); END;

-- Which grants were by hand: the history alone does not say, and rooms are told of these only.
CREATE TABLE hand_locks (
    fence INTEGER PRIMARY KEY);
INSERT INTO hand_locks (fence) SELECT fence FROM locks WHERE by_hand;
CREATE TRIGGER locks_by_hand AFTER INSERT ON locks WHEN new.by_hand
    BEGIN INSERT OR IGNORE INTO hand_locks (fence) VALUES (new.fence); END;
