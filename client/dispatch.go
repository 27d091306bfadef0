package client

import (
	"time"

	"github.com/fastport/fastport/protocol"
)

// dispatch hands on one frame. It must not block: the reader calls it.
func (c *Client) dispatch(k *conn, f *protocol.ServerFrame) {
	switch f.Type {
	case protocol.TypeMessage:
		if !k.holds(f) {
			c.subs.deliver(f)
		}
	case protocol.TypeAckReceived:
		c.outbox.acked(f.Topic, f.MessageID)
	case protocol.TypePublishResponse:
		if !f.Success {
			c.outbox.refused(f)
		}
	case protocol.TypeSubscribeResponse, protocol.TypeUnsubscribeResponse, protocol.TypeFCMTokenResponse,
		protocol.TypeFCMUnregisterResponse, protocol.TypeRegisteredDevicesResponse:
		if c.current() == k && c.requests.answer(f) { // what a connection before it answers is asked again
			k.settle()
		}
	case protocol.TypePong:
		c.clock.set(f.ServerTime)
	case protocol.TypeInitFile:
		c.receiving.begin(k, f)
	case protocol.TypeEndFile:
		c.receiving.finish(k, f)
	case protocol.TypeCancelFile:
		c.receiving.cancelled(k, f, protocol.Errorf(protocol.NotFound, "the sender cancelled the file"))
	case protocol.TypeFileProgress:
		c.sending.progress(k, f)
	case protocol.TypeFileError:
		c.fileError(k, f)
	case protocol.TypeReconnect:
		time.AfterFunc(time.Duration(f.AfterMs)*time.Millisecond, k.askToMove)
	case protocol.TypeError:
		c.refused(k, f)
	}
}

func (c *Client) fileError(k *conn, f *protocol.ServerFrame) {
	err := &protocol.Error{Code: f.Code, Text: f.Text}
	if !c.sending.refused(k, f, err) {
		c.receiving.cancelled(k, f, err)
	}
}

// refused takes an error frame: whatever it is about has failed.
func (c *Client) refused(k *conn, f *protocol.ServerFrame) {
	switch {
	case f.FileID != nil:
		c.fileError(k, f)
	case f.MessageID != nil:
		c.outbox.refused(f)
	case f.Topic != nil && c.requests.refused(f):
	default:
		c.fault(&protocol.Error{Code: f.Code, Text: f.Text})
	}
}

// askToMove lets the client make a new connection in this one's place.
func (k *conn) askToMove() {
	select {
	case k.move <- struct{}{}:
	default:
	}
}
