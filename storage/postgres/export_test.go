package postgres

import "github.com/jackc/pgx/v5/pgxpool"

// Pool lets tests hold connections as the store has them.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }
