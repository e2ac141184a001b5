-- What this store is called where others keep what it made.
CREATE TABLE identities (
    name TEXT PRIMARY KEY NOT NULL,
    uuid TEXT NOT NULL
);

-- Tasks that live in another application, one row each; a store that keeps its tasks to itself has none.
CREATE TABLE deliveries (
    -- The number of the link.
    task INTEGER PRIMARY KEY NOT NULL,
    source BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('due', 'sending', 'done', 'refused')),
    -- The line that the item starts on, where it has lines.
    line BIGINT,
    -- Whether its item has changed since it was sent.
    stale BOOLEAN NOT NULL DEFAULT FALSE,
    -- The application's number of the task; NULL: it has none that we know of.
    remote BIGINT,
    -- Of the request that made it, or was to.
    batch TEXT,
    -- The newest of the source's tasks there when it was sent: what it became is newer.
    after_remote BIGINT,
    -- Until when an answer may come, or a task appear after an answer that got lost.
    settle_at BIGINT,
    -- Whether it was sent again after an answer got lost, so that there may be two.
    resent BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX deliveries_pending_by_source ON deliveries (source, state, task) WHERE state <> 'done';
CREATE INDEX deliveries_by_source ON deliveries (source, remote) WHERE remote IS NOT NULL;
CREATE UNIQUE INDEX deliveries_by_remote ON deliveries (remote) WHERE remote IS NOT NULL;
