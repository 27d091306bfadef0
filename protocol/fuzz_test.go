package protocol

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func FuzzClientFrame(f *testing.F) {
	for _, c := range clientCases {
		f.Add([]byte(c.text))
	}
	f.Add([]byte(`{"type":"publish","data":"\ud83d\ude00","messageId":"m","topic":"t","timestamp":1.7e12,"x":[{"y":null}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two ClientFrame
		if one.Parse(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("took what is no JSON: %q", b)
		}
		text := one.Append(nil)
		if err := two.Parse(text); err != nil {
			t.Fatalf("%q became %q: %v", b, text, err)
		}
		if again := two.Append(nil); !bytes.Equal(again, text) {
			t.Fatalf("%q became %q and then %q", b, text, again)
		}
		if a, b := one.Validate(), two.Validate(); (a == nil) != (b == nil) {
			t.Fatalf("Validate: %v, then %v", a, b)
		}
		// What we read is what encoding/json reads.
		var ref struct {
			Topic, MessageID, Data *string
			Timestamp              *int64
		}
		if json.Unmarshal(b, &ref) != nil {
			return // a field that the type does not use, or 1e3
		}
		for name, v := range map[string]struct {
			ref  *string
			have []byte
		}{"topic": {ref.Topic, one.Topic}, "messageId": {ref.MessageID, one.MessageID}, "data": {ref.Data, one.Data}} {
			if (v.ref == nil) != (v.have == nil) || v.ref != nil && *v.ref != string(v.have) {
				t.Fatalf("%s = %q, encoding/json has %v", name, v.have, v.ref)
			}
		}
		if (ref.Timestamp != nil) != one.HasTimestamp || one.HasTimestamp && *ref.Timestamp != one.Timestamp {
			t.Fatalf("timestamp = %d, encoding/json has %v", one.Timestamp, ref.Timestamp)
		}
	})
}

func FuzzServerFrame(f *testing.F) {
	for _, c := range serverCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two ServerFrame
		if one.Parse(b) != nil || one.Type == TypeUnknown {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("took what is no JSON: %q", b)
		}
		text := one.Append(nil)
		if err := two.Parse(text); err != nil {
			t.Fatalf("%q became %q: %v", b, text, err)
		}
		if again := two.Append(nil); !bytes.Equal(again, text) {
			t.Fatalf("%q became %q and then %q", b, text, again)
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add(AppendChunk(nil, Chunk{FileID: []byte(someFile), Index: 7, Payload: []byte("sealed")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChunk(b)
		if err != nil {
			return
		}
		if got := AppendChunk(nil, c); !bytes.Equal(got, b) {
			t.Fatalf("%x became %x", b, got)
		}
	})
}

func FuzzCheckJSON(f *testing.F) {
	for _, c := range jsonCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckJSON(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("took what is no JSON: %q", b)
		}
		// No key of what we took may be lost in decoding: as many keys out as in.
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return // numbers that no float64 holds
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var w any
		if err := CheckJSON(text); err != nil {
			t.Fatalf("%q became %q: %v", b, text, err)
		}
		if err := json.Unmarshal(text, &w); err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%q became %q (%v)", b, text, err)
		}
	})
}
