// Package daemon runs real servers as child processes: Postgres, Redis and whatever else has a program on this machine,
// on free loopback ports. Tests (package testenv) and local clusters (package rig) stand on it.
//
// A daemon lives no longer than the process that started it, however that ends. It has a keeper: a shell that waits on
// a pipe whose other end only that process holds. Closing it, or dying, makes the keeper kill its daemons and remove
// their folder. So kill -9 of a test or of a whole cluster's program leaves nothing behind.
//
// A missing program is an error that names the Debian package; scripts/test-deps.sh installs them all.
package daemon
