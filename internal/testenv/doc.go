// Package testenv gives tests real servers: Postgres and Redis from the machine's own binaries (package daemon), on free
// loopback ports, in temporary folders.
//
// A server lives no longer than the test process, however that ends: so there is no TestMain to forget, and kill -9 of a
// test leaves nothing behind. A missing binary fails the test and names the Debian package; scripts/test-deps.sh installs
// them all.
package testenv
