#!/usr/bin/env bash
# Measures fastport on this machine: a fresh server for each scenario, on a free port, with a store of its own.
#   run.sh [scenario ...]     DB_TYPE=sqlite (default) | postgres (with DATABASE_URL) | memory     REPS=3
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
work=$(mktemp -d)
server=
cleanup() { [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT

(cd "$root" && go build -trimpath -o "$work/fastport" ./cmd/fastport)
go build -o "$work/bench" .
port=${PORT:-3877}
reps=${REPS:-3}
store=${DB_TYPE:-sqlite}
echo "# $(go version); $(nproc) cores; commit $(git -C "$root" rev-parse --short HEAD); store $store" >&2

start() { # starts a fresh server
	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
	rm -rf "$work/data" && mkdir "$work/data"
	(cd "$work" && exec env DB_TYPE="$store" SQLITE_PATH="$work/data/fastport.db" MASTER_KEY_FILE="$work/data/master.key" \
		PORT="$port" CONNECTION_RATE_LIMIT=0 API_RATE_LIMIT=100000 LOG_LEVEL=error "$work/fastport" serve >"$work/log" 2>&1) &
	server=$!
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		sleep 0.1
	done
	echo "the server did not start:" >&2 && cat "$work/log" >&2 && exit 1
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
		storm) measure storm -scenario storm -conc 500 -v2 -reps "$reps" ;;
		file) measure file -scenario big -window 64 -v2=false -reps 1 ;;
		*) echo "no scenario $s: acked fanout latency idle storm file" >&2 && exit 2 ;;
		esac
	done
done
