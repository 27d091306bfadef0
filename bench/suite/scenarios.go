package main

import "fmt"

// scenario is one row of the comparison, or one point of a curve.
type scenario struct {
	name, title string
	flags       []string // the generator's
	entries     []entry
	show        []metric
	once        bool // long, and nearly the same each time: one repetition, unless all are asked for
	each        bool // each node has a generator of its own, as one process has too few descriptors for all
	curve       string
	x           float64 // of a curve: what grows
}

// entry is a server in a scenario, with what it is asked for there besides.
type entry struct {
	server string
	flags  []string
}

// metric is a figure of a repetition.
type metric struct {
	key, title string
	scale      float64 // 0 is 1
	more       bool    // is better
}

var (
	delivered = metric{"deliv_per_s", "deliveries/s", 0, true}
	acked     = metric{"acked_per_s", "acked/s", 0, true}
	cpu       = metric{"srv_cpu_s_per_M_deliv", "CPU-s a million deliveries", 0, false}
	p50       = metric{"p50_us", "p50, ms", 1e-3, false}
	p99       = metric{"p99_us", "p99, ms", 1e-3, false}
	ownP99    = metric{"generator_p99_us", "generator's own lateness, p99, ms", 1e-3, false}
	memory    = metric{"srv_rss_kb", "resident MB", 1e-3, false}
	fresh     = metric{"srv_fresh_rss_kb", "resident MB before the first", 1e-3, false}
	perConn   = metric{"rss_bytes_per_further_conn", "KB a connection", 1e-3, false}
	atOnce    = metric{"rss_bytes_per_further_conn_at_once", "KB before a collection", 1e-3, false}
	connCPU   = metric{"srv_cpu_ms_per_conn", "CPU ms a connection", 0, false}
	conns     = metric{"conns_per_s", "connections/s", 0, true}
	speed     = metric{"MB_per_s", "MB/s", 0, true}
	peak      = metric{"srv_peak_rss_kb", "peak resident MB", 1e-3, false}
	growth    = metric{"srv_growth_kb", "growth of a node, MB", 1e-3, false}
	first     = metric{"first_ms", "first after, ms", 0, false}
	storeCPU  = metric{"stores_cpu_s", "stores' CPU-s", 0, false}
	redisTo   = metric{"redis.receivers", "nodes that Redis sends each message to", 0, false}
	redisIn   = metric{"redis.publishes_per_message", "`PUBLISH` a message", 0, false}
	redisOut  = metric{"redis.out_bytes_per_message", "bytes out of Redis a message", 0, false}
)

func with(server string, flags ...string) entry { return entry{server, flags} }

func all(names ...string) (list []entry) {
	for _, n := range names {
		list = append(list, entry{server: n})
	}
	return list
}

// scenarios is the comparison: what is to be reached, against the servers that can do it.
func scenarios() []scenario {
	busy := []metric{delivered, cpu, p50, p99, memory}
	ackedToo := []metric{acked, cpu, p50, p99, memory, storeCPU}
	steady := []metric{p50, p99, ownP99, cpu, memory}
	idle := []metric{perConn, atOnce, connCPU, fresh, memory}
	chunks := []metric{speed, growth, peak}
	qos0, durable := []string{"-qos", "0"}, []string{"-durable"}
	return []scenario{
		{name: "fanout-100", title: "Fan-out 1 to 100, at most once", flags: []string{"-scenario", "fanout", "-subs", "100"}, show: busy,
			entries: append(all("relay", "nats", "centrifuge", "centrifuge-1ms", "mosquitto", "socketio"), with("fastport", qos0...))},
		{name: "fanout-1000", title: "Fan-out 1 to 1,000; fastport: stored, synced, durable receivers that ack in batches, the others: at most once",
			flags: []string{"-scenario", "fanout", "-subs", "1000"}, show: busy,
			entries: append(all("relay", "nats", "centrifuge", "mosquitto", "socketio", "fastport-qos0"), with("fastport", durable...))},
		{name: "pairs", title: "100 pairs, each publish acked, 8 in flight each", flags: []string{"-scenario", "pairs", "-pairs", "100", "-window", "8"}, show: ackedToo,
			entries: append(all("nats", "mosquitto-qos1", "jetstream", "jetstream-fsync", "centrifuge"), with("relay", "-puback"), with("socketio", "-puback"),
				with("fastport", durable...), with("fastport-1", durable...), with("fastport-3", durable...))},
		{name: "latency", title: "5,000 messages/s over 10 pairs", flags: []string{"-scenario", "latency", "-pairs", "10", "-subs", "1", "-rate", "5000"}, show: append(steady[:len(steady):len(steady)], storeCPU),
			entries: append(all("relay", "nats", "mosquitto-qos1", "jetstream", "centrifuge", "socketio"), with("fastport", durable...), with("fastport-1", durable...))},
		{name: "two-nodes-fanout", title: "Two nodes, publisher on one, 100 receivers on the other, at most once", flags: []string{"-scenario", "fanout", "-subs", "100"}, show: append(busy[:len(busy):len(busy)], storeCPU),
			entries: append(all("nats-2", "nats-2-share", "centrifuge-2"), with("fastport-2", qos0...), with("fastport-2-share", qos0...))},
		{name: "two-nodes-latency", title: "Two nodes, 100 messages/s to 100 receivers on the other", flags: []string{"-scenario", "latency", "-pairs", "1", "-subs", "100", "-rate", "100"}, show: steady,
			entries: append(all("nats-2", "nats-2-share", "centrifuge-2"), with("fastport-2", qos0...), with("fastport-2-share", qos0...))},
		{name: "two-nodes-5000", title: "Two nodes, 5,000 messages/s over 10 pairs; fastport: stored, synced, durable receivers that ack",
			flags: []string{"-scenario", "latency", "-pairs", "10", "-subs", "1", "-rate", "5000"}, show: append(steady[:len(steady):len(steady)], storeCPU),
			entries: append(all("nats-2", "centrifuge-2"), with("fastport-2", durable...), with("fastport-2-share", durable...))},
		{name: "idle", title: "10,000 idle connections, logged in, one subscription each; memory and CPU are those of the last 9,000", flags: []string{"-scenario", "idle", "-n", "10000"}, show: idle,
			entries: all("relay", "nats", "mosquitto", "centrifuge", "socketio", "fastport")},
		{name: "idle-durable", title: "The same, each a durable subscriber", flags: []string{"-scenario", "idle", "-n", "10000"}, show: idle,
			entries: []entry{with("fastport", durable...)}},
		{name: "storm", title: "Connect, log in, subscribe, over and over, 500 at once", flags: []string{"-scenario", "storm", "-conc", "500"}, show: []metric{connCPU, conns, p50, p99},
			entries: all("relay", "nats", "mosquitto", "centrifuge", "socketio", "fastport")},
		{name: "stream", title: "64 KiB chunks, 1 to 1, 64 in flight", flags: []string{"-scenario", "big", "-window", "64"}, show: chunks,
			entries: append(all("relay", "nats", "socketio"), with("fastport", "-v2=false"))},
		{name: "two-nodes-stream", title: "64 KiB chunks from one node to another", flags: []string{"-scenario", "big", "-window", "64"}, show: chunks,
			entries: []entry{with("fastport-2", "-v2=false")}},
		{name: "backlog", title: "A durable subscriber comes back to a million messages that were stored for it", flags: []string{"-scenario", "backlog", "-durable", "-n", "1000000"}, show: []metric{first, delivered, cpu, peak},
			entries: all("fastport", "fastport-1"), once: true},
	}
}

// curves are what a unit costs fastport, the first entry of each, as one thing grows. Another entry shows what of that is the machine's.
func curves() (list []scenario) {
	// Two ways, as a batch's size decides what a delivery costs: with as many messages in flight the batches are alike, and what is
	// outstanding grows; with as many deliveries outstanding the batches shrink.
	const inFlight, outstanding = 16, 10000
	for _, way := range []struct {
		curve, title string
		window       func(n int) int
	}{
		{"subscribers-alike", fmt.Sprintf("deliveries as subscribers grow (%d messages in flight)", inFlight), func(int) int { return inFlight }},
		{"subscribers-outstanding", "deliveries as subscribers grow (10,000 deliveries outstanding: 1,000, 100, 10, 1 messages in flight)", func(n int) int { return outstanding / n }},
	} {
		for _, n := range []int{10, 100, 1000, 10000} {
			list = append(list, scenario{name: fmt.Sprintf("%s-%d", way.curve, n), curve: way.curve, x: float64(n), title: way.title, show: []metric{cpu},
				flags: []string{"-scenario", "fanout", "-subs", fmt.Sprint(n), "-window", fmt.Sprint(way.window(n))}, entries: []entry{with("fastport", "-qos", "0"), with("relay")}})
		}
	}
	for _, n := range []int{1, 100, 1000, 10000, 100000} {
		pairs := fmt.Sprint(min(n, 100))
		list = append(list, scenario{name: fmt.Sprintf("topics-%d", n), curve: "topics", x: float64(n), title: "deliveries as topics grow (100 pairs; one at the left)", show: []metric{cpu},
			flags: []string{"-scenario", "pairs", "-pairs", pairs, "-topics", fmt.Sprint(n), "-window", "8"}, entries: []entry{with("fastport", "-qos", "0")}})
	}
	const base = 1000
	for _, n := range []int{5000, 10000, 19000} {
		list = append(list, scenario{name: fmt.Sprintf("connections-%d", n), curve: "connections", x: float64(n), title: "memory as idle connections grow (above the first 1,000 of the process)",
			show: []metric{perConn}, once: true, flags: []string{"-scenario", "idle", "-base", fmt.Sprint(base), "-n", fmt.Sprint(n)}, entries: all("fastport")})
	}
	for _, n := range []int{1, 3} {
		list = append(list, scenario{name: fmt.Sprintf("processes-%d", n), curve: "processes", x: float64(n * 19000), title: "memory as processes of 19,000 idle connections grow (one and three)",
			show: []metric{perConn}, once: true, each: true, flags: []string{"-scenario", "idle", "-base", fmt.Sprint(base), "-n", "19000"}, entries: all(fmt.Sprintf("fastport-%d", n))})
	}
	for _, kind := range []struct {
		curve, suffix, title string
		subs, rate           int
	}{
		{"nodes", "", "deliveries as nodes grow, one Redis (10 subscribers a node, 500 messages/s)", 10, 500},
		{"nodes-wide", "", "deliveries as nodes grow, one Redis (1,000 subscribers a node, 10 messages/s)", 1000, 10},
		{"nodes-shards", "-shards", "deliveries as nodes grow, three Redis shards (1,000 subscribers a node, 10 messages/s)", 1000, 10},
	} {
		for _, n := range []int{1, 2, 4, 8} {
			list = append(list, scenario{name: fmt.Sprintf("%s-%dx%d", kind.curve, n, kind.subs), curve: kind.curve, x: float64(n), title: kind.title, show: []metric{cpu, redisTo, redisIn, redisOut},
				flags:   []string{"-scenario", "latency", "-pairs", "1", "-subs", fmt.Sprint(kind.subs * n), "-rate", fmt.Sprint(kind.rate)},
				entries: []entry{with(fmt.Sprintf("fastport-%d%s", n, kind.suffix), "-qos", "0")}})
		}
	}
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		list = append(list, scenario{name: fmt.Sprintf("stored-%d", n), curve: "stored", x: float64(n), title: "reading back as the stored backlog grows", show: []metric{cpu}, once: true,
			flags: []string{"-scenario", "backlog", "-durable", "-n", fmt.Sprint(n)}, entries: all("fastport")})
	}
	return list
}
