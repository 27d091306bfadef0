// Package e2e holds tests of the whole product: the binary as a process, clients over real sockets, kill -9.
package e2e
