// Package testenv gives tests real servers: Postgres and Redis from the machine's own binaries, on free loopback
// ports, in temporary folders.
//
// A server lives no longer than the test process, however that ends. Each has a keeper: a shell that waits on a pipe
// whose other end only the test process holds. Closing it, or dying, makes the keeper kill the server and remove
// its folder. So there is no TestMain to forget, and kill -9 of a test leaves nothing behind.
//
// A missing binary fails the test and names the Debian package; scripts/test-deps.sh installs them all.
package testenv
