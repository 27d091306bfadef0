-- +goose Up

-- What operators did, failed or not: each kind is bounded by itself.
CREATE TABLE audits (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    username TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    origin   TEXT    NOT NULL, -- the operator's address
    node     TEXT    NOT NULL,
    result   TEXT    NOT NULL,
    failed   INTEGER NOT NULL
) STRICT;
CREATE INDEX audits_kind ON audits (failed, id);
