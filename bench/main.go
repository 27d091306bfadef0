// Command bench loads a pub/sub server over websockets and prints one JSON
// line a repetition. See README.md. It refuses targets that are not loopback.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	flag.Parse()
	debug.SetGCPercent(400)
	var ad Adapter
	switch *flPeer {
	case "fastport":
		ad = newFastPort()
	case "centrifuge":
		ad = &centrifuge{}
	case "mqtt0":
		ad = &mqtt{0}
	case "mqtt1":
		ad = &mqtt{1}
	case "nats":
		ad = &nats{}
	case "natsjs":
		ad = &nats{js: true}
	case "socketio":
		ad = &sio{}
	case "relay":
		ad = &relay{}
	default:
		die("unknown peer %q", *flPeer)
	}
	if *flLabel == "" {
		*flLabel = ad.Name()
	}
	var ts []*target
	for _, u := range append([]string{*flURL}, strings.Split(*flURL2, ",")...) {
		if u == "" {
			continue
		}
		t, err := parseTarget(u)
		if err != nil {
			die("%v", err)
		}
		ts = append(ts, t)
	}
	if *flCreate != "" {
		if err := createSession(*flCreate); err != nil {
			die("%v", err)
		}
	}
	if n, ok := ad.(*nats); ok && n.js && *flScen != "idle" && *flScen != "storm" {
		if err := n.makeStream(ts[0]); err != nil {
			die("stream: %v", err)
		}
	}
	pids := parsePids(*flPids)
	prefix := *flTopic
	for rep := 1; rep <= *flReps; rep++ {
		// a repetition has its own topics: what an earlier one left unacked may be retried
		*flTopic = fmt.Sprintf("%s%sr%dx", prefix, runID, rep)
		var r Result
		var err error
		switch *flScen {
		case "fanout", "pairs", "latency":
			r, err = runPubSub(ad, ts, pids)
		case "idle":
			r, err = runIdle(ad, ts, pids)
		case "storm":
			r, err = runStorm(ad, ts, pids)
		case "backlog":
			r, err = runBacklog(ad, ts, pids)
		case "big":
			r, err = runBig(ad, ts, pids)
		default:
			die("unknown scenario %q", *flScen)
		}
		if err != nil {
			die("%s %s: %v", *flLabel, *flScen, err)
		}
		r.Label, r.Rep = *flLabel, rep
		b, _ := json.Marshal(r)
		fmt.Println(string(b))
	}
}

func die(f string, a ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+f+"\n", a...)
	os.Exit(1)
}
