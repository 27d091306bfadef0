#!/usr/bin/env bash
# Fuzz every decoder for a given time each (default 60s). The list is read from the tests, so a new one is not forgotten.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}
count=0
while IFS=: read -r file name; do
	echo "== $name in $(dirname "$file") for $time"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
	count=$((count + 1))
done < <(git ls-files '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
echo "$count fuzz targets, $time each"
[ "$count" -gt 0 ]
