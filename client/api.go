package client

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// errSkeleton marks what is on its way: this file is replaced part by part.
var errSkeleton = errors.New("client: not there yet")

// Client is one connected device.
type Client struct{}

// Connect logs in and returns once the server has accepted. ctx bounds connecting alone. A wrong password, an unknown
// session or a wrong key fails at once, with a *protocol.Error of Unauthorized or KeyMismatch.
func Connect(ctx context.Context, o Options) (*Client, error) { return nil, errSkeleton }

// Close waits until what was published is acked (unless the connection is down) and the handlers at work have
// returned, sends the acks that are due, and disconnects. When ctx ends it does so at once and returns ctx's error; publishes
// that are not acked by then fail with ErrClosed. It must not be called from a handler or callback. Further calls do nothing.
func (c *Client) Close(ctx context.Context) error { return errSkeleton }

// Done is closed when the client has ended: by Close, or for a reason that trying again cannot mend.
func (c *Client) Done() <-chan struct{} { return nil }

// Err is why the client ended: ErrClosed, ErrTakenOver, a *CloseError or a *protocol.Error. Nil before Done is closed.
func (c *Client) Err() error { return nil }

// ClientID is the id that the server knows this connection by.
func (c *Client) ClientID() string { return "" }

// Limits are those of the session, as of the last login.
func (c *Client) Limits() protocol.SessionLimits { return protocol.SessionLimits{} }

// Now is the server's clock as this client knows it.
func (c *Client) Now() time.Time { return time.Now() }

// Publish seals payload and returns nil once the server has acked it: from then on it reaches every durable subscriber
// of the topic. It sends again by itself, over new connections too, under the same id, until ctx ends; then the
// message may or may not have been delivered. Concurrent calls are pipelined.
//
// It waits while the queue is full, or fails with ErrQueueFull while the connection is down. A refusal that trying again
// cannot mend is a *protocol.Error.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte, opts ...PublishOption) error {
	return errSkeleton
}

// PublishAsync is Publish in two steps: it returns once the message is queued, in the order of the calls, and the
// Receipt tells what became of it. ctx bounds the queueing alone. The payload must not be changed before the receipt is done.
func (c *Client) PublishAsync(ctx context.Context, topic string, payload []byte, opts ...PublishOption) (*Receipt, error) {
	return nil, errSkeleton
}

// Receipt is a message on its way.
type Receipt struct{}

// MessageID is the id that the message goes by.
func (r *Receipt) MessageID() string { return "" }

// Done is closed when the message is acked or has failed.
func (r *Receipt) Done() <-chan struct{} { return nil }

// Err is nil before Done is closed and if the message was acked.
func (r *Receipt) Err() error { return nil }

// PublishOption changes one publish.
type PublishOption func()

// WithMessageID sets the id, at most 64 bytes. Published again with the same id within 15 minutes, by this or a later
// process, the message is delivered to nobody anew. Default: a random UUID.
func WithMessageID(id string) PublishOption { return nil }

// AtMostOnce publishes for whoever is there now: never stored, never sent again by anyone (qos 0).
func AtMostOnce() PublishOption { return nil }

// Message is an opened message.
type Message struct {
	Topic     string
	ID        string
	Payload   []byte // the handler's to keep
	Timestamp time.Time
	Seq       uint64 // position in the topic; 0 where the server did not tell
	Retry     int    // how many times the server has sent it before, as far as this delivery tells
	Replay    bool   // read back from the store
	QoS       int    // 1, or 0: at most once
	Legacy    bool   // suite 1: nothing proves sender, topic or time
}

// Handler takes the messages of one topic, one at a time, in order. Nil acks the message. An error leaves it
// unacked: the server sends it again. ctx ends when the client or the subscription does.
type Handler func(ctx context.Context, m Message) error

// Subscribe returns once the server has confirmed: from then on every message that is acked to its publisher reaches
// the handler. The subscription is made again with each new connection, until Unsubscribe or Close. Without a connection it waits.
func (c *Client) Subscribe(ctx context.Context, topic string, h Handler) error { return errSkeleton }

// Unsubscribe ends the topic's subscription, files included, and returns once the server has confirmed; the handler is
// not called any more after that. A durable subscriber's messages on the topic are gone.
func (c *Client) Unsubscribe(ctx context.Context, topic string) error { return errSkeleton }

// FileOptions change how a file is sent.
type FileOptions struct {
	Type     string             // media type, sealed with the name
	FileID   string             // a UUID that was never used before. Default: random
	Progress func(FileProgress) // from the goroutine that sends: it must be quick. Default: none
}

// FileProgress is how far a file is.
type FileProgress struct {
	FileID    string
	Name      string
	Size      int64 // bytes of plaintext in all
	Done      int64 // bytes that every receiver has written (sending), or that are written here (receiving)
	Receivers int   // sending only: how many are taking it
}

// SendFile sends size bytes of r to those who are subscribed to the topic now, and returns nil once all that stayed have
// it. It holds a window of it (4 MiB) in memory, goes back where a receiver lost some, and goes on after a lost connection
// that is mended within 60 s. Ending ctx cancels the transfer at its receivers. Without receivers it fails with code NoReceivers.
//
// Where r is an io.Seeker it is read twice: once for the hash that travels sealed with the name.
func (c *Client) SendFile(ctx context.Context, topic, name string, size int64, r io.Reader, o FileOptions) error {
	return errSkeleton
}

// FileOffer describes a file that is about to come.
type FileOffer struct {
	FileID string
	Topic  string
	Name   string // as its sender chose it: any text, to be trusted as a file name by nobody
	Size   int64
	Type   string
	SHA256 string // of the content, in hex; empty where the sender did not know it
	Legacy bool   // suite 1: the server saw the name, and nothing proves who sent it
}

// FileSink takes one file's content, in order. Exactly one of Commit and Abort ends it.
type FileSink interface {
	io.Writer
	// Commit is called when the content is whole and right. An error is the transfer's.
	Commit() error
	// Abort is called when the rest will never come, with the reason.
	Abort(reason error)
}

// ReceiveOptions change how files are received.
type ReceiveOptions struct {
	// Progress is called at each step, from the transfer's own goroutine. Default: none.
	Progress func(FileProgress)
	// Done is called once a file is whole and committed, or has failed; OnError gets the failure too. Default: none.
	Done func(FileOffer, error)
}

// ReceiveFiles subscribes to the topic's files, as Subscribe does to its messages; a topic may have both. accept says
// where a file goes, or returns nil to decline it.
func (c *Client) ReceiveFiles(ctx context.Context, topic string, accept func(FileOffer) (FileSink, error), o ReceiveOptions) error {
	return errSkeleton
}

// DirOptions change how files are put into a directory.
type DirOptions struct {
	ReceiveOptions
	// Overwrite lets a file replace one of the same name. Otherwise it becomes "name (1).ext", and so on.
	Overwrite bool
	// MaxSize declines what is larger, in bytes. Default: no bound.
	MaxSize int64
	// Saved is called with the path of each file that is complete. Default: none.
	Saved func(path string, offer FileOffer)
}

// ReceiveToDir receives the topic's files into a directory that exists. A file is written under a temporary name, and
// gets its own (the last element of the one that its sender chose) once it is whole and right.
func (c *Client) ReceiveToDir(ctx context.Context, topic, dir string, o DirOptions) error {
	return errSkeleton
}

// RegisterDevice registers a push token for a user, sealed. It makes the client's subscriptions that user's, where the client
// has neither a ClientID nor a UserID.
func (c *Client) RegisterDevice(ctx context.Context, userID string, d e2ee.Device) error {
	return errSkeleton
}

// UnregisterDevice takes a push token back.
func (c *Client) UnregisterDevice(ctx context.Context, userID string, d e2ee.Device) error {
	return errSkeleton
}

// Devices lists a user's registered devices.
func (c *Client) Devices(ctx context.Context, userID string) ([]protocol.Device, error) {
	return nil, errSkeleton
}

// SessionSpec describes a session to be created. What is zero is left to the server's defaults.
type SessionSpec struct {
	SessionName        string
	Password           string
	Key                e2ee.Key      // sent as the two keys that the server may have; it never leaves the process itself
	Suite              int           // 2: the server refuses data of another form; 0: it takes any
	RetryInterval      time.Duration // 0: 5 s
	MaxRetryLimit      *int          // nil: 100
	MessageExpiry      time.Duration // 0: one hour; negative: the server's cap
	SessionExpiry      time.Duration // from now; 0: none
	SubscriptionExpiry time.Duration // 0: 7 days
	FCM                *FCMConfig
	AdminToken         string // where the server lets only admins create sessions
}

// FCMConfig is a Firebase service account's.
type FCMConfig struct {
	ProjectID   string `json:"projectId"`
	PrivateKey  string `json:"privateKey"`
	ClientEmail string `json:"clientEmail"`
	Enabled     bool   `json:"enabled"`
}

// CreateSession creates a session at a server's base URL (http://host:port) and returns its secret key, which is shown
// this once and needed to drop or suspend it. An existing name is code Conflict.
func CreateSession(ctx context.Context, baseURL string, s SessionSpec) (secretKey string, err error) {
	return "", errSkeleton
}

// SessionAdmin says which session, and by what right: its password and secret key, or an admin's token.
type SessionAdmin struct {
	SessionName string
	Password    string
	SecretKey   string
	AdminToken  string
}

// DropSession deletes a session with all that it holds and closes its connections.
func DropSession(ctx context.Context, baseURL string, a SessionAdmin) error { return errSkeleton }

// SuspendSession closes a session's connections and refuses new ones, or (false) lets them in again.
func SuspendSession(ctx context.Context, baseURL string, a SessionAdmin, suspend bool) error {
	return errSkeleton
}
