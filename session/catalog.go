package session

// Catalog creates, finds, suspends and drops sessions, and checks credentials.
type Catalog struct{}
