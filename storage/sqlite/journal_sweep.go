package sqlite

import (
	"cmp"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	journalStay  = 3 * time.Second // then what is still owed moves: longer than acks and a sweep take
	journalBytes = 32 << 20        // of rows, and of memory for them; beyond, appends make room first
	journalBite  = 4 << 20         // of rows that the sweep takes out in one transaction
)

// corpse is a message that is dead but whose row in push_outbox is still to go.
type corpse struct {
	topic int64
	seq   uint64
}

// settle marks what all of a topic's subscribers have settled. It gives how many were marked, and those of them that
// somebody might be woken for.
func (j *journal) settle(topic int64, settled storage.Ranges) (n int, wakes []corpse) {
	return j.mark(topic, func(e *fresh) bool { return settled.Contains(e.seq) })
}

// expire marks what has expired, as settle does.
func (j *journal) expire(now int64) (n int, wakes []corpse) {
	due := map[int64]bool{}
	j.mu.Lock()
	for _, g := range j.groups {
		if g.alive == 0 || g.expires > now {
			continue
		}
		g.expires = 0
		for i := range g.entries {
			switch e := &g.entries[i]; {
			case e.dead:
			case e.expires <= now:
				due[e.topic.id] = true
			case g.expires == 0 || e.expires < g.expires:
				g.expires = e.expires
			}
		}
	}
	j.mu.Unlock()
	for topic := range due {
		m, w := j.mark(topic, func(e *fresh) bool { return e.expires <= now })
		n, wakes = n+m, append(wakes, w...)
	}
	return n, wakes
}

func (j *journal) mark(topic int64, dead func(*fresh) bool) (n int, wakes []corpse) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.topics[topic]
	if t == nil {
		return 0, nil
	}
	t.own = slices.DeleteFunc(t.own, func(r ref) bool {
		e := r.entry()
		if !dead(e) {
			return false
		}
		j.kill(r.group, e)
		n++
		if e.wake {
			wakes = append(wakes, corpse{topic, e.seq})
		}
		return true
	})
	return n, wakes
}

// due is how many of the oldest groups are to leave now, as many as one transaction takes: all is dead in them, or they
// have been here for long enough.
func (j *journal) due(now int64) (n int) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	topics := map[*freshTopic]struct{}{} // each is a row to change
	size, rows := 0, 0
	for _, g := range j.groups {
		// A clock that went back must not keep them for ever.
		if age := now - g.stored; g.alive > 0 && age >= 0 && age < j.stay {
			break
		}
		for i := range g.entries {
			topics[g.entries[i].topic] = struct{}{}
		}
		size, rows = size+len(g.row), rows+g.alive
		if n > 0 && (size > journalBite || rows+len(topics) > bite) {
			break
		}
		n++
	}
	return n
}

// wakeDue is how many of the oldest groups are to leave because something in or behind them may have to wake somebody
// now, with few more messages than rows.
func (j *journal) wakeDue(now int64, rows int) (n int) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i, g := range j.groups {
		if g.alive > 0 && g.wake > 0 && g.wake <= now {
			n = i + 1
		}
	}
	for i, g := range j.groups[:n] {
		if rows -= g.alive; rows <= 0 {
			return i + 1
		}
	}
	return n
}

// move takes the oldest groups out until so many have left in this transaction: their rows go, and what is still owed
// becomes rows of messages.
func (s *Store) move(db *conn, until int) error {
	j := s.journal
	if until <= j.next.moved {
		return nil
	}
	groups := j.groups[j.next.moved:until]
	if err := db.exec(`DELETE FROM journal WHERE id BETWEEN ? AND ?`, groups[0].id, groups[len(groups)-1].id); err != nil {
		return err
	}
	alive, heads, usage := j.leaving(groups)
	slices.SortFunc(alive, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.entry().topic.id, b.entry().topic.id), cmp.Compare(a.seq, b.seq))
	})
	var rows []any
	for _, r := range alive {
		e, m := r.entry(), r.message()
		rows = append(rows, e.topic.id, int64(m.Seq), e.expires, r.group.stored, m.Timestamp, m.MessageID, string(m.Origin), m.Hash, m.Data)
	}
	// FAIL: any error rolls the transaction back, so the statement need not keep a copy of each page to undo itself.
	err := db.insert(`INSERT OR FAIL INTO messages (topic, seq, expires_at, stored_at, timestamp, message_id, origin, hash, data) VALUES `, 9, rows)
	for t, head := range heads {
		delete(s.topics, t.name)
		if err == nil {
			err = db.exec(`UPDATE topics SET head = ? WHERE id = ?`, int64(head), t.id)
		}
	}
	for session, u := range usage {
		if err == nil {
			err = db.exec(`UPDATE usage SET messages = messages + ?, bytes = bytes + ? WHERE session = ?`, u.messages, u.bytes, session)
		}
	}
	if err != nil {
		return err
	}
	for _, r := range alive {
		j.next.touched = append(j.next.touched, r.entry().topic.id)
	}
	j.next.moved = until
	return nil
}

// leaving is what groups leave behind when they go.
func (j *journal) leaving(groups []*group) (alive []ref, heads map[*freshTopic]uint64, usage map[string]freshUsage) {
	heads, usage = map[*freshTopic]uint64{}, map[string]freshUsage{}
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, g := range groups {
		for i := range g.entries {
			e := &g.entries[i]
			heads[e.topic] = e.seq
			if e.dead {
				continue
			}
			alive = append(alive, ref{e.seq, g, i})
			u := usage[e.topic.name.Session]
			u.messages++
			u.bytes += int64(e.size)
			usage[e.topic.name.Session] = u
		}
	}
	return alive, heads, usage
}
