package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// goAgent is the agent of the Go SDK.
type goAgent struct {
	ctx context.Context // ends with the input
	wg  sync.WaitGroup

	writing sync.Mutex // guards the following
	out     *json.Encoder

	mu      sync.Mutex // guards the following
	clients map[string]*client.Client
}

// runGoAgent does as the lines of in say, until they end.
func runGoAgent(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := &goAgent{ctx: ctx, out: json.NewEncoder(out), clients: make(map[string]*client.Client)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		finish := a.begin(r)
		a.wg.Go(func() {
			answer, err := finish()
			answer.ID = r.ID
			if err != nil {
				answer.Code, answer.Error = codeOf(err), err.Error()
			}
			a.say(answer)
		})
	}
	cancel()
	a.mu.Lock()
	clients := slices.Collect(maps.Values(a.clients))
	a.mu.Unlock()
	for _, c := range clients {
		c.Close(ctx) // at once
	}
	a.wg.Wait()
	return lines.Err()
}

func (a *goAgent) say(r report) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.out.Encode(r) // who does not read has gone
}

// begin does what must be done in the order of the requests; what it returns waits for the rest.
func (a *goAgent) begin(r request) (finish func() (report, error)) {
	ctx := a.ctx
	if r.Do == "connect" {
		return func() (report, error) { return report{}, a.connect(ctx, r) }
	}
	a.mu.Lock()
	c := a.clients[r.Client]
	a.mu.Unlock()
	if c == nil {
		return func() (report, error) {
			if r.Do == "abort" {
				return report{}, nil
			}
			return report{}, fmt.Errorf("%s has not connected", r.Client)
		}
	}
	if r.Do == "emit" {
		var options []client.PublishOption
		if r.MessageID != "" {
			options = append(options, client.WithMessageID(r.MessageID))
		}
		receipt, err := c.PublishAsync(ctx, r.Topic, []byte(r.Text), options...)
		return func() (report, error) {
			if err != nil {
				return report{}, err
			}
			<-receipt.Done()
			return report{}, receipt.Err()
		}
	}
	return func() (report, error) { return a.do(ctx, c, r) }
}

func (a *goAgent) do(ctx context.Context, c *client.Client, r request) (answer report, err error) {
	device := e2ee.Device{FCMToken: r.Token, DeviceID: r.DeviceID, Platform: "android"}
	switch r.Do {
	case "close":
		err = c.Close(ctx)
	case "abort":
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		c.Close(ctx) // what is under way is given up
	case "subscribe":
		err = c.Subscribe(ctx, r.Topic, a.handler(r))
	case "unsubscribe":
		err = c.Unsubscribe(ctx, r.Topic)
	case "receive":
		err = c.ReceiveFiles(ctx, r.Topic, func(offer client.FileOffer) (client.FileSink, error) {
			return &sink{a: a, client: r.Client, offer: offer}, nil
		}, client.ReceiveOptions{})
	case "send":
		err = c.SendFile(ctx, r.Topic, r.Name, int64(r.Size), bytes.NewReader(content(r.Size)), client.FileOptions{})
	case "register":
		err = c.RegisterFCMToken(ctx, r.UserID, device)
	case "unregister":
		err = c.UnregisterFCMToken(ctx, r.UserID, device)
	case "devices":
		var list []protocol.Device
		list, err = c.RegisteredDevices(ctx, r.UserID)
		for _, d := range list {
			answer.Devices = append(answer.Devices, d.DeviceID)
		}
	default:
		err = fmt.Errorf("there is no %s", r.Do)
	}
	return answer, err
}

func (a *goAgent) connect(ctx context.Context, r request) error {
	o := r.Options
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	state := func(s string) { a.say(report{Event: "state", Client: r.Client, State: s}) }
	c, err := client.Connect(ctx, client.Options{
		URL: o.URL, SessionName: o.SessionName, Password: o.Password, AESKey: o.AESKey, ClientID: o.ClientID, UserID: o.UserID,
		Suite: o.Suite, AllowLegacy: o.AllowLegacy, Wait: o.Wait, AckTimeout: ms(o.AckTimeout), DialTimeout: ms(o.ConnectTimeout),
		DedupeSize: o.DedupeSize, BackoffMin: ms(20), BackoffMax: ms(300),
		OnError: func(err error) {
			a.say(report{Event: "error", Client: r.Client, Code: codeOf(err), Error: err.Error()})
		},
		OnState: func(up bool) {
			if up {
				state("connected")
			} else {
				state("disconnected")
			}
		},
		OnMove: func() { state("moved") },
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.clients[r.Client] = c
	a.mu.Unlock()
	a.wg.Go(func() {
		<-c.Done()
		a.say(report{Event: "state", Client: r.Client, State: "closed", Code: codeOf(c.Err())})
	})
	return nil
}

func (a *goAgent) handler(r request) client.Handler {
	failing := r.Failing
	return func(_ context.Context, m client.Message) error {
		if failing--; failing >= 0 {
			return errors.New("as the scenario wants")
		}
		a.say(report{Event: "message", Client: r.Client, Topic: m.Topic, Text: string(m.Payload), Retry: m.Retry, Replay: m.Replay})
		return nil
	}
}

// sink takes a file into memory.
type sink struct {
	bytes.Buffer
	a      *goAgent
	client string
	offer  client.FileOffer
}

func (s *sink) Commit() error {
	sum := sha256.Sum256(s.Bytes())
	s.a.say(report{Event: "file", Client: s.client, Topic: s.offer.Topic, Name: s.offer.Name, Size: s.Len(), SHA256: hex.EncodeToString(sum[:])})
	return nil
}

func (s *sink) Abort(error) {}

// codeOf is the code that all SDKs have for an error.
func codeOf(err error) string {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return string(refused.Code)
	}
	for is, code := range map[error]string{
		client.ErrTakenOver: "taken_over", client.ErrClosed: "closed", client.ErrLegacy: "legacy_refused", client.ErrStalled: "stalled",
		client.ErrCorrupt: "corrupt", client.ErrLost: "lost", client.ErrSilent: "no_answer", client.ErrQueueFull: "queue_full",
		client.ErrDuplicate: "duplicate", client.ErrSubscribed: "subscribed", client.ErrSource: "source_changed",
		e2ee.ErrReplay: "replayed", e2ee.ErrAuthentication: "authentication", e2ee.ErrMalformed: "malformed",
	} {
		if errors.Is(err, is) {
			return code
		}
	}
	var unknown *e2ee.UnknownKeyError
	var message *client.MessageError
	var lost *client.ConnectionError
	var closed *client.CloseError
	switch {
	case errors.As(err, &unknown):
		return "unknown_key"
	case errors.As(err, &message):
		return "handler_failed"
	case errors.As(err, &lost), errors.As(err, &closed):
		return "disconnected"
	}
	return "internal"
}
