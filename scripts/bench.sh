#!/usr/bin/env bash
# Measures fastport and its peers: bench.sh SCENARIOS SERVERS BYTES, each may be empty; FULL, REPS and DURATION are taken from the
# environment. Mosquitto is Debian's and is installed if it is missing; the others come with bench/go.mod and bench/servers/socketio/package-lock.json.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-deps.sh
if [ ! -x /usr/sbin/mosquitto ] && ! command -v mosquitto >/dev/null; then
	root=
	[ "$(id -u)" = 0 ] || root=sudo
	# RUNLEVEL: its package would start a service otherwise.
	$root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mosquitto
fi
cd bench
exec go run ./suite -root .. ${1:+-scenarios "$1"} ${2:+-servers "$2"} ${3:+-bytes "$3"} ${REPS:+-reps "$REPS"} ${DURATION:+-duration "$DURATION"} ${FULL:+-full}
