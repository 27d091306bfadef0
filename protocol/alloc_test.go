package protocol

import "testing"

const (
	plainPublish = `{"type":"publish","topic":"chat/general","data":"2.c2VhbGVkIGFuZCBlbmNvZGVk","hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","timestamp":1760000000000,"messageId":"6f1c0a52-7a4e-4a2e-9e0e-0d9a7f6b2c11"}`
	plainAck     = `{"type":"ack","messageIds":["a1","a2","a3"],"topic":"chat/general"}`
)

func TestParse_HotFramesDoNotAllocate(t *testing.T) {
	for _, text := range []string{plainPublish, plainAck, `{"type":"ack","messageId":"m","topic":"t"}`} {
		var f ClientFrame
		b := []byte(text)
		got := testing.AllocsPerRun(100, func() {
			if f.Parse(b) != nil || f.Validate() != nil {
				panic("refused")
			}
		})
		if got != 0 {
			t.Errorf("%v allocations for %s, want 0", got, text)
		}
	}
}

func TestParse_EscapesReuseTheFramesScratch(t *testing.T) {
	var f ClientFrame
	b := []byte(`{"type":"publish","topic":"a\/b","data":"line\nline","messageId":"\u00e9"}`)
	if got := testing.AllocsPerRun(100, func() { _ = f.Parse(b) }); got != 0 {
		t.Errorf("%v allocations, want 0 after the first", got)
	}
}

func TestAppendMessage_DoesNotAllocate(t *testing.T) {
	m := &Message{Topic: "chat/general", MessageID: "id", Data: []byte("2.c2VhbGVk"), Timestamp: 1, QoS: 1, Retry: 3, Seq: 9}
	buf := make([]byte, 0, 1024)
	if got := testing.AllocsPerRun(100, func() {
		_ = AppendMessage(buf, m)
		_ = AppendAckReceived(buf, m.MessageID, m.Topic, m.Seq)
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkParsePublish(b *testing.B) {
	var f ClientFrame
	text := []byte(plainPublish)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Parse(text)
		_ = f.Validate()
	}
}

func BenchmarkParseAck(b *testing.B) {
	var f ClientFrame
	text := []byte(`{"type":"ack","messageId":"6f1c0a52-7a4e-4a2e-9e0e-0d9a7f6b2c11","topic":"chat/general"}`)
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Parse(text)
		_ = f.Validate()
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			data := make([]byte, size)
			for i := range data {
				data[i] = 'a'
			}
			m := &Message{Topic: "chat/general", MessageID: "6f1c0a52-7a4e-4a2e-9e0e-0d9a7f6b2c11", Data: data, Timestamp: 1760000000000, QoS: 1, Seq: 12345}
			buf := make([]byte, 0, MessageSize(m))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_ = AppendMessage(buf, m)
			}
		})
	}
}
