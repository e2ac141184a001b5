-- Who made annotations, for exports: webhooks say it by a number.
CREATE TABLE people (
    id TEXT PRIMARY KEY NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT NOT NULL
);

-- Objects that were written while somebody in them was not known: they are due again once that person is.
CREATE TABLE people_awaited (
    person TEXT NOT NULL,
    storage BIGINT NOT NULL,
    unit TEXT NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (person, storage, unit, item)
);

-- How far the annotations of each project were compared with those of the application that makes them.
CREATE TABLE reconciliations (
    -- '': what is not of one project.
    project TEXT PRIMARY KEY NOT NULL,
    -- What changed there until then is known here; NULL: nothing was read yet.
    since BIGINT,
    -- The pass under way: when it began there, and the last task that it read.
    begun_at BIGINT,
    after BIGINT NOT NULL DEFAULT 0,
    -- When all was compared last, and how many annotations more there were there than here without a reason for it.
    compared_at BIGINT,
    surplus BIGINT NOT NULL DEFAULT 0,
    -- When a pass came to its end last.
    ended_at BIGINT,
    -- Somebody is at it, or it is left alone until then.
    busy_until BIGINT
);

CREATE INDEX annotations_by_project ON annotations (project, id) WHERE body IS NOT NULL;
