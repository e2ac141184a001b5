-- Annotations as they were accepted, each in its newest state.
CREATE TABLE annotations (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    -- '': of no project.
    project TEXT NOT NULL,
    -- '': deleted before anything else was heard of it.
    task TEXT COLLATE "C" NOT NULL,
    -- Of the state: an older one changes nothing.
    updated_at BIGINT NOT NULL,
    -- NULL: deleted, which is a state too.
    body TEXT,
    -- What was told of the task with it.
    task_body TEXT,
    accepted_at BIGINT NOT NULL
);

CREATE INDEX annotations_by_task ON annotations (task, id);

-- Tasks that are gone, so that an annotation of one that comes late stays away.
CREATE TABLE deleted_tasks (
    task TEXT PRIMARY KEY NOT NULL,
    deleted_at BIGINT NOT NULL
);

-- What each target has, and what it lacks: one row for an object.
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    storage BIGINT NOT NULL,
    unit TEXT NOT NULL CHECK (unit IN ('annotation', 'task')),
    -- The annotation's id, or the task's.
    item TEXT COLLATE "C" NOT NULL,
    -- Counts the states that are wanted in the target.
    wanted BIGINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL CHECK (state IN ('due', 'done', 'dead')),
    -- When it is tried next.
    due_at BIGINT NOT NULL,
    -- When the oldest state came that the target lacks.
    waiting_since BIGINT NOT NULL,
    -- In a row that failed.
    attempts BIGINT NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    reason TEXT,
    -- Of the storage, when it was given up.
    revision BIGINT,
    -- Counts the claims; whoever holds an older one is refused.
    claims BIGINT NOT NULL DEFAULT 0,
    claimed_by TEXT,
    lease_until BIGINT,
    -- The object that was written last, and a hash of what and where it is.
    key TEXT,
    hash TEXT,
    written_at BIGINT,
    UNIQUE (storage, unit, item)
);

CREATE INDEX outbox_due_by_time ON outbox (storage, due_at) WHERE state = 'due';
CREATE INDEX outbox_dead_by_storage ON outbox (storage, id) WHERE state = 'dead';
CREATE INDEX outbox_claimed_by_whom ON outbox (claimed_by) WHERE claimed_by IS NOT NULL;
