-- Workspaces own prefixes, management keys have names and scopes, and a key's prefix is unique in its workspace.

ALTER TABLE workspaces ADD COLUMN onboarded INTEGER NOT NULL DEFAULT 1;
-- A JSON list; NULL is every prefix that nobody else owns.
ALTER TABLE workspaces ADD COLUMN org_prefixes TEXT;
ALTER TABLE workspaces ADD COLUMN ed25519_public_key BLOB;
-- Until here there was one workspace, made by the first edit.
ALTER TABLE workspaces ADD COLUMN serial INTEGER NOT NULL DEFAULT 1;

-- Revoked keys stay: neither a key nor, within its workspace, a prefix is ever given again.
CREATE TABLE keys_2 (
    hash      BLOB PRIMARY KEY,
    workspace INTEGER NOT NULL REFERENCES workspaces (id),
    prefix    TEXT NOT NULL,
    group_id  INTEGER NOT NULL REFERENCES groups (id),
    name      TEXT,
    serial    INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    revoked_s INTEGER,
    UNIQUE (workspace, prefix)
) STRICT, WITHOUT ROWID;
INSERT INTO keys_2
    SELECT hash, groups.workspace, prefix, group_id, keys.name, keys.serial, keys.created_s, revoked_s
    FROM keys JOIN groups ON groups.id = keys.group_id;
DROP TABLE keys;
ALTER TABLE keys_2 RENAME TO keys;

-- Deleted management keys stay for the same reason. Only the environment can give one again.
CREATE TABLE management_keys_2 (
    hash             BLOB PRIMARY KEY,
    id               INTEGER NOT NULL,
    name             TEXT,
    prefix           TEXT NOT NULL,
    workspace        INTEGER NOT NULL REFERENCES workspaces (id),
    scope            TEXT NOT NULL,
    from_environment INTEGER NOT NULL,
    serial           INTEGER NOT NULL,
    created_s        INTEGER NOT NULL,
    deleted_s        INTEGER,
    last_used_s      INTEGER
) STRICT, WITHOUT ROWID;
-- Each was made by an edit of its own, so these numbers are all below the store's version.
INSERT INTO management_keys_2
    SELECT hash, random(), NULL, prefix, workspace, scope, from_environment,
           row_number() OVER (ORDER BY created_s, hash), created_s, NULL, NULL
    FROM management_keys;
DROP TABLE management_keys;
ALTER TABLE management_keys_2 RENAME TO management_keys;

-- One credential is one thing, in whichever table it stands.
CREATE TRIGGER key_is_no_management_key BEFORE INSERT ON keys
WHEN EXISTS (SELECT 1 FROM management_keys WHERE hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'this credential is a management key'); END;
CREATE TRIGGER management_key_is_no_key BEFORE INSERT ON management_keys
WHEN EXISTS (SELECT 1 FROM keys WHERE hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'this credential is a customer''s key'); END;
