// Package arch holds the import law of docs/architecture.md as a test: who may import whom. That the broker cannot read
// a message is a property of the tree: no server package can import client/e2ee.
package arch
