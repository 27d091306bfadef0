// Package verify holds a cluster to its promises. It puts a load on it that is known message by message, breaks the
// cluster's parts meanwhile (or lets somebody else do so), and tells what was promised and not kept.
//
//	Load --publishes, hands over--> Checker        knows every message, and what every subscriber is owed
//	Prober --one message a moment, through every node--> outages, and so the recovery after each fault
//	Faults --break and mend--> internal/rig        and tell the Checker what is allowed meanwhile
//
// The Checker takes events with their times and decides alone: it knows no socket and no clock, so that its own tests
// can show it every breach there is. What it holds a cluster to is section 4 of docs/protocol.md, no more and no less.
package verify
