-- +goose Up

-- Names and ids compare by their bytes, whatever the database's locale: one order on every node, and for sort and lock.
CREATE TABLE sessions (
    id                  text COLLATE "C" PRIMARY KEY,
    name                text COLLATE "C" NOT NULL UNIQUE,
    password_hash       text NOT NULL,
    secret_hash         bytea,
    retry_interval      interval NOT NULL,
    max_retry_limit     int NOT NULL,
    message_expiry      interval NOT NULL,
    expires_at          timestamptz,
    subscription_expiry interval NOT NULL,
    suite               int NOT NULL,
    key_check           text NOT NULL,
    fcm_key             bytea,
    fcm_config          bytea,
    suspended           boolean NOT NULL,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- The row of a topic is its lock: whoever gives a seq or changes who is owed one holds it. Several are locked in the
-- order of id, and before any subscription.
--
-- It is never updated. A row lock that had to wait goes on from version to version of its row and locks each, while
-- others take the newest at once: those who began at different versions then wait for each other, in whatever order
-- the rows were asked for. A row of one version has no such chain.
CREATE TABLE topics (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session text COLLATE "C" NOT NULL REFERENCES sessions,
    name    text COLLATE "C" NOT NULL,
    UNIQUE (session, name)
);

-- What changes of a topic: made, changed and deleted under its lock, and so never locked itself; read once the lock is
-- held, in a later statement. stored and bytes count its messages. dirty asks for a sweep.
-- An update leaves the indexed columns alone, so with room in the page it costs no index entry (HOT).
CREATE TABLE counters (
    topic   bigint PRIMARY KEY,
    session text COLLATE "C" NOT NULL,
    head    bigint NOT NULL DEFAULT 0,
    stored  bigint NOT NULL DEFAULT 0,
    bytes   bigint NOT NULL DEFAULT 0,
    dirty   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX counters_session ON counters (session);
CREATE INDEX counters_dirty ON counters (topic) WHERE dirty;

-- Several are locked in the order of (topic, subscriber). dirty is set by the first settle after a sweep, and stays
-- through the next ones, which are HOT again.
CREATE TABLE subscriptions (
    topic      bigint NOT NULL REFERENCES topics,
    subscriber text COLLATE "C" NOT NULL,
    session    text COLLATE "C" NOT NULL,
    attach     bigint NOT NULL DEFAULT 1,
    settled    int8multirange NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    dirty      boolean NOT NULL DEFAULT false,
    woken      bigint NOT NULL DEFAULT 0, -- its user was woken for messages up to this seq
    PRIMARY KEY (topic, subscriber)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX subscriptions_subscriber ON subscriptions (session, subscriber);
CREATE INDEX subscriptions_dirty ON subscriptions (topic) WHERE dirty;

-- Queues: all that is put in is taken out again. They are vacuumed by count, not by share, so that the dead never
-- outgrow the living, and without pauses. No foreign keys: the topic's lock keeps them true, and a check a row is dear.
CREATE TABLE messages (
    topic      bigint NOT NULL,
    seq        bigint NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    origin     text COLLATE "C" NOT NULL,
    data       bytea NOT NULL,
    hash       text COLLATE "C" NOT NULL,
    timestamp  bigint NOT NULL,
    stored_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (topic, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_scale_factor = 1, autovacuum_analyze_scale_factor = 0.5,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
        toast.autovacuum_vacuum_cost_delay = 0);
ALTER TABLE messages ALTER data SET STORAGE EXTERNAL; -- what is sealed cannot be compressed: do not try
CREATE INDEX messages_expiry ON messages (expires_at);

-- id is the first half of the SHA-256 of the messageId.
CREATE TABLE message_ids (
    topic     bigint NOT NULL,
    id        bytea NOT NULL,
    seq       bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (topic, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_scale_factor = 1, autovacuum_analyze_scale_factor = 0.5);
CREATE INDEX message_ids_age ON message_ids (stored_at);

CREATE TABLE device_tokens (
    session    text COLLATE "C" NOT NULL REFERENCES sessions,
    user_id    text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    platform   text NOT NULL,
    token      bytea NOT NULL, -- sealed
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session, user_id, device_id)
);

-- Whose a client is: who is woken for its messages.
CREATE TABLE owners (
    session    text COLLATE "C" NOT NULL REFERENCES sessions,
    subscriber text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (session, subscriber)
);

-- One row a message, whoever it is for: that is worked out against the subscriptions when it is due.
CREATE TABLE push_outbox (
    topic    bigint NOT NULL,
    seq      bigint NOT NULL,
    due_at   timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX push_outbox_due ON push_outbox (due_at);

CREATE TABLE admin_logins (
    token_hash bytea PRIMARY KEY,
    username   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX admin_logins_user ON admin_logins (username);

-- +goose StatementBegin
-- The server's own name among all, from its control file. A node tells it to each of its connections, which cannot move
-- to another server, because reading the file again and again is dear.
CREATE FUNCTION store_system() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT system_identifier::text FROM pg_control_system()
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The history that what this server says belongs to. Fails on a server in recovery, which has none of its own.
CREATE FUNCTION store_epoch() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('fastport.system', true), ''), store_system())
        || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
$$;
-- +goose StatementEnd
