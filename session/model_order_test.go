package session_test

// oneOrder: the first live deliveries of a topic, as all connections saw them, fit one total order, if following them
// from message to message never leads back.
func (k *checker) oneOrder() {
	next := map[*message]map[*message]bool{}
	waits := map[*message]int{}
	for _, l := range k.links {
		for _, lt := range l.topics {
			for i := 1; i < len(lt.order); i++ {
				a, b := lt.order[i-1], lt.order[i]
				if next[a] == nil {
					next[a] = map[*message]bool{}
				}
				if !next[a][b] {
					next[a][b] = true
					waits[b]++
				}
			}
		}
	}
	var free []*message
	for m := range next {
		if waits[m] == 0 {
			free = append(free, m)
		}
	}
	for len(free) > 0 {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		for b := range next[m] {
			if waits[b]--; waits[b] == 0 {
				free = append(free, b)
			}
		}
	}
	for m, n := range waits {
		if n > 0 {
			k.fail(m.id, "live order: subscribers saw %s and others in different orders", m.id)
			return
		}
	}
}
