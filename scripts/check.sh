#!/usr/bin/env bash
# What a machine can see in the code: formatting, vet, staticcheck, known vulnerabilities, module sums.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	echo "not gofmt-ed (run gofmt -w):" && echo "$unformatted" && exit 1
fi
go mod verify
go mod tidy -diff
go vet ./...
GOOS=darwin go vet ./gateway # the portable half of the gateway
go tool staticcheck ./...
(cd bench && go mod tidy -diff && go vet ./... && go test ./...) # a module of its own

# The vulnerability database: VULNDB may name an unpacked one, or the folder that holds vulndb.tar.gz.
vulndb=${VULNDB:-../shared/vulndb}
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
if [ -f "$vulndb/vulndb.tar.gz" ]; then
	tar xzf "$vulndb/vulndb.tar.gz" -C "$unpacked"
	vulndb=$unpacked
fi
if [ -d "$vulndb/ID" ]; then
	go tool govulncheck -db "file://$(cd "$vulndb" && pwd)" ./...
elif go tool govulncheck ./...; then
	:
else
	status=$?
	if [ "$status" -eq 3 ]; then exit 3; fi
	echo "############################################################################"
	echo "# govulncheck was SKIPPED: no database at '$vulndb' and vuln.go.dev is out of reach."
	echo "# Set VULNDB to a copy of the Go vulnerability database."
	echo "############################################################################"
fi
