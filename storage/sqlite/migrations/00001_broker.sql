-- +goose Up

-- Times are milliseconds since 1970 (0: never), durations nanoseconds.

-- One row: who this store is. A file that is replaced by another has another epoch.
CREATE TABLE store (
    epoch TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id                  TEXT    NOT NULL PRIMARY KEY,
    name                TEXT    NOT NULL UNIQUE,
    password_hash       TEXT    NOT NULL,
    secret_hash         BLOB,
    retry_interval      INTEGER NOT NULL,
    max_retry_limit     INTEGER NOT NULL,
    message_expiry      INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    subscription_expiry INTEGER NOT NULL,
    suite               INTEGER NOT NULL,
    key_check           TEXT    NOT NULL,
    fcm_key             BLOB,
    fcm_config          BLOB,
    suspended           INTEGER NOT NULL,
    version             INTEGER NOT NULL,
    created_at          INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_due ON sessions (expires_at) WHERE expires_at > 0;

-- What a session has stored. Apart from sessions, whose rows are wide: this one changes with every group.
CREATE TABLE usage (
    session  TEXT    NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- id is never used again (AUTOINCREMENT), so that what a dropped topic leaves behind until the sweep belongs to nobody.
CREATE TABLE topics (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    session     TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    head        INTEGER NOT NULL DEFAULT 0,
    subscribers INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session, name)
) STRICT;

-- settled is storage.Ranges in its binary form.
CREATE TABLE subscriptions (
    topic      INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    subscriber TEXT    NOT NULL,
    session    TEXT    NOT NULL,
    attach     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    settled    BLOB    NOT NULL,
    woken      INTEGER NOT NULL DEFAULT 0, -- its user was woken for messages up to this seq
    PRIMARY KEY (topic, subscriber)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_of ON subscriptions (session, subscriber);
CREATE INDEX subscriptions_due ON subscriptions (expires_at) WHERE expires_at > 0;

-- No reference to topics: a session is dropped at once, its messages are deleted in bites by the sweep.
CREATE TABLE messages (
    topic      INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    stored_at  INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    message_id TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    data       BLOB    NOT NULL,
    PRIMARY KEY (topic, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_due ON messages (expires_at);

-- A row is a group's messageIds: topic, first 16 bytes of the messageId's SHA-256 and seq, one after the other. It
-- outlives the messages by the dedupe window. Which row a messageId is in, the process knows.
CREATE TABLE message_ids (
    id        INTEGER NOT NULL PRIMARY KEY,
    stored_at INTEGER NOT NULL,
    ids       BLOB    NOT NULL
) STRICT;

-- token is sealed under MASTER_KEY.
CREATE TABLE device_tokens (
    session    TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id    TEXT    NOT NULL,
    device_id  TEXT    NOT NULL,
    platform   TEXT    NOT NULL,
    token      BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (session, user_id, device_id)
) STRICT, WITHOUT ROWID;

-- Whose a client is: who is woken for its messages.
CREATE TABLE owners (
    session    TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    subscriber TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    PRIMARY KEY (session, subscriber)
) STRICT, WITHOUT ROWID;

-- One row a message that may have to wake somebody; who, is asked when it is due.
CREATE TABLE push_outbox (
    topic    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    session  TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    due      INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_outbox_due ON push_outbox (due);
CREATE INDEX push_outbox_of ON push_outbox (session);

CREATE TABLE logins (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    username   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_due ON logins (created_at);
