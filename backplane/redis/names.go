package redis

import (
	"strconv"
	"strings"

	"github.com/fastport/fastport/backplane"
)

// slots is how many a Redis Cluster shares out among its masters.
const slots = 16384

// names makes the names of channels and keys. All begin with the prefix; pub/sub knows no database numbers, so a
// channel's name has it too.
type names struct {
	prefix string // of keys
	public string // of channels
}

func newNames(prefix string, db int) names {
	n := names{prefix: prefix, public: prefix}
	if db != 0 {
		n.public += strconv.Itoa(db) + ":"
	}
	return n
}

// appendTopic appends the name of a topic's channel. The session's length keeps apart what a separator would not.
func (n names) appendTopic(b []byte, ch backplane.Channel) []byte {
	b = append(append(b, n.public...), "t:"...)
	b = append(strconv.AppendInt(b, int64(len(ch.Session)), 10), ':')
	b = append(append(b, ch.Session...), ':')
	return append(b, ch.Topic...)
}

// control is the channel of commands, from all nodes to all.
func (n names) control() string { return n.public + "control" }

// canary is a hidden channel of one node's own.
func (n names) canary(sender string, number uint64) string {
	return n.public + "canary:" + sender + ":" + strconv.FormatUint(number, 10)
}

// The lease and the words of each living node: one slot, since one script renews them together.
func (n names) alive() string { return n.prefix + "{nodes}:alive" } // sorted set: id by when its lease ends, ms
func (n names) ends() string  { return n.prefix + "{nodes}:ends" }  // hash: id to the end of the backplane that has the name
func (n names) words() string { return n.prefix + "{nodes}:words" } // hash: id to what it says of itself

// user is the hash of one user's connections by node.
func (n names) user(session, user string) string {
	return n.prefix + "u:" + strconv.Itoa(len(session)) + ":" + session + ":" + user
}

func (n names) counter(key string) string { return n.prefix + "n:" + key }
func (n names) lease(key string) string   { return n.prefix + "l:" + key }

// slot is where a Redis Cluster keeps a name: CRC16 of it, or of what stands between its first braces.
func slot(name string) int {
	if open := strings.IndexByte(name, '{'); open >= 0 {
		if length := strings.IndexByte(name[open+1:], '}'); length > 0 {
			name = name[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}
