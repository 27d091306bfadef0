#!/usr/bin/env bash
# Measures fastport on this machine: a fresh server for each scenario, on a free port, with a store of its own.
#   run.sh [scenario ...]     DB_TYPE=sqlite (default) | postgres (with DATABASE_URL) | memory     REPS=3
#   run.sh cluster            two nodes, publishers on one and subscribers on the other; takes DATABASE_URL and REDIS_URL
#   run.sh nodes              1, 2, 4 and 8 nodes with as many subscribers each, publishers on the first; takes both as well
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
work=$(mktemp -d)
servers=()
cleanup() { end && rm -rf "$work"; }
end() { # ends what runs
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
	done
	servers=()
}
trap cleanup EXIT

(cd "$root" && go build -trimpath -o "$work/fastport" ./cmd/fastport)
go build -o "$work/bench" .
port=${PORT:-3877}
reps=${REPS:-3}
store=${DB_TYPE:-sqlite}
echo "# $(go version); $(nproc) cores; commit $(git -C "$root" rev-parse --short HEAD); store $store, several nodes: postgres" >&2

start() { # starts a fresh server
	end
	rm -rf "$work/data" && mkdir "$work/data"
	(cd "$work" && exec env DB_TYPE="$store" SQLITE_PATH="$work/data/fastport.db" MASTER_KEY_FILE="$work/data/master.key" REDIS_URL= \
		PORT="$port" CONNECTION_RATE_LIMIT=0 API_RATE_LIMIT=100000 LOG_LEVEL=error "$work/fastport" serve >"$work/log" 2>&1) &
	servers=($!)
	await "$port" "$work/log"
}

await() { # port, log: returns once the server answers
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.1
	done
	echo "the server did not start:" >&2 && cat "$2" >&2 && exit 1
}

fleet() { # number: starts so many nodes of one cluster
	: "${DATABASE_URL:?takes a Postgres that the nodes share}" "${REDIS_URL:?takes a Redis that the nodes share}"
	end
	local key at share=$(($(nproc) / $1)) # of the cores, as a container's limit would give each: Go counts all of them as its own
	key=$(head -c32 /dev/urandom | base64)
	for ((at = port; at < port + $1; at++)); do
		(cd "$work" && exec env GOMAXPROCS=$((share > 0 ? share : 1)) DB_TYPE=postgres MASTER_KEY="$key" PORT="$at" CONNECTION_RATE_LIMIT=0 API_RATE_LIMIT=100000 \
			LOG_LEVEL=error "$work/fastport" serve >"$work/log$at" 2>&1) &
		servers+=($!)
		await "$at" "$work/log$at"
	done
	sleep 4 # until each has heard the others' heartbeats
}

across() { # label, ports of the subscribers' nodes with commas between, generator flags...: publishers are on the first node
	local label=$1 urls=${2//,/,ws://127.0.0.1:}
	shift 2
	"$work/bench" -peer fastport -label "$label" -url "ws://127.0.0.1:$port" -url2 "ws://127.0.0.1:$urls" -redis "$REDIS_URL" \
		-create "http://127.0.0.1:$port" -session "bench-$label-$RANDOM" -pids "$(IFS=, && echo "${servers[*]}")" "$@"
}

measure() { # label, generator flags...
	local label=$1
	shift
	start
	"$work/bench" -peer fastport -label "$label" -url "ws://127.0.0.1:$port" -create "http://127.0.0.1:$port" -pids "${servers[0]}" "$@"
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
			fleet 2
			across cluster-latency $((port + 1)) -scenario latency -pairs 10 -subs 1 -rate 5000 -v2 -durable -reps "$reps"
			fleet 2
			across cluster-fanout-100-qos0 $((port + 1)) -scenario fanout -subs 100 -v2 -qos 0 -reps "$reps"
			;;
		nodes) # the rates let the largest fleet, its generator and Redis fit into two cores
			for n in 1 2 4 8; do
				fleet $n
				all=$(seq -s, "$port" $((port + n - 1)))
				across "nodes-$n-subs-10" "$all" -scenario latency -pairs 1 -subs $((10 * n)) -rate 500 -v2 -qos 0 -reps "$reps"
				across "nodes-$n-subs-1000" "$all" -scenario latency -pairs 1 -subs $((1000 * n)) -rate 10 -v2 -qos 0 -reps "$reps"
			done
			;;
		storm) measure storm -scenario storm -conc 500 -v2 -reps "$reps" ;;
		file) measure file -scenario big -window 64 -v2=false -reps 1 ;;
		*) echo "no scenario $s: acked fanout latency idle storm file cluster nodes" >&2 && exit 2 ;;
		esac
	done
done
