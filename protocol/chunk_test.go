package protocol

import (
	"bytes"
	"strings"
	"testing"
)

func TestChunk_BothWays(t *testing.T) {
	for _, c := range []Chunk{
		{[]byte(someFile), 0, []byte{}},
		{[]byte(strings.ToUpper(someFile)), 0x01020304, []byte("sealed")},
		{[]byte(someFile), 1<<32 - 1, bytes.Repeat([]byte{0xff}, ChunkSize)},
	} {
		b := AppendChunk(nil, c)
		if len(b) != ChunkHeader+len(c.Payload) || b[0] != 0x02 {
			t.Errorf("%d bytes of kind %d", len(b), b[0])
		}
		got, err := ParseChunk(b)
		if err != nil || !bytes.Equal(got.FileID, c.FileID) || got.Index != c.Index || !bytes.Equal(got.Payload, c.Payload) {
			t.Errorf("read %.60v (%v), want %.60v", got, err, c)
		}
	}
	if b := AppendChunk(nil, Chunk{FileID: []byte(someFile), Index: 0x01020304}); !bytes.Equal(b[37:], []byte{1, 2, 3, 4}) {
		t.Errorf("index is written %x, want big-endian", b[37:])
	}
}

func TestParseChunk_Refuses(t *testing.T) {
	good := AppendChunk(nil, Chunk{FileID: []byte(someFile), Index: 1, Payload: []byte("x")})
	for name, b := range map[string][]byte{
		"nothing":      nil,
		"another kind": append([]byte{1}, good[1:]...),
		"kind alone":   good[:1],
		"half an id":   good[:20],
		"no index":     good[:40],
		"a braced id":  bytes.Replace(good, []byte("-d9cb-"), []byte("-d9cb}"), 1),
		"a bad digit":  bytes.Replace(good, []byte("-d9cb-"), []byte("-d9cg-"), 1),
	} {
		if _, err := ParseChunk(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestValidSessionName_TakesWhatHTTPBasicTakes(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "my_session": true, "A.b-c@d_9": true, strings.Repeat("x", 128): true,
		"": false, ".a": false, "a:b": false, "a b": false, "a/b": false, "é": false, strings.Repeat("x", 129): false, "a\n": false,
	} {
		if ValidSessionName(name) != want {
			t.Errorf("ValidSessionName(%q) = %v", name, !want)
		}
	}
}

func TestValidTopic_TakesTextWithoutControls(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "chat/general": true, "日本 語": true, "a$": true, strings.Repeat("é", 127): true,
		"": false, "$a": false, "a\x00": false, "a\x7f": false, "a\u009f": false, "\xff": false, strings.Repeat("é", 128): false,
	} {
		if ValidTopic([]byte(name)) != want {
			t.Errorf("ValidTopic(%q) = %v", name, !want)
		}
	}
}
