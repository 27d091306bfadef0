#!/usr/bin/env bash
# Measures fastport on this machine: a fresh server for each scenario, on a free port, with a store of its own.
#   run.sh [scenario ...]     DB_TYPE=sqlite (default) | postgres (with DATABASE_URL) | memory     REPS=3
#   run.sh cluster            two nodes, publishers on one and subscribers on the other; takes DATABASE_URL and REDIS_URL
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
work=$(mktemp -d)
server=
second=
cleanup() { end "$server" && end "$second"; rm -rf "$work"; }
end() { [ -z "$1" ] || { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; } || true; }
trap cleanup EXIT

(cd "$root" && go build -trimpath -o "$work/fastport" ./cmd/fastport)
go build -o "$work/bench" .
port=${PORT:-3877}
reps=${REPS:-3}
store=${DB_TYPE:-sqlite}
echo "# $(go version); $(nproc) cores; commit $(git -C "$root" rev-parse --short HEAD); store $store" >&2

start() { # starts a fresh server
	end "$server"
	rm -rf "$work/data" && mkdir "$work/data"
	(cd "$work" && exec env DB_TYPE="$store" SQLITE_PATH="$work/data/fastport.db" MASTER_KEY_FILE="$work/data/master.key" REDIS_URL= \
		PORT="$port" CONNECTION_RATE_LIMIT=0 API_RATE_LIMIT=100000 LOG_LEVEL=error "$work/fastport" serve >"$work/log" 2>&1) &
	server=$!
	await "$port" "$work/log"
}

await() { # port, log: returns once the server answers
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.1
	done
	echo "the server did not start:" >&2 && cat "$2" >&2 && exit 1
}

pair() { # starts two nodes of one cluster
	: "${DATABASE_URL:?takes a Postgres that the nodes share}" "${REDIS_URL:?takes a Redis that the nodes share}"
	end "$server" && end "$second"
	local key pids=()
	key=$(head -c32 /dev/urandom | base64)
	for at in "$port" $((port + 1)); do
		(cd "$work" && exec env DB_TYPE=postgres MASTER_KEY="$key" PORT="$at" CONNECTION_RATE_LIMIT=0 API_RATE_LIMIT=100000 \
			LOG_LEVEL=error "$work/fastport" serve >"$work/log$at" 2>&1) &
		pids+=($!)
		await "$at" "$work/log$at"
	done
	server=${pids[0]} second=${pids[1]}
	sleep 4 # until each has heard the other's heartbeat
}

across() { # label, generator flags...: publishers on one node, subscribers on the other
	local label=$1
	shift
	pair
	"$work/bench" -peer fastport -label "$label" -url "ws://127.0.0.1:$port" -url2 "ws://127.0.0.1:$((port + 1))" -create "http://127.0.0.1:$port" \
		-session "bench-$label-$RANDOM" -pids "$server,$second" "$@"
}

measure() { # label, generator flags...
	local label=$1
	shift
	start
	"$work/bench" -peer fastport -label "$label" -url "ws://127.0.0.1:$port" -create "http://127.0.0.1:$port" -pids "$server" "$@"
}

for scenario in "${@:-acked fanout latency idle storm file}"; do
	for s in $scenario; do
		case $s in
		acked) measure "acked-$store" -scenario pairs -pairs 100 -window 8 -v2 -durable -reps "$reps" ;;
		fanout)
			measure fanout-100-qos0 -scenario fanout -subs 100 -v2 -qos 0 -reps "$reps"
			measure fanout-1000-qos0 -scenario fanout -subs 1000 -v2 -qos 0 -reps "$reps"
			measure fanout-1000-qos1 -scenario fanout -subs 1000 -v2 -durable -reps "$reps"
			;;
		latency) measure latency -scenario latency -pairs 10 -subs 1 -rate 5000 -v2 -durable -reps "$reps" ;;
		idle)
			measure idle -scenario idle -n 10000 -v2 -reps 1
			measure idle-durable -scenario idle -n 10000 -v2 -durable -reps 1
			;;
		cluster)
			across cluster-latency -scenario latency -pairs 10 -subs 1 -rate 5000 -v2 -durable -reps "$reps"
			across cluster-fanout-100-qos0 -scenario fanout -subs 100 -v2 -qos 0 -reps "$reps"
			;;
		storm) measure storm -scenario storm -conc 500 -v2 -reps "$reps" ;;
		file) measure file -scenario big -window 64 -v2=false -reps 1 ;;
		*) echo "no scenario $s: acked fanout latency idle storm file cluster" >&2 && exit 2 ;;
		esac
	done
done
