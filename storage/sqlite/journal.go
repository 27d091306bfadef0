package sqlite

import (
	"sort"
	"sync"

	"github.com/fastport/fastport/storage"
)

// journal is the messages that were stored last, in memory as in the table of that name, a row a group: docs/decisions/011-sqlite-journal.md.
// Groups leave it strictly in the order in which they came, so a topic's messages here are all newer than its messages
// in the table messages, and topics.head is below the first that is here and owed.
//
// Only whoever has the writer's turn adds groups and takes them out, in two steps: what a transaction does is noted in
// next, where the jobs behind it see it, and takes effect in commit. In between others read, and the sweep marks what is
// dead.
//
// A reader looks here first and in the tables then: what moves between the two looks is seen twice, never missed.
type journal struct {
	stay int64 // ms: journalStay, shorter in tests
	most int   // journalBytes, fewer in tests

	next change // owned by whoever has the writer's turn

	mu     sync.RWMutex // guards the following
	groups []*group     // oldest first
	topics map[int64]*freshTopic
	names  map[storage.Topic]*freshTopic
	usage  map[string]*freshUsage // by session: of the entries that are not dead
	bytes  int                    // of all rows
	last   int64                  // the newest row's id
}

// change is what a transaction does to the journal.
type change struct {
	groups  []*group
	bytes   int     // of groups
	moved   int     // so many of the oldest groups leave
	touched []int64 // topics of which they leave messages in the table messages
	dropped []int64 // topics
	heads   map[int64]uint64
	usage   map[string]*freshUsage
}

// group is one row.
type group struct {
	id      int64
	stored  int64 // ms
	row     []byte
	entries []fresh
	alive   int   // entries that are not dead
	expires int64 // the first to expire, ms
	wake    int64 // when the first is due that may have to wake somebody, ms; 0: none
}

// fresh is a message of a group.
type fresh struct {
	topic   *freshTopic
	seq     uint64
	expires int64 // ms
	at      int   // where it starts in the row
	size    int   // of its data
	wake    bool  // it has a row in push_outbox, perhaps
	dead    bool  // nobody is owed it: settled, expired, or its session is gone
}

// freshTopic is a topic that has messages in the journal.
type freshTopic struct {
	id   int64
	name storage.Topic
	head uint64
	n    int   // entries, dead ones too
	own  []ref // those that are not dead, ascending
}

// ref is where an entry is.
type ref struct {
	seq   uint64
	group *group
	i     int
}

func (r ref) entry() *fresh { return &r.group.entries[r.i] }

// freshUsage is what a session has in the journal.
type freshUsage struct{ messages, bytes int64 }

func newJournal() *journal {
	return &journal{stay: millis(journalStay), most: journalBytes, topics: map[int64]*freshTopic{}, names: map[storage.Topic]*freshTopic{}, usage: map[string]*freshUsage{}}
}

// head is a topic's head for a job of the writer, which read topics.head.
func (j *journal) head(topic int64, head uint64) uint64 {
	if h, ok := j.next.heads[topic]; ok {
		return h // the newest there is
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if t := j.topics[topic]; t != nil {
		return t.head
	}
	return head
}

// stored is the bytes that a session has here, for a job of the writer.
func (j *journal) stored(session string) (n int64) {
	if u := j.next.usage[session]; u != nil {
		n = u.bytes
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if u := j.usage[session]; u != nil {
		n += u.bytes
	}
	return n
}

// crowd is how many of the oldest groups must have left for so many bytes more to find room. For a job of the writer.
func (j *journal) crowd(room int) (until int) {
	for size := j.bytes + j.next.bytes + room; until < len(j.groups) && (until < j.next.moved || size > j.most); until++ {
		size -= len(j.groups[until].row)
	}
	return until
}

// begin begins the transaction's next group.
func (j *journal) begin(now int64, entries []storage.Entry) *group {
	size := 0
	for i := range entries {
		size += rowSize(&entries[i])
	}
	return &group{id: j.last + int64(len(j.next.groups)) + 1, stored: now, row: make([]byte, 0, size), entries: make([]fresh, 0, len(entries))}
}

// add notes a group that the transaction stores, with the topics that it is of.
func (j *journal) add(g *group) {
	c := &j.next
	if c.heads == nil {
		c.heads, c.usage = map[int64]uint64{}, map[string]*freshUsage{}
	}
	for i := range g.entries {
		e := &g.entries[i]
		c.heads[e.topic.id] = e.seq
		u := c.usage[e.topic.name.Session]
		if u == nil {
			u = &freshUsage{}
			c.usage[e.topic.name.Session] = u
		}
		u.messages++
		u.bytes += int64(e.size)
	}
	c.groups = append(c.groups, g)
	c.bytes += len(g.row)
}

// topic is where a group's entries of a topic belong.
func (j *journal) topic(id int64, name storage.Topic) *freshTopic {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if t := j.topics[id]; t != nil {
		return t
	}
	return &freshTopic{id: id, name: name}
}

// commit is called when the transaction has been committed. It gives the topics of which messages have moved.
func (j *journal) commit() (touched []int64) {
	c := j.next
	j.next = change{}
	if len(c.groups)+c.moved+len(c.dropped) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, g := range c.groups {
		j.take(g)
	}
	for _, g := range j.groups[:c.moved] {
		j.release(g)
	}
	clear(j.groups[:c.moved]) // the rest of the array is still in use
	j.groups = j.groups[c.moved:]
	for _, id := range c.dropped {
		j.drop(id)
	}
	return c.touched
}

// take puts a group behind all others. mu is held.
func (j *journal) take(g *group) {
	j.groups = append(j.groups, g)
	j.bytes += len(g.row)
	j.last = max(j.last, g.id)
	for i := range g.entries {
		e := &g.entries[i]
		t := j.topics[e.topic.id]
		if t == nil {
			t = e.topic
			j.topics[t.id], j.names[t.name] = t, t
		}
		e.topic = t
		t.head = max(t.head, e.seq)
		t.n++
		if e.dead {
			continue
		}
		g.alive++
		t.own = append(t.own, ref{e.seq, g, i})
		u := j.usage[t.name.Session]
		if u == nil {
			u = &freshUsage{}
			j.usage[t.name.Session] = u
		}
		u.messages++
		u.bytes += int64(e.size)
	}
}

// release takes the oldest group out: what is not dead in it is in messages by now. mu is held.
func (j *journal) release(g *group) {
	j.bytes -= len(g.row)
	for i := range g.entries {
		e := &g.entries[i]
		t := e.topic
		if !e.dead {
			t.own = t.own[1:] // the oldest of its topic
			j.kill(g, e)
		}
		if t.n--; t.n == 0 {
			delete(j.topics, t.id)
			if j.names[t.name] == t {
				delete(j.names, t.name)
			}
		}
	}
}

// kill counts an entry off that is in no topic's list any more. mu is held.
func (j *journal) kill(g *group, e *fresh) {
	e.dead = true
	g.alive--
	session := e.topic.name.Session
	u := j.usage[session]
	u.bytes -= int64(e.size)
	if u.messages--; u.messages == 0 {
		delete(j.usage, session)
	}
}

// drop makes all of a topic dead, and nobody finds it by its name any more. mu is held.
func (j *journal) drop(topic int64) {
	t := j.topics[topic]
	if t == nil {
		return
	}
	delete(j.names, t.name)
	for _, r := range t.own {
		j.kill(r.group, r.entry())
	}
	t.own = nil
}

// reset forgets everything but what a load of the table gives.
func (j *journal) reset(groups []*group) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next, j.groups, j.bytes, j.last = change{}, nil, 0, 0
	j.topics, j.names, j.usage = map[int64]*freshTopic{}, map[storage.Topic]*freshTopic{}, map[string]*freshUsage{}
	for _, g := range groups {
		j.take(g)
	}
}

// leave notes that a session is dropped, and lists its topics here. For a job of the writer.
func (j *journal) leave(session string) (topics []int64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for id, t := range j.topics {
		if t.name.Session == session {
			topics = append(topics, id)
		}
	}
	for _, g := range j.next.groups {
		for i := range g.entries {
			if t := g.entries[i].topic; t.name.Session == session {
				topics = append(topics, t.id)
			}
		}
	}
	j.next.dropped = append(j.next.dropped, topics...)
	return topics
}

// all lists the topics here.
func (j *journal) all() (topics []int64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for id := range j.topics {
		topics = append(topics, id)
	}
	return topics
}

// newest is a topic's head where it has messages here, else 0.
func (j *journal) newest(at storage.Topic) uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if t := j.names[at]; t != nil {
		return t.head
	}
	return 0
}

// read gives a topic's head, 0 where it has no message here, and its messages with a seq above after that have not
// expired: up to limit, and up to the first behind another that goes beyond size bytes.
func (j *journal) read(at storage.Topic, after uint64, limit, size int, now int64) (head uint64, found []storage.Message) {
	j.mu.RLock()
	t := j.names[at]
	if t == nil {
		j.mu.RUnlock()
		return 0, nil
	}
	head = t.head
	var refs []ref
	for i := sort.Search(len(t.own), func(i int) bool { return t.own[i].seq > after }); i < len(t.own) && len(refs) < limit && (size >= 0 || len(refs) < 2); i++ {
		if e := t.own[i].entry(); e.expires > now {
			refs = append(refs, t.own[i])
			size -= e.size
		}
	}
	j.mu.RUnlock()
	for _, r := range refs {
		found = append(found, r.message()) // a row never changes
	}
	return head, found
}

// span is the first and the last seq of a topic here that are not dead; 0, 0: there is none.
func (j *journal) span(topic int64) (first, last uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if t := j.topics[topic]; t != nil && len(t.own) > 0 {
		return t.own[0].seq, t.own[len(t.own)-1].seq
	}
	return 0, 0
}

// total is what all sessions have here, or one where it is named.
func (j *journal) total(session string) (sum freshUsage) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if session != "" {
		if u := j.usage[session]; u != nil {
			sum = *u
		}
		return sum
	}
	for _, u := range j.usage {
		sum.messages += u.messages
		sum.bytes += u.bytes
	}
	return sum
}

// recent is a message of the journal, and of which topic.
type recent struct {
	id    int64
	topic string
	storage.Message
}

// find looks for a messageId in a session, or in one topic of it where it is named. It reads all that is the session's.
func (j *journal) find(session, topic, messageID string) (found []recent) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for name, t := range j.names {
		if name.Session != session || topic != "" && name.Name != topic {
			continue
		}
		for _, r := range t.own {
			if len(found) < storage.FoundTopics && r.messageID() == messageID {
				found = append(found, recent{t.id, name.Name, r.message()})
			}
		}
	}
	return found
}
