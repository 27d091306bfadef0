// Package rig runs a whole cluster on this machine, of real processes: `fastport serve` N times, Redis (alone, or a
// master, a replica and three Sentinels), Postgres, and nginx in front where it is wanted. Each may be killed, frozen and
// brought back, and each node's way to Redis and to Postgres may be cut, frozen, cut one way or made deaf.
//
//	node-1 --Link--> Redis       node-1 --Link--> Postgres
//	node-2 --Link--> Redis       node-2 --Link--> Postgres
//
// A Link is a TCP proxy of this process. Where Sentinels tell a node who the master is, the Link writes its own ports
// into their words, so that the node stays on it through a failover.
//
// Everything lives in one temporary folder and ends with this process, however that ends (package daemon). Nothing here
// knows a test: `make cluster` and `fastport verify --local` are made of it.
package rig
