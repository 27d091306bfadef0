package session

import (
	"errors"

	"github.com/fastport/fastport/protocol"
)

// What comes of a login check.
const (
	checkRight       = "right"
	checkWrong       = "wrong"       // password, or session
	checkBusy        = "busy"        // too many at once
	checkUnavailable = "unavailable" // the store did not answer, or the session kept changing
)

var checkResults = []string{checkRight, checkWrong, checkBusy, checkUnavailable}

func checkResult(err error) string {
	var refused *protocol.Error
	switch {
	case err == nil:
		return checkRight
	case errors.As(err, &refused) && refused.Code == protocol.Unauthorized:
		return checkWrong
	case errors.As(err, &refused) && refused.Code == protocol.RateLimited:
		return checkBusy
	}
	return checkUnavailable
}

// CatalogStats is a snapshot of what checking credentials came to.
type CatalogStats struct {
	Checks map[string]uint64 // by what came of them
	Hashes int64             // argon2id computed: the other checks were answered from memory
}

// Stats tells what the catalog has done since it was made.
func (c *Catalog) Stats() CatalogStats {
	return CatalogStats{Checks: c.checks.Read(), Hashes: c.hasher.count.Load()}
}
