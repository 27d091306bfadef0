package session

import (
	"bytes"
	"reflect"
	"testing"
)

// encode writes a frame that was read.
func (m *linkMsg) encode() []byte {
	layout := linkLayouts[m.kind]
	return append(appendLink(nil, m.kind, m.n[:layout.numbers], m.t[:layout.texts]...), m.body...)
}

func everyLinkFrame() (list [][]byte) {
	for kind := linkVisit; kind < linkKinds; kind++ {
		m := linkMsg{kind: kind, n: [7]uint64{1, 1 << 53, 2, 3, 0, 300, 5}, t: [4][]byte{[]byte("one"), nil, bytes.Repeat([]byte("x"), 200), {0}}}
		if linkLayouts[kind].body {
			m.body = []byte("body")
		}
		list = append(list, m.encode())
	}
	return list
}

func TestLinkFrame_BothWays(t *testing.T) {
	for _, b := range everyLinkFrame() {
		var m linkMsg
		if err := m.parse(b); err != nil || !bytes.Equal(m.encode(), b) {
			t.Errorf("kind %d: %x was read as %x (%v)", b[0], b, m.encode(), err)
		}
	}
}

func TestLinkFrame_LetsANewersBe(t *testing.T) {
	for _, b := range everyLinkFrame() {
		var plain, more linkMsg
		if plain.parse(b) != nil || more.parse(append(b, 0xff, 0xff)) != nil || !linkLayouts[b[0]].body && !reflect.DeepEqual(plain, more) {
			t.Errorf("kind %d with two bytes more is not the same", b[0])
		}
	}
	var m linkMsg
	if err := m.parse([]byte{byte(linkKinds), 1, 2}); err != nil {
		t.Errorf("a kind of a newer node: %v", err)
	}
}

func TestLinkFrame_RefusesWhatIsCutShort(t *testing.T) {
	for _, b := range everyLinkFrame() {
		if linkLayouts[b[0]].body {
			b = b[:len(b)-len("body")]
		}
		for n := range len(b) {
			var m linkMsg
			if err := m.parse(b[:n]); err == nil && n < len(b) {
				t.Errorf("kind %d: %d bytes of %d are taken", b[0], n, len(b))
			}
		}
	}
	var m linkMsg
	if err := m.parse([]byte{byte(linkTook), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}); err == nil {
		t.Errorf("a number over 2^53 is taken: %d", m.n[0])
	}
}

func FuzzLinkFrame(f *testing.F) {
	for _, b := range everyLinkFrame() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m linkMsg
		if m.parse(b) != nil || m.kind == 0 || m.kind >= linkKinds {
			return
		}
		var again linkMsg
		if err := again.parse(m.encode()); err != nil {
			t.Fatalf("%x: what was read cannot be: %v", b, err)
		}
		if !reflect.DeepEqual(m.n, again.n) || !bytes.Equal(m.body, again.body) {
			t.Fatalf("%x: read as %+v, then as %+v", b, m, again)
		}
	})
}
