package redis

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/fastport/fastport/backplane"
)

// readAny decodes a message of any kind, as a node does.
func readAny(b []byte) (any, error) {
	kind, f, err := open(b)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindCopy:
		var c backplane.Copy
		_, err = f.decodeCopy(&c)
		return c, err
	case kindNote:
		var n backplane.Note
		err = f.decodeNote(&n)
		return n, err
	case kindHeads:
		var h backplane.Heads
		err = f.decodeHeads(&h)
		return h, err
	case kindCommand:
		var c backplane.Command
		_, err = f.decodeCommand(&c)
		return c, err
	}
	return f.decodeCanary()
}

func text(t *rapid.T, name string) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, name)) }

func TestEncoding_CarriesEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		issued := rapid.Int64().Draw(t, "issued")
		sent := backplane.Copy{
			MessageID: text(t, "id"), Data: []byte(text(t, "data")), Hash: text(t, "hash"), Timestamp: rapid.Int64().Draw(t, "timestamp"),
			QoS: rapid.Byte().Draw(t, "qos"), Retry: rapid.Bool().Draw(t, "retry"), Node: text(t, "node"),
			Conn: rapid.Uint64().Draw(t, "conn"), Origin: text(t, "origin"),
		}
		b := append(appendCopy(nil, &sent, issued), sent.Data...)
		kind, f, err := open(b)
		if err != nil || kind != kindCopy {
			t.Fatalf("open = %d, %v", kind, err)
		}
		var got backplane.Copy
		when, err := f.decodeCopy(&got)
		if err != nil || when != issued {
			t.Fatalf("issued = %d, %v, want %d", when, err, issued)
		}
		if !bytes.Equal(got.Data, sent.Data) {
			t.Fatalf("data = %q, want %q", got.Data, sent.Data)
		}
		got.Data, sent.Data = nil, nil
		same(t, got, sent)

		note := backplane.Note{MessageID: text(t, "id"), Seq: rapid.Uint64().Draw(t, "seq"), Failed: rapid.Bool().Draw(t, "failed"),
			Origin: text(t, "origin"), Epoch: text(t, "epoch")}
		same(t, must(readAny(appendNote(nil, &note))), note)
		head := backplane.Heads{Seq: rapid.Uint64().Draw(t, "seq"), Epoch: text(t, "epoch")}
		same(t, must(readAny(appendHeads(nil, &head))), head)
		order := backplane.Command{Kind: backplane.CommandKind(rapid.Byte().Draw(t, "kind")), Session: text(t, "session"), Name: text(t, "name"),
			Subscriber: text(t, "subscriber"), Node: text(t, "node"), Token: rapid.Uint64().Draw(t, "token")}
		same(t, must(readAny(appendOrder(nil, &order, "sender"))), order)
		number := rapid.Uint64().Draw(t, "number")
		same(t, must(readAny(appendCanary(nil, number))), number)
	})
}

func same(t *rapid.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func must(v any, err error) any {
	if err != nil {
		return err
	}
	return v
}

func TestEncoding_ReadsPastWhatANewerNodeAdds(t *testing.T) {
	note := backplane.Note{MessageID: "m", Seq: 7, Epoch: "e"}
	b := appendNote(nil, &note)
	newer := append([]byte{version, kindNote, 200, 3, 'n', 'e', 'w'}, b[2:]...)
	newer = append(newer, 255, 0)
	if got := must(readAny(newer)); got != note {
		t.Errorf("got %+v, want %+v", got, note)
	}
	for name, b := range map[string][]byte{
		"another version": {version + 1, kindNote, 1, 1, 'm'}, "another kind": {version, kindCanary + 1, 1, 1, 'm'}, "kind 0": {version, 0},
	} {
		if _, err := readAny(b); !errors.Is(err, errForeign) {
			t.Errorf("%s: %v, want errForeign", name, err)
		}
	}
}

// The wire between versions may not change by accident: these bytes are what version 1 is.
func TestEncoding_IsWhatVersion1Says(t *testing.T) {
	c := backplane.Copy{MessageID: "m", Hash: "h", Timestamp: -1, QoS: 1, Retry: true, Node: "n", Conn: 300, Origin: "o", Data: []byte("d")}
	got := append(appendCopy(nil, &c, 2), c.Data...)
	want := []byte("\x01\x01" + "\x01\x01m" + "\x02\x01h" + "\x03\x01\x01" + "\x04\x01\x01" + "\x05\x01\x01" + "\x06\x01n" +
		"\x07\x02\xac\x02" + "\x08\x01o" + "\x09\x01\x04" + "\x0a\x01d")
	if !bytes.Equal(got, want) {
		t.Errorf("copy = %q, want %q", got, want)
	}
	got = appendNote(nil, &backplane.Note{MessageID: "m", Seq: 5, Failed: true, Origin: "o", Epoch: "e"})
	if want := []byte("\x01\x02" + "\x01\x01m" + "\x02\x01\x05" + "\x05\x01\x02" + "\x08\x01o" + "\x0b\x01e"); !bytes.Equal(got, want) {
		t.Errorf("note = %q, want %q", got, want)
	}
	got = appendOrder(nil, &backplane.Command{Kind: 4, Session: "s", Name: "n", Subscriber: "c", Node: "a", Token: 9}, "z")
	if want := []byte("\x01\x04" + "\x04\x01\x04" + "\x06\x01a" + "\x08\x01c" + "\x0c\x01s" + "\x0d\x01n" + "\x0e\x01\x09" + "\x0f\x01z"); !bytes.Equal(got, want) {
		t.Errorf("command = %q, want %q", got, want)
	}
}

func FuzzEncoding_NothingBreaksAReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(appendCopy(nil, &backplane.Copy{MessageID: "m", Data: []byte("d")}, 1), 'd'))
	f.Add(appendNote(nil, &backplane.Note{MessageID: "m", Seq: 1 << 63}))
	f.Add(appendHeads(nil, &backplane.Heads{Seq: 1, Epoch: "e"}))
	f.Add(appendOrder(nil, &backplane.Command{Kind: 1, Name: "n"}, "s"))
	f.Add([]byte{1, 1, 10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := readAny(b)
		if err != nil {
			return
		}
		// What was read is written and read again as the same.
		var again []byte
		switch v := first.(type) {
		case backplane.Copy:
			again = append(appendCopy(nil, &v, 0), v.Data...)
		case backplane.Note:
			again = appendNote(nil, &v)
		case backplane.Heads:
			again = appendHeads(nil, &v)
		case backplane.Command:
			again = appendOrder(nil, &v, "")
		case uint64:
			again = appendCanary(nil, v)
		}
		second, err := readAny(again)
		if c, ok := second.(backplane.Copy); ok && len(c.Data) == 0 { // nil or empty
			c.Data = first.(backplane.Copy).Data
			second = c
		}
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v became %+v, %v", first, second, err)
		}
	})
}
