package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// redisUse is what a Redis between nodes did for a repetition, by its own count.
type redisUse struct {
	Publishes  float64 `json:"publishes_per_message"` // PUBLISH commands: copies, notes, and a canary a node and second
	Receivers  float64 `json:"receivers"`             // of a message: who subscribes to the topic's channel (PUBSUB NUMSUB)
	OutBytes   float64 `json:"out_bytes_per_message"`
	CPU        float64 `json:"cpu_us_per_message"`
	publishes  float64
	out, spent float64
}

// since is what was done for so many messages since before.
func (u *redisUse) since(before *redisUse, messages uint64) *redisUse {
	if u == nil || messages == 0 {
		return nil
	}
	n := float64(messages)
	return &redisUse{Publishes: (u.publishes - before.publishes) / n, Receivers: u.Receivers,
		OutBytes: (u.out - before.out) / n, CPU: (u.spent - before.spent) / n * 1e6}
}

// countRedis asks -redis for its counters, nil where there is none.
func countRedis() (*redisUse, error) {
	if *flRedis == "" {
		return nil, nil
	}
	u, err := url.Parse(*flRedis)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("-redis %q is no redis://host:port", *flRedis)
	}
	nc, err := net.DialTimeout("tcp", u.Host, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(nc)
	ask := func(args ...string) ([]string, error) {
		fmt.Fprintf(nc, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(nc, "$%d\r\n%s\r\n", len(a), a)
		}
		return readRESP(r)
	}
	if password, ok := u.User.Password(); ok {
		if _, err := ask("AUTH", password); err != nil {
			return nil, err
		}
	}
	got := &redisUse{}
	for _, section := range []string{"commandstats", "stats", "cpu"} {
		text, err := ask("INFO", section)
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(strings.Join(text, ""), "\r\n") {
			key, value, _ := strings.Cut(line, ":")
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, _ := strconv.ParseFloat(value, 64)
			switch key {
			case "cmdstat_publish", "cmdstat_spublish":
				got.publishes += n
			case "total_net_output_bytes":
				got.out = n
			case "used_cpu_user", "used_cpu_sys":
				got.spent += n
			}
		}
	}
	channels, err := ask("PUBSUB", "CHANNELS", "*:"+*flTopic+"0")
	if err != nil || len(channels) != 1 {
		return got, err
	}
	numbers, err := ask("PUBSUB", "NUMSUB", channels[0])
	if err == nil && len(numbers) == 2 {
		got.Receivers, err = strconv.ParseFloat(numbers[1], 64)
	}
	return got, err
}

// readRESP reads one answer, an array as its items.
func readRESP(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, fmt.Errorf("redis: an empty line")
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '-':
		return nil, fmt.Errorf("redis: %s", line[1:])
	case '$':
		b := make([]byte, max(n, 0)+2)
		_, err := io.ReadFull(r, b)
		return []string{string(b[:len(b)-2])}, err
	case '*':
		var all []string
		for range n {
			item, err := readRESP(r)
			if err != nil {
				return nil, err
			}
			all = append(all, item...)
		}
		return all, nil
	}
	return []string{line[1:]}, nil
}
