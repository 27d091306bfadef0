package client

import (
	"slices"
	"time"
)

// lateLogin is how long a login that was given up may still be dealt with by a server that is busy.
const lateLogin = time.Minute

// lateLogins are the logins that went out and were not answered, by when they were given up. Each may yet take over the connection
// that was made in its stead, once.
type lateLogins []time.Time

func (l *lateLogins) add() { *l = append(l.recent(), time.Now()) }

// take reports whether there is one, which is then told.
func (l *lateLogins) take() bool {
	*l = l.recent()
	if len(*l) == 0 {
		return false
	}
	*l = (*l)[1:]
	return true
}

func (l *lateLogins) recent() lateLogins {
	return slices.DeleteFunc(*l, func(at time.Time) bool { return time.Since(at) > lateLogin })
}
