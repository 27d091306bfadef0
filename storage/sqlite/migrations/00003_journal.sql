-- +goose Up

-- What was stored last: a row is a group, message after message, in the form of journal_row.go. A message whose receivers
-- are there is settled before it costs a row of its own; what is still owed after some seconds moves to messages. A topic
-- that has messages here has a head beyond topics.head. usage counts what is in messages only.
CREATE TABLE journal (
    id        INTEGER NOT NULL PRIMARY KEY,
    stored_at INTEGER NOT NULL,
    entries   BLOB    NOT NULL
) STRICT;
