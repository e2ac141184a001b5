-- Times are microseconds since 1970. Documents are JSON text, written and read whole.

CREATE TABLE storages (
    -- A sequence: a number is never given twice, also after its row is gone.
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    direction TEXT NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('api', 'file')),
    -- The name in the configuration file.
    name TEXT UNIQUE,
    -- Whether the file no longer has it.
    absent BOOLEAN NOT NULL DEFAULT FALSE,
    -- From the settings, to be found by.
    project TEXT,
    settings TEXT NOT NULL,
    -- Sealed; NULL where there are none.
    keys BYTEA,
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    status TEXT NOT NULL DEFAULT 'initialized',
    last_sync BIGINT,
    last_sync_count BIGINT,
    last_sync_job TEXT,
    traceback TEXT,
    meta TEXT NOT NULL DEFAULT '{}',
    CHECK ((origin = 'file') = (name IS NOT NULL))
);

CREATE INDEX storages_by_project ON storages (project);

CREATE TABLE revocations (
    -- 'token' by its jti, or 'subject'.
    kind TEXT NOT NULL CHECK (kind IN ('token', 'subject')),
    name TEXT NOT NULL,
    -- Of a subject: its tokens issued then or earlier.
    issued_until BIGINT,
    -- When nothing is left to revoke; NULL: never.
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE TABLE admin_tokens (
    name TEXT PRIMARY KEY NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Raised by every change of the topic, and locked by it: writers of one topic wait for each other.
CREATE TABLE changes (
    topic TEXT PRIMARY KEY NOT NULL,
    version BIGINT NOT NULL
);

INSERT INTO changes (topic, version) VALUES ('revocations', 0), ('storages', 0);
