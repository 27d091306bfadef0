// Package fcm wakes users who are not connected, through Firebase Cloud Messaging.
//
// A message that somebody may have to be woken for has a row in the store's outbox, written with it. The [Pusher]
// claims due rows, works out who is still owed the message, leaves alone who is connected and acks, and hands one push
// a user to each of their devices to the [Sender]. The Sender speaks to FCM through Google's SDK, with each session's
// own Firebase project. Nothing here is in the way of a publish: FCM may be slow, down or not there at all.
//
// A push says that there is something, not what: see [Payload]. What is owed comes over the wire once the device connects.
package fcm
