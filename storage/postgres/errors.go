package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fastport/fastport/storage"
)

// SQLSTATE codes that mean something to us. https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	dataException     = "22" // class: text with U+0000 or broken UTF-8, a number too large
	integrity         = "23" // class
	programLimit      = "54" // class: a value too large for an index
	uniqueViolation   = "23505"
	readOnly          = "25006"
	diskFull          = "53100"
	serializationFail = "40001"
	deadlockDetected  = "40P01"
)

// failed puts err into the contract's terms; nil stays nil. What is not known to be something else is ErrUnavailable.
func failed(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	sentinel := storage.ErrUnavailable
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return storage.ErrNotFound
	case errors.As(err, &pg):
		switch {
		case pg.Code == uniqueViolation:
			sentinel = storage.ErrExists
		case pg.Code == diskFull:
			sentinel = storage.ErrFull
		case poisoned(err):
			sentinel = storage.ErrInvalid
		}
	case ctx.Err() != nil: // how the driver noticed is no matter
		return fmt.Errorf("postgres: %s: %w: %w", doing, sentinel, context.Cause(ctx))
	}
	return fmt.Errorf("postgres: %s: %w: %w", doing, sentinel, err)
}

// poisoned says whether a statement failed for what it was given, so that it would fail again.
func poisoned(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return false
	}
	class := pg.Code[:2]
	return class == dataException || class == integrity || class == programLimit
}

// collided says whether a statement lost against another one and did nothing.
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == deadlockDetected || pg.Code == serializationFail)
}
