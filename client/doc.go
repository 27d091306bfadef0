// Package client is the Go SDK: it publishes, subscribes, sends and receives files, end to end encrypted, over one
// connection that mends itself.
//
// [Connect] logs in. From then on a [Client] keeps one connection up until Close: it connects again with a jittered
// backoff, subscribes again, sends again what was not acked, and goes on with half-sent files. Nothing is sealed before
// it is sent, so what waits offline goes out with a fresh timestamp.
//
// Queues are bounded: [Client.Publish] waits while the connection is up and the queue is full, and fails with
// [ErrQueueFull] while it is down. A message is acked once its handler has returned nil, and handed over once however
// often it comes.
//
// A [Client] is safe for concurrent use.
package client
