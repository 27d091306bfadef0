package main

import "fmt"

// scenario is one row of the comparison, or one point of a curve.
type scenario struct {
	name, title string
	flags       []string // the generator's
	entries     []entry
	show        []metric
	once        bool // the same each time, and long: one repetition
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
	memory    = metric{"srv_rss_kb", "resident MB", 1e-3, false}
	perConn   = metric{"rss_bytes_per_conn", "KB a connection", 1e-3, false}
	connCPU   = metric{"srv_cpu_ms_per_conn", "CPU ms a connection", 0, false}
	conns     = metric{"conns_per_s", "connections/s", 0, true}
	speed     = metric{"MB_per_s", "MB/s", 0, true}
	peak      = metric{"srv_peak_rss_kb", "peak resident MB", 1e-3, false}
	first     = metric{"first_ms", "first after, ms", 0, false}
	storeCPU  = metric{"stores_cpu_s", "stores' CPU-s", 0, false}
)

func with(server string, flags ...string) entry { return entry{server, flags} }

func all(names ...string) (list []entry) {
	for _, n := range names {
		list = append(list, entry{server: n})
	}
	return list
}

// scenarios is the comparison: the rows against the servers that can do them.
func scenarios() []scenario {
	busy := []metric{delivered, cpu, p50, p99, memory}
	ackedToo := []metric{acked, cpu, p50, p99, memory, storeCPU}
	qos0, durable := []string{"-qos", "0"}, []string{"-durable"}
	return []scenario{
		{name: "fanout-100", title: "Fan-out 1 to 100, at most once", flags: []string{"-scenario", "fanout", "-subs", "100"}, show: busy,
			entries: append(all("relay", "nats", "centrifuge", "centrifuge-1ms", "mosquitto", "socketio"), with("fastport", qos0...))},
		{name: "fanout-1000", title: "Fan-out 1 to 1,000; fastport: stored, synced, durable receivers that ack in batches, the others: at most once",
			flags: []string{"-scenario", "fanout", "-subs", "1000"}, show: busy,
			entries: append(all("relay", "nats", "centrifuge", "mosquitto", "socketio"), with("fastport", durable...))},
		{name: "pairs", title: "100 pairs, each publish acked, 8 in flight each", flags: []string{"-scenario", "pairs", "-pairs", "100", "-window", "8"}, show: ackedToo,
			entries: append(all("nats", "mosquitto-qos1", "jetstream", "jetstream-fsync", "centrifuge"), with("relay", "-puback"), with("socketio", "-puback"),
				with("fastport", durable...), with("fastport-1", durable...), with("fastport-3", durable...))},
		{name: "latency", title: "5,000 messages/s over 10 pairs", flags: []string{"-scenario", "latency", "-pairs", "10", "-subs", "1", "-rate", "5000"}, show: []metric{p50, p99, cpu, memory},
			entries: append(all("relay", "nats", "mosquitto-qos1", "jetstream", "centrifuge", "socketio"), with("fastport", durable...))},
		{name: "two-nodes-fanout", title: "Two nodes, publisher on one, 100 receivers on the other, at most once", flags: []string{"-scenario", "fanout", "-subs", "100"}, show: append(busy[:len(busy):len(busy)], storeCPU),
			entries: append(all("nats-2", "centrifuge-2"), with("fastport-2", qos0...))},
		{name: "two-nodes-latency", title: "Two nodes, 100 messages/s to 100 receivers on the other", flags: []string{"-scenario", "latency", "-pairs", "1", "-subs", "100", "-rate", "100"}, show: []metric{p50, p99, cpu, memory},
			entries: append(all("nats-2", "centrifuge-2"), with("fastport-2", qos0...))},
		{name: "idle", title: "10,000 idle connections, logged in, one subscription each", flags: []string{"-scenario", "idle", "-n", "10000"}, show: []metric{perConn, connCPU, memory},
			entries: all("relay", "nats", "mosquitto", "centrifuge", "socketio", "fastport")},
		{name: "idle-durable", title: "10,000 idle connections, each a durable subscriber", flags: []string{"-scenario", "idle", "-n", "10000"}, show: []metric{perConn, connCPU, memory},
			entries: []entry{with("fastport", durable...)}},
		{name: "storm", title: "Connect, log in, subscribe, over and over, 500 at once", flags: []string{"-scenario", "storm", "-conc", "500"}, show: []metric{connCPU, conns, p50, p99},
			entries: all("relay", "nats", "mosquitto", "centrifuge", "socketio", "fastport")},
		{name: "stream", title: "64 KiB chunks, 1 to 1, 64 in flight", flags: []string{"-scenario", "big", "-window", "64"}, show: []metric{speed, peak},
			entries: append(all("relay", "nats", "socketio"), with("fastport", "-v2=false"))},
		{name: "two-nodes-stream", title: "64 KiB chunks from one node to another", flags: []string{"-scenario", "big", "-window", "64"}, show: []metric{speed, peak},
			entries: []entry{with("fastport-2", "-v2=false")}},
		{name: "backlog", title: "A durable subscriber comes back to what was stored for it", flags: []string{"-scenario", "backlog", "-durable", "-n", "1000000"}, show: []metric{first, delivered, cpu, peak},
			entries: all("fastport", "fastport-1"), once: true},
	}
}

// curves are what a unit costs fastport as one thing grows.
func curves() (list []scenario) {
	for _, n := range []int{10, 100, 1000, 10000} {
		list = append(list, scenario{name: fmt.Sprintf("subscribers-%d", n), curve: "subscribers", x: float64(n), title: "deliveries as subscribers grow (640, 64, 6, 4 in flight)", show: []metric{cpu},
			flags: []string{"-scenario", "fanout", "-subs", fmt.Sprint(n), "-window", fmt.Sprint(max(4, 6400/n))}, entries: []entry{with("fastport", "-qos", "0")}})
	}
	for _, n := range []int{1, 100, 1000, 10000, 100000} {
		pairs := fmt.Sprint(min(n, 100))
		list = append(list, scenario{name: fmt.Sprintf("topics-%d", n), curve: "topics", x: float64(n), title: "deliveries as topics grow (100 pairs; one at the left)", show: []metric{cpu},
			flags: []string{"-scenario", "pairs", "-pairs", pairs, "-topics", fmt.Sprint(n), "-window", "8"}, entries: []entry{with("fastport", "-qos", "0")}})
	}
	for _, n := range []int{1000, 5000, 10000, 19000} {
		list = append(list, scenario{name: fmt.Sprintf("connections-%d", n), curve: "connections", x: float64(n), title: "memory as idle connections grow", show: []metric{perConn}, once: true,
			flags: []string{"-scenario", "idle", "-n", fmt.Sprint(n)}, entries: all("fastport")})
	}
	for _, kind := range []struct{ curve, suffix, title string }{
		{"nodes", "", "deliveries as nodes grow, one Redis"}, {"nodes-shards", "-shards", "deliveries as nodes grow, three Redis shards"},
	} {
		for _, n := range []int{1, 2, 4, 8} {
			list = append(list, scenario{name: fmt.Sprintf("%s-%d", kind.curve, n), curve: kind.curve, x: float64(n), title: kind.title, show: []metric{cpu},
				flags:   []string{"-scenario", "latency", "-pairs", "1", "-subs", fmt.Sprint(100 * n), "-rate", "50"},
				entries: []entry{with(fmt.Sprintf("fastport-%d%s", n, kind.suffix), "-qos", "0")}})
		}
	}
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		list = append(list, scenario{name: fmt.Sprintf("stored-%d", n), curve: "stored", x: float64(n), title: "reading back as the stored backlog grows", show: []metric{cpu}, once: true,
			flags: []string{"-scenario", "backlog", "-durable", "-n", fmt.Sprint(n)}, entries: all("fastport")})
	}
	return list
}
