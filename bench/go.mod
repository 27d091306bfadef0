// The load generator and, later, the peers: a module of its own, so that nothing of it is in the product's go.mod.
module github.com/fastport/fastport/bench

go 1.26.0

require github.com/gobwas/ws v1.5.0

require github.com/gobwas/httphead v0.1.0 // indirect
