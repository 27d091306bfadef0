// Package conformance plays one script of scenarios with every SDK, against real nodes: an SDK is a program that does as it is told
// (an agent), and what it may not tell (the wire, its server, the network between) is the player's. README.md says how to
// add an SDK and how to add a scenario. Its tests are all that is in it.
package conformance
