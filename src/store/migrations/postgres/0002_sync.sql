-- No foreign keys here: nothing that they would point to is ever deleted, and a check for each of a million rows costs
-- as much as the row.

-- What a sync left is read from its run from now on.
ALTER TABLE storages DROP COLUMN status;
ALTER TABLE storages DROP COLUMN last_sync;
ALTER TABLE storages DROP COLUMN last_sync_count;
ALTER TABLE storages DROP COLUMN last_sync_job;
ALTER TABLE storages DROP COLUMN traceback;
ALTER TABLE storages DROP COLUMN meta;

-- Executions of syncs and exports.
CREATE TABLE runs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    storage BIGINT NOT NULL,
    job TEXT NOT NULL CHECK (job IN ('sync', 'export')),
    asked_by TEXT NOT NULL,
    -- Which of the storage's runs it is, from 1; old ones are dropped.
    attempt BIGINT NOT NULL,
    status TEXT NOT NULL,
    cancelling BOOLEAN NOT NULL DEFAULT FALSE,
    -- Counts the claims; whoever holds an older one is refused.
    claims BIGINT NOT NULL DEFAULT 0,
    claimed_by TEXT,
    lease_until BIGINT,
    -- The revision of the storage that its parts were planned for.
    revision BIGINT,
    error TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    last_ping BIGINT,
    ended_at BIGINT
);

-- A storage has one open run.
CREATE UNIQUE INDEX runs_open_by_storage ON runs (storage) WHERE status IN ('queued', 'in_progress');
CREATE INDEX runs_by_storage ON runs (storage, id);

-- What a run consists of: each part is a range of keys, with how far it is and what was found in it.
CREATE TABLE run_parts (
    run BIGINT NOT NULL,
    part BIGINT NOT NULL,
    -- Exclusive: what is behind it is still to be done.
    after_key TEXT COLLATE "C" NOT NULL,
    -- Inclusive; NULL: to the end.
    until_key TEXT COLLATE "C",
    done BOOLEAN NOT NULL DEFAULT FALSE,
    -- Counts the steps taken, so that one whose answer got lost is not taken twice.
    steps BIGINT NOT NULL DEFAULT 0,
    listed BIGINT NOT NULL DEFAULT 0,
    matched BIGINT NOT NULL DEFAULT 0,
    existed BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    changed BIGINT NOT NULL DEFAULT 0,
    vanished BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (run, part)
);

-- What was refused in a run; the first thousand.
CREATE TABLE run_faults (
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    -- -1: the whole object.
    row_index BIGINT NOT NULL,
    line BIGINT,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, key, row_index)
);

-- Where links come from: a bucket for a project, whichever storages list it, or for one storage alone.
CREATE TABLE sources (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint TEXT NOT NULL,
    bucket TEXT NOT NULL,
    -- '': of no project.
    project TEXT NOT NULL,
    -- 0: of all storages.
    storage BIGINT NOT NULL,
    UNIQUE (endpoint, bucket, project, storage)
);

-- Which storages link into a source, so that a storage keeps its links when its endpoint gets another name.
CREATE TABLE source_storages (
    source BIGINT NOT NULL,
    storage BIGINT NOT NULL,
    PRIMARY KEY (source, storage)
);

-- A task and the object, or the item of an object, that it was made of. It is never made twice.
CREATE TABLE links (
    -- The number of the task; never given twice.
    task BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    -- -1: the object itself.
    row_index BIGINT NOT NULL,
    -- Of the version that it was made of.
    etag TEXT,
    -- The storage whose sync made it.
    storage BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    -- When the object was found missing.
    vanished_at BIGINT,
    UNIQUE (source, key, row_index)
);

-- What items say of their tasks. A task that stands for an object has no row: its data is the object's URI.
CREATE TABLE tasks (
    task BIGINT PRIMARY KEY NOT NULL,
    data TEXT NOT NULL,
    annotations TEXT,
    predictions TEXT,
    meta TEXT,
    allow_skip BOOLEAN
);

-- Objects whose items were read to the end.
CREATE TABLE read_objects (
    source BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    etag TEXT,
    items BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    read_at BIGINT NOT NULL,
    vanished_at BIGINT,
    PRIMARY KEY (source, key)
);
