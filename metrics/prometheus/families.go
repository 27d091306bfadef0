package prometheus

import (
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/session"
)

// families is all that a node exports of its own, in the order of docs/operations.md.
var families = []family{
	// How it does.
	gauge("ready", "Whether the node takes clients: 1, or 0 where it has a fault of its own.", func(s *snapshot) int { return one(len(set(s.health.Faults)) == 0) }),
	gauges("fault", "Why the node is not ready: 1 for each fault that it has.", "fault", func(s *snapshot) map[string]int { return ones(s.health.Faults) }),
	gauges("degraded", "What the node does without, though ready: 1 for each part that does not work.", "part", func(s *snapshot) map[string]int { return ones(s.health.Degraded) }),
	gauge("peers", "Other living nodes of the cluster, as this one knows them.", func(s *snapshot) int64 { return s.engine.Peers }),

	// Connections.
	gauges("connections", "WebSocket connections, by version of the protocol; none: not logged in yet.", "protocol", byVersion),
	gauge("connections_unauthenticated", "Connections of any kind that have not logged in.", func(s *snapshot) int64 { return s.gateway.Pending }),
	counters("connections_closed_total", "Closed WebSocket connections, by what ended them first.", "reason", func(s *snapshot) map[string]uint64 { return s.gateway.Closed }),
	counters("connections_refused_total", "Connections and upgrades that were refused, by the limit or rule that did.", "reason", func(s *snapshot) map[string]uint64 { return s.gateway.Rejected }),
	gauge("sessions", "Sessions with connections or topics on this node.", func(s *snapshot) int64 { return s.engine.Sessions }),
	gauge("outbox_bytes", "Bytes queued for all connections.", func(s *snapshot) int64 { return s.gateway.OutboxBytes }),
	counter("received_bytes_total", "Bytes from WebSocket connections.", func(s *snapshot) uint64 { return s.gateway.BytesIn }),
	counter("sent_bytes_total", "Bytes that the kernel took for WebSocket connections.", func(s *snapshot) uint64 { return s.gateway.BytesOut }),
	counter("received_frames_total", "WebSocket frames received.", func(s *snapshot) uint64 { return s.gateway.FramesIn }),
	counter("sent_frames_total", "WebSocket frames that the kernel took.", func(s *snapshot) uint64 { return s.gateway.FramesOut }),
	counter("malformed_frames_total", "Frames that were none of the protocol's.", func(s *snapshot) int64 { return s.engine.Malformed }),
	family{errorsDesc, errorsByCode},
	counters("rate_limited_total", "What a limit held back, by the limit.", "limit", rateLimited),
	counters("login_checks_total", "Checks of a session's password, by result.", "result", func(s *snapshot) map[string]uint64 { return s.catalog.Checks }),
	counter("password_hashes_total", "Passwords hashed: the other checks were answered from memory.", func(s *snapshot) int64 { return s.catalog.Hashes }),

	// Publishes.
	counter("publishes_total", "Publishes accepted.", func(s *snapshot) int64 { return s.engine.Publishes }),
	counter("publishes_acked_total", "Publishes acked.", func(s *snapshot) int64 { return s.engine.Acked }),
	counter("publishes_refused_total", "Publishes refused, those included that were accepted before.", func(s *snapshot) int64 { return s.engine.Refused }),
	counter("publishes_repeated_total", "Publishes that the store knew already: resends.", func(s *snapshot) int64 { return s.engine.Repeats }),
	histogram("publish_to_ack_seconds", "From a publish's arrival to its ack.", func(s *snapshot) metrics.Histogram { return s.engine.AckTime }),
	histogram("commit_seconds", "How long the store took to commit a group of publishes.", func(s *snapshot) metrics.Histogram { return s.engine.CommitTime }),
	histogram("commit_messages", "Publishes in a committed group.", func(s *snapshot) metrics.Histogram { return s.engine.CommitSize }),
	counter("commit_failures_total", "Groups that could not be committed and were tried again.", func(s *snapshot) int64 { return s.engine.CommitFailures }),

	// Deliveries.
	counter("deliveries_total", "Messages sent to a subscriber for the first time, and replays.", func(s *snapshot) int64 { return s.engine.Deliveries }),
	counter("redeliveries_total", "Messages sent again because no ack came in time.", func(s *snapshot) int64 { return s.engine.Redeliveries }),
	counter("delivery_acks_total", "Deliveries acked.", func(s *snapshot) int64 { return s.engine.Acks }),
	counter("deliveries_given_up_total", "Messages given up for a subscriber that never acked them.", func(s *snapshot) int64 { return s.engine.GivenUp }),
	counter("deliveries_expired_total", "Messages that expired before a connected subscriber acked them.", func(s *snapshot) int64 { return s.engine.Expired }),
	counter("deliveries_dropped_total", "Messages of qos 0 dropped where there was no room.", func(s *snapshot) int64 { return s.engine.Dropped }),
	histogram("publish_to_delivery_seconds", "From a message's announce, on any node, to the first connection of this one that it was queued for.", func(s *snapshot) metrics.Histogram { return s.engine.DeliveryTime }),
	gauges("pending_messages", "Messages sent to connections of this node, or next in line for them, and not acked: by age.", "age", pendingByAge),

	// The store.
	counter("messages_stored_total", "Messages that this node stored.", func(s *snapshot) int64 { return s.engine.Stored }),
	counter("messages_swept_total", "Messages that this node removed: settled by all, or expired.", func(s *snapshot) int64 { return s.engine.Swept }),
	stored("stored_messages", "Messages in the store now. All nodes of a cluster tell the same.", func(s *snapshot) int64 { return s.totals.Messages }),
	stored("stored_bytes", "Bytes of their data.", func(s *snapshot) int64 { return s.totals.Bytes }),
	stored("stored_subscriptions", "Durable subscriptions in the store.", func(s *snapshot) int64 { return s.totals.Subscriptions }),
	stored("stored_sessions", "Sessions in the store.", func(s *snapshot) int64 { return s.totals.Sessions }),
	counter("store_rewinds_total", "Topics whose history in the store turned out to be another one, as after a failover.", func(s *snapshot) int64 { return s.engine.Rewinds }),

	// The backplane.
	gauge("backplane_up", "Whether live copies from other nodes reach this one.", func(s *snapshot) int { return one(s.engine.Link) }),
	counter("backplane_lost_total", "Times that the subscribing side was lost.", func(s *snapshot) int64 { return s.engine.Severed }),
	counter("backplane_deaf_total", "Times that it was lost because nothing came back that Redis had taken.", func(s *snapshot) uint64 { return s.plane.Deaf }),
	histogram("backplane_round_trip_seconds", "From a canary's publish to its return, a second each.", func(s *snapshot) metrics.Histogram { return s.plane.RoundTrip }),
	counter("backplane_gaps_total", "Gaps in a topic's numbers that were read back from the store.", func(s *snapshot) int64 { return s.engine.Repairs }),
	counters("backplane_copies_dropped_total", "Live copies that came too late, or twice.", "reason", func(s *snapshot) map[string]int64 {
		return map[string]int64{"late": s.engine.Late, "duplicate": s.engine.Duplicates}
	}),
	counter("backplane_published_total", "Messages handed to Redis.", func(s *snapshot) uint64 { return s.plane.Published }),
	counter("backplane_received_total", "Messages from Redis.", func(s *snapshot) uint64 { return s.plane.Received }),
	counter("backplane_sent_bytes_total", "Bytes written to Redis for routing.", func(s *snapshot) uint64 { return s.plane.PublishedSize }),
	counter("backplane_received_bytes_total", "Bytes of messages from Redis.", func(s *snapshot) uint64 { return s.plane.ReceivedSize }),
	counter("backplane_refused_total", "Messages that a full queue towards Redis refused.", func(s *snapshot) uint64 { return s.plane.Refused }),
	counter("backplane_unread_total", "Messages from Redis of another version or kind, or malformed.", func(s *snapshot) uint64 { return s.plane.Unread }),

	// Files.
	gauge("files_open", "File transfers that this node leads.", func(s *snapshot) int64 { return s.engine.OpenFiles }),
	counters("file_bytes_total", "Bytes of file chunks from senders and to receivers, on any node, of transfers that this one leads.", "direction", func(s *snapshot) map[string]uint64 {
		return map[string]uint64{"in": s.engine.FileBytesIn, "out": s.engine.FileBytesOut}
	}),

	// Pushes.
	counters("pushes_total", "Pushes, one a device, by what FCM made of them.", "result", func(s *snapshot) map[string]int64 {
		return map[string]int64{"sent": s.pushes.Sent, "gone": s.pushes.Gone, "later": s.pushes.Later, "refused": s.pushes.Refused}
	}),
	counter("pushes_timed_out_total", "Pushes that FCM did not answer in time; they are tried again.", func(s *snapshot) int64 { return s.pushes.TimedOut }),
	stored("push_outbox_messages", "Messages that users may still have to be woken for. All nodes of a cluster tell the same.", func(s *snapshot) int64 { return s.totals.Wakes }),
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func ones(words map[string]bool) map[string]int {
	all := make(map[string]int, len(words))
	for word, is := range words {
		all[word] = one(is)
	}
	return all
}

// set lists the words that are true.
func set(words map[string]bool) (list []string) {
	for word, is := range words {
		if is {
			list = append(list, word)
		}
	}
	return list
}

func byVersion(s *snapshot) map[string]int64 {
	return map[string]int64{"none": s.engine.ByVersion[0], "1": s.engine.ByVersion[1], "2": s.engine.ByVersion[2]}
}

// rateLimited gathers from the parts what each holds back.
func rateLimited(s *snapshot) map[string]uint64 {
	return map[string]uint64{
		"session":    uint64(s.engine.Limited),
		"connection": s.gateway.Closed["rate_limited"],
		"address":    s.gateway.Rejected["connection_rate"] + s.gateway.Rejected["max_connections_per_ip"],
		"login":      s.catalog.Checks["busy"],
		"http":       s.http["rate_limited"],
	}
}

// pendingByAge has a word for each age: no more than so old, but older than the one before.
func pendingByAge(s *snapshot) map[string]int64 {
	all := make(map[string]int64, len(s.pending))
	for i, n := range s.pending {
		word := "older"
		if i < len(session.PendingAges) {
			word = ageWords[i]
		}
		all[word] = n
	}
	return all
}

var ageWords = [len(session.PendingAges)]string{"1s", "10s", "1m", "10m", "1h"}

var errorsDesc = describe("errors_total", "Errors told to clients, by how they speak and by code.", "over", "code")

func errorsByCode(s *snapshot, emit func(prom.Metric)) {
	for over, codes := range map[string]map[string]uint64{"websocket": s.engine.Errors, "http": s.http} {
		for code, n := range codes {
			emit(prom.MustNewConstMetric(errorsDesc, prom.CounterValue, float64(n), over, code))
		}
	}
}
