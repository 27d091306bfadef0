package session

import (
	"bytes"
	"context"

	"github.com/fastport/fastport/protocol"
)

var (
	errNotInitialized = protocol.Errorf(protocol.NotInitialized, "send init first")
	errInitialized    = protocol.Errorf(protocol.Conflict, "this connection has logged in already; open another one")
)

// Text takes one text frame. Hot frames (publish, ack, ping) are done with when it returns; cold ones, which ask the
// store or wait for the backplane, go on in the background while the connection's next frames wait.
func (c *Conn) Text(frame []byte) (wait bool) {
	f := c.node.frames.Get().(*protocol.ClientFrame)
	defer c.node.frames.Put(f)
	err := f.Parse(frame)
	if err == nil {
		if f.Type == protocol.TypeInit {
			dropEmpty(f)
		}
		err = f.Validate()
	}
	if f.Type == protocol.TypeUnknown {
		c.malformed(f, err)
		return false
	}
	c.bad = 0
	ready := c.ready.Load()
	switch {
	case f.Type == protocol.TypeInit && c.begun:
		c.answer(LaneControl, &protocol.ServerFrame{Type: protocol.TypeError, Code: errInitialized.Code, Text: errInitialized.Text})
	case f.Type == protocol.TypeInit && err != nil:
		c.begun = true
		c.fail(f, err)
	case f.Type != protocol.TypeInit && !ready:
		c.answer(LaneControl, &protocol.ServerFrame{Type: protocol.TypeError, Code: errNotInitialized.Code, Text: errNotInitialized.Text,
			Topic: f.Topic, MessageID: f.MessageID, FileID: f.FileID})
	case err != nil:
		c.refuse(f, err)
	default:
		return c.take(f)
	}
	return false
}

// take does what a frame of good form asks for.
func (c *Conn) take(f *protocol.ClientFrame) (wait bool) {
	switch f.Type {
	case protocol.TypePublish:
		c.publish(f)
		return false
	case protocol.TypeAck:
		c.ack(f)
		return false
	case protocol.TypePing:
		c.answer(LaneControl, &protocol.ServerFrame{Type: protocol.TypePong, ServerTime: c.node.storeNow().UnixMilli()})
		return false
	}
	c.startBatch() // the rest is done behind what was published before it
	switch f.Type {
	case protocol.TypeInit:
		c.begun = true
		l := initOf(f)
		if l.client == "" && l.user == "" {
			if row, ok := c.node.catalog.Remembered(l.session, l.password); ok {
				c.enter(c.node.background, row, l) // asks neither store nor backplane
				return false
			}
		}
		return c.cold(func(ctx context.Context) { c.login(ctx, l) })
	case protocol.TypeSubscribe:
		topic := string(f.Topic)
		if c.subscriber == nil {
			return c.join(topic)
		}
		return c.cold(func(ctx context.Context) { c.subscribe(ctx, topic) })
	case protocol.TypeUnsubscribe:
		topic := string(f.Topic)
		return c.cold(func(ctx context.Context) { c.unsubscribe(ctx, topic) })
	case protocol.TypeInitFile:
		return c.initFile(f)
	case protocol.TypeEndFile, protocol.TypeCancelFile, protocol.TypeFileAck, protocol.TypeFileResume:
		if err := c.node.files.text(c.filePeer(), f); err != nil {
			c.refuse(f, err)
		}
	case protocol.TypeRegisterFCMToken:
		d := deviceOf(f, false)
		return c.cold(func(ctx context.Context) { c.device(ctx, d) })
	case protocol.TypeUnregisterFCMToken:
		d := deviceOf(f, true)
		return c.cold(func(ctx context.Context) { c.device(ctx, d) })
	case protocol.TypeGetRegisteredDevices:
		user := string(f.UserID)
		return c.cold(func(ctx context.Context) { c.devices(ctx, user) })
	}
	return false
}

// initFile opens a file; in a cluster that asks other nodes.
func (c *Conn) initFile(f *protocol.ClientFrame) (wait bool) {
	files := c.node.files
	if files.fleet == nil {
		if err := files.text(c.filePeer(), f); err != nil {
			c.refuse(f, err)
		}
		return false
	}
	id, ok := parseFileID(f.FileID)
	if !ok {
		c.refuse(f, errFileID)
		return false
	}
	init := &protocol.ClientFrame{Type: f.Type, FileID: bytes.Clone(f.FileID), Topic: bytes.Clone(f.Topic), FileName: bytes.Clone(f.FileName),
		Meta: bytes.Clone(f.Meta), FileSize: f.FileSize, TotalChunks: f.TotalChunks, QoS: f.QoS}
	return c.cold(func(ctx context.Context) {
		if p := c.filePeer(); p != nil {
			files.open(ctx, p, id, init, false)
		}
	})
}

// Binary takes one binary frame: a chunk of a file.
func (c *Conn) Binary(frame []byte) (wait bool) {
	if !c.ready.Load() {
		c.answer(LaneControl, &protocol.ServerFrame{Type: protocol.TypeError, Code: errNotInitialized.Code, Text: errNotInitialized.Text})
		return false
	}
	wait, err := c.node.files.chunk(c.filePeer(), frame)
	if err != nil {
		c.malformed(&protocol.ClientFrame{}, err)
		return false
	}
	c.bad = 0
	return wait
}

// malformed answers a frame that is none, and closes the connection after too many of them in a row.
func (c *Conn) malformed(f *protocol.ClientFrame, err error) {
	c.node.figures.malformed.Add(1)
	c.refuse(f, err)
	if c.bad++; c.bad >= protocol.MaxBadFrames {
		c.stop(protocol.CloseProtocol, "too many bad frames in a row")
	}
}

// dropEmpty takes an empty clientId or userId for none, as clients that always send the field mean it.
func dropEmpty(f *protocol.ClientFrame) {
	if len(f.ClientID) == 0 {
		f.ClientID = nil
	}
	if len(f.UserID) == 0 {
		f.UserID = nil
	}
}

// filePeer is the connection as file transfers see it; nil once it has left everything, since nobody would tell them
// that it is gone.
func (c *Conn) filePeer() *filePeer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return nil
	}
	if c.file == nil {
		c.file = &filePeer{session: c.tenant.id, version: int(c.version), socket: c.socket, errors: c.node.figures.errors}
		if c.subscriber != nil {
			c.file.subscriber = c.subscriber.key
		}
	}
	return c.file
}

// receivers lists who gets the files of a topic: it is what openFiles asks for.
func (n *Node) receivers(session, topic string) []*filePeer {
	t := n.topicOf(session, topic)
	if t == nil {
		return nil
	}
	conns := t.receivers()
	list := make([]*filePeer, 0, len(conns))
	for _, c := range conns {
		if p := c.filePeer(); p != nil {
			list = append(list, p)
		}
	}
	return list
}
