-- +goose Up

-- What operators did, failed or not: each kind is bounded by itself.
CREATE TABLE audits (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    username text NOT NULL,
    action   text NOT NULL,
    target   text NOT NULL,
    origin   text NOT NULL, -- the operator's address
    node     text NOT NULL,
    result   text NOT NULL,
    failed   boolean NOT NULL
);
CREATE INDEX audits_kind ON audits (failed, id);
