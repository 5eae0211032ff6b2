//! The tables in SQL. A schema that has been released is never edited: a change is one more step.

/// Steps from an empty database to the present schema; step n leads to version n + 1 (`PRAGMA user_version`).
pub const STEPS: &[&str] = &["
    CREATE TABLE contact (
        id           INTEGER PRIMARY KEY,
        aor          TEXT NOT NULL,
        uri          TEXT NOT NULL,
        q            TEXT,
        instance     TEXT,
        reg_id       INTEGER,
        path         TEXT NOT NULL,    -- values of Path, one a line
        call_id      TEXT NOT NULL,
        cseq         INTEGER NOT NULL,
        user_agent   TEXT NOT NULL,
        transport    TEXT NOT NULL,
        source       TEXT NOT NULL,    -- ADDRESS:PORT
        is_rewritten INTEGER NOT NULL,
        granted_s    INTEGER NOT NULL,
        expires_unix INTEGER NOT NULL
    ) STRICT;
"];

/// All contacts.
pub const SELECT: &str = "
    SELECT id, aor, uri, q, instance, reg_id, path, call_id, cseq, user_agent, transport, source, is_rewritten,
           granted_s, expires_unix
    FROM contact";

/// One contact, new or changed; the columns in the order of [`SELECT`].
pub const PUT: &str = "
    INSERT OR REPLACE INTO contact
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

/// One contact less.
pub const REMOVE: &str = "DELETE FROM contact WHERE id = ?1";
