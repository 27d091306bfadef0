// Command gen writes the test vectors of the end-to-end encryption (docs/protocol.md 5 and 6) that every SDK's tests
// read: fixed inputs, and outputs computed here from the document alone, with nothing but the standard library. It
// shares no code with client/e2ee on purpose: two independent readings of the document have to agree.
//
//	go run ./testdata/gen > testdata/vectors.json
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
)

type vectors struct {
	About   []string  `json:"about"`
	Suite1  suite1    `json:"suite1"`
	Suite2  suite2    `json:"suite2"`
	FCM     []fcm     `json:"fcm"`
	Weak    []string  `json:"weakKeys"`
	Session []session `json:"sessions"`
}

// session is what follows from a key and a session's name alone.
type session struct {
	Key      string `json:"key"`
	Session  string `json:"session"`
	KID      string `json:"kid"`
	KeyCheck string `json:"keyCheck"`
	FCMKey   string `json:"fcmKey"`
}

type suite1 struct {
	Messages []message1 `json:"messages"`
	Chunks   []chunk1   `json:"chunks"`
	Refused  []refused1 `json:"refused"`
}

type message1 struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	IV        string `json:"iv"`
	Plaintext string `json:"plaintext"`
	Data      string `json:"data"`
	Hash      string `json:"hash"`
}

type chunk1 struct {
	Key       string `json:"key"`
	IV        string `json:"iv"`
	Plaintext string `json:"plaintext"`
	Payload   string `json:"payload"`
}

type refused1 struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Data  string `json:"data"`
	Error string `json:"error"`
}

type suite2 struct {
	Messages []message2 `json:"messages"`
	Refused  []refused2 `json:"refused"`
	Files    []file2    `json:"files"`
}

type message2 struct {
	Name       string `json:"name"`
	Key        string `json:"key"`
	Session    string `json:"session"`
	Topic      string `json:"topic"`
	MessageID  string `json:"messageId"`
	Timestamp  int64  `json:"timestamp"`
	Sender     string `json:"sender"`
	Counter    uint64 `json:"counter"`
	MessageKey string `json:"messageKey"`
	Nonce      string `json:"nonce"`
	AAD        string `json:"aad"`
	Plaintext  string `json:"plaintext"`
	Data       string `json:"data"`
	Hash       string `json:"hash"`
}

type refused2 struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Session   string `json:"session"`
	Topic     string `json:"topic"`
	MessageID string `json:"messageId"`
	Timestamp int64  `json:"timestamp"`
	Data      string `json:"data"`
	Error     string `json:"error"`
}

type file2 struct {
	Key      string   `json:"key"`
	Session  string   `json:"session"`
	FileID   string   `json:"fileId"`
	FileKey  string   `json:"fileKey"`
	MetaJSON string   `json:"metaJson"`
	Meta     string   `json:"meta"`
	Chunks   []chunk2 `json:"chunks"`
}

type chunk2 struct {
	Index     uint32 `json:"index"`
	Last      bool   `json:"last"`
	Nonce     string `json:"nonce"`
	Plaintext string `json:"plaintext"`
	Payload   string `json:"payload"`
	Frame     string `json:"frame"`
}

type fcm struct {
	Key           string `json:"key"`
	Session       string `json:"session"`
	UserID        string `json:"userId"`
	Nonce         string `json:"nonce"`
	Plaintext     string `json:"plaintext"`
	EncryptedData string `json:"encryptedData"`
	Hash          string `json:"hash"`
}

func main() {
	k1 := digest("key one")
	k2 := digest("key two")
	v := vectors{
		About: []string{
			"Test vectors of the end-to-end encryption, docs/protocol.md 5 and 6. Made by testdata/gen; do not edit.",
			"key, fcmKey and weakKeys are standard base64 as in aesKey; data, meta and encryptedData are as on the wire; every other byte string is lower-case hex.",
			"error is malformed, unknown_key or authentication. A reader must refuse each entry of refused, in just that way.",
		},
		Weak: weakKeys(),
	}
	for _, k := range [][]byte{k1, k2} {
		for _, name := range []string{"home", "my_chat.room-7@x"} {
			v.Session = append(v.Session, session{
				Key: b64(k), Session: name,
				KID:      hex.EncodeToString(derive(k, []byte(name), "fastport/2/kid", 4)),
				KeyCheck: hex.EncodeToString(derive(k, []byte(name), "fastport/2/keycheck", 16)),
				FCMKey:   b64(derive(k, []byte(name), "fastport/2/fcm", 32)),
			})
		}
	}
	v.Suite1 = makeSuite1(k1)
	v.Suite2 = makeSuite2(k1, k2)
	v.FCM = []fcm{makeFCM(k1, "home", "alice@example.com"), makeFCM(k2, "my_chat.room-7@x", "böb")}

	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		log.Fatal(err)
	}
}

func makeSuite1(k []byte) suite1 {
	var s suite1
	for i, m := range []struct{ name, text string }{
		{"short", "Hello, World!"},
		{"empty", ""},
		{"one whole block", "sixteen bytes ok"},
		{"unicode", "24,5 °C – küche ☕"},
	} {
		iv := digest(fmt.Sprint("iv ", i))[:16]
		data := b64(iv) + ":" + b64(cbc(k, iv, []byte(m.text)))
		s.Messages = append(s.Messages, message1{
			Name: m.name, Key: b64(k), IV: hex.EncodeToString(iv),
			Plaintext: hex.EncodeToString([]byte(m.text)), Data: data, Hash: hash(data),
		})
	}
	for i, n := range []int{0, 1, 100} {
		iv, text := digest(fmt.Sprint("chunk iv ", i))[:16], stream("chunk", n)
		s.Chunks = append(s.Chunks, chunk1{
			Key: b64(k), IV: hex.EncodeToString(iv), Plaintext: hex.EncodeToString(text),
			Payload: hex.EncodeToString(append(bytes.Clone(iv), cbc(k, iv, text)...)),
		})
	}
	iv := digest("bad iv")[:16]
	bad := func(name, data, why string) {
		s.Refused = append(s.Refused, refused1{Name: name, Key: b64(k), Data: data, Error: why})
	}
	bad("no colon", b64(iv), "malformed")
	bad("empty", "", "malformed")
	bad("IV of 15 bytes", b64(iv[:15])+":"+b64(cbc(k, iv, []byte("x"))), "malformed")
	bad("no ciphertext", b64(iv)+":", "malformed")
	bad("half a block", b64(iv)+":"+b64(iv[:8]), "malformed")
	bad("not base64", b64(iv)+":????", "malformed")
	bad("padding of 0", b64(iv)+":"+b64(rawCBC(k, iv, make([]byte, 16))), "authentication")
	bad("padding of 17", b64(iv)+":"+b64(rawCBC(k, iv, bytes.Repeat([]byte{17}, 32))), "authentication")
	uneven := bytes.Repeat([]byte{4}, 16)
	uneven[13] = 3
	bad("uneven padding", b64(iv)+":"+b64(rawCBC(k, iv, uneven)), "authentication")
	return s
}

func makeSuite2(k1, k2 []byte) suite2 {
	var s suite2
	add := func(name string, k []byte, session, topic, id string, ts int64, counter uint64, text string) message2 {
		m := seal(name, k, session, topic, id, ts, digest("sender " + name)[:16], counter, []byte(text))
		s.Messages = append(s.Messages, m)
		return m
	}
	first := add("first of a sender", k1, "home", "sensors/temp", "7f0c3b52-1f0f-4b3e-9a35-0d8f2f6a8c11", 1735689600000, 0, "24.5C")
	add("empty plaintext", k1, "home", "t", "m-1", 1, 1, "")
	add("unicode topic", k1, "my_chat.room-7@x", "küche/☕", "ünï", 1735689600001, 258, "{\"on\":true}")
	add("last counter of a sender", k2, "home", "sensors/temp", "m-2", 1735689600002, 1<<31-1, "bye")
	add("counter beyond 32 bits", k2, "home", "a", "b", 0, 1<<40+7, "any 8-byte counter opens")
	add("longer than a block", k1, "home", "a/b/c", "m-3", 9007199254740991, 3, strings.Repeat("0123456789abcdef", 20))

	bad := func(name, why string, change func(m *message2)) {
		m := first
		change(&m)
		s.Refused = append(s.Refused, refused2{
			Name: name, Key: m.Key, Session: m.Session, Topic: m.Topic, MessageID: m.MessageID,
			Timestamp: m.Timestamp, Data: m.Data, Error: why,
		})
	}
	flip := func(i int) func(*message2) {
		return func(m *message2) {
			raw, err := base64.RawURLEncoding.DecodeString(m.Data[2:])
			if err != nil {
				log.Fatal(err)
			}
			if i < 0 {
				i += len(raw)
			}
			raw[i] ^= 1
			m.Data = "2." + base64.RawURLEncoding.EncodeToString(raw)
		}
	}
	bad("another topic", "authentication", func(m *message2) { m.Topic = "sensors/tem" })
	bad("another messageId", "authentication", func(m *message2) { m.MessageID = "m-9" })
	bad("another timestamp", "authentication", func(m *message2) { m.Timestamp++ })
	bad("a flipped bit in the kid", "unknown_key", flip(0))
	bad("a flipped bit in the sender", "authentication", flip(4))
	bad("a flipped bit in the counter", "authentication", flip(27))
	bad("a flipped bit in the ciphertext", "authentication", flip(28))
	bad("a flipped bit in the tag", "authentication", flip(-1))
	bad("a key that is not held", "unknown_key", func(m *message2) { m.Key = b64(k2) })
	bad("cut below kid, sender, counter and tag", "malformed", func(m *message2) { m.Data = m.Data[:2+57] })
	bad("standard alphabet", "malformed", func(m *message2) { m.Data = "2." + strings.Repeat("+/", 40) })
	bad("padded", "malformed", func(m *message2) { m.Data += "=" })
	bad("a line break inside", "malformed", func(m *message2) { m.Data = m.Data[:10] + "\n" + m.Data[10:] })
	bad("prefix alone", "malformed", func(m *message2) { m.Data = "2." })

	s.Files = []file2{
		makeFile(k1, "home", "0b9f3c7e-58a4-4d0c-8f2b-6a1d9e7c5b30", "report final.pdf", "application/pdf", []int{100, 100, 7}),
		makeFile(k2, "home", "ffffffff-0000-4000-8000-000000000001", "one chunk ☕.txt", "", []int{5}),
		makeFile(k2, "my_chat.room-7@x", "00000000-0000-4000-8000-0000000000aa", "empty", "", nil),
	}
	return s
}

func seal(name string, k []byte, session, topic, id string, ts int64, sender []byte, counter uint64, text []byte) message2 {
	key := derive(k, sender, "fastport/2/message/"+session, 32)
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[4:], counter)
	var aad []byte
	for _, part := range []string{"fastport/2", session, topic, id, strconv.FormatInt(ts, 10)} {
		aad = binary.BigEndian.AppendUint32(aad, uint32(len(part)))
		aad = append(aad, part...)
	}
	raw := derive(k, []byte(session), "fastport/2/kid", 4)
	raw = append(raw, sender...)
	raw = binary.BigEndian.AppendUint64(raw, counter)
	raw = append(raw, gcm(key).Seal(nil, nonce, text, aad)...)
	data := "2." + base64.RawURLEncoding.EncodeToString(raw)
	return message2{
		Name: name, Key: b64(k), Session: session, Topic: topic, MessageID: id, Timestamp: ts,
		Sender: hex.EncodeToString(sender), Counter: counter, MessageKey: hex.EncodeToString(key),
		Nonce: hex.EncodeToString(nonce), AAD: hex.EncodeToString(aad), Plaintext: hex.EncodeToString(text),
		Data: data, Hash: hash(data),
	}
}

// makeFile seals a file of chunks of the given sizes. They are far below 64 KiB to keep the vectors small: what is
// shown is nonces and flags.
func makeFile(k []byte, session, id, name, typ string, sizes []int) file2 {
	salt, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil {
		log.Fatal(err)
	}
	key := derive(k, salt, "fastport/2/file/"+session, 32)
	f := file2{Key: b64(k), Session: session, FileID: id, FileKey: hex.EncodeToString(key)}
	var whole []byte
	for i, n := range sizes {
		text := stream(id+strconv.Itoa(i), n)
		whole = append(whole, text...)
		nonce := make([]byte, 12)
		binary.BigEndian.PutUint32(nonce[7:11], uint32(i))
		last := i == len(sizes)-1
		if last {
			nonce[11] = 1
		}
		payload := gcm(key).Seal(nil, nonce, text, nil)
		frame := append([]byte{2}, id...)
		frame = binary.BigEndian.AppendUint32(frame, uint32(i))
		frame = append(frame, payload...)
		f.Chunks = append(f.Chunks, chunk2{
			Index: uint32(i), Last: last, Nonce: hex.EncodeToString(nonce), Plaintext: hex.EncodeToString(text),
			Payload: hex.EncodeToString(payload), Frame: hex.EncodeToString(frame),
		})
	}
	sum := sha256.Sum256(whole)
	var meta strings.Builder
	fmt.Fprintf(&meta, `{"name":%q,"size":%d`, name, len(whole))
	if typ != "" {
		fmt.Fprintf(&meta, `,"type":%q`, typ)
	}
	fmt.Fprintf(&meta, `,"sha256":"%x"}`, sum)
	f.MetaJSON = meta.String()
	f.Meta = base64.RawURLEncoding.EncodeToString(gcm(key).Seal(nil, bytes.Repeat([]byte{0xff}, 12), []byte(f.MetaJSON), nil))
	return f
}

func makeFCM(k []byte, session, user string) fcm {
	key := derive(k, []byte(session), "fastport/2/fcm", 32)
	nonce := digest("fcm " + user)[:12]
	text := `{"fcmToken":"token-of-` + user + `","deviceId":"phone-1","platform":"android"}`
	data := b64(gcm(key).Seal(bytes.Clone(nonce), nonce, []byte(text), []byte(user)))
	return fcm{
		Key: b64(k), Session: session, UserID: user, Nonce: hex.EncodeToString(nonce), Plaintext: text,
		EncryptedData: data, Hash: hash(data),
	}
}

func weakKeys() []string {
	up, down, fromOne := make([]byte, 32), make([]byte, 32), make([]byte, 32)
	for i := range 32 {
		up[i], down[i], fromOne[i] = byte(i), byte(31-i), byte(i+1)
	}
	return []string{b64(make([]byte, 32)), b64(bytes.Repeat([]byte{0x61}, 32)), b64(up), b64(down), b64(fromOne)}
}

func derive(k, salt []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, k, salt, info, n)
	if err != nil {
		log.Fatal(err)
	}
	return out
}

func gcm(key []byte) cipher.AEAD {
	aead, err := cipher.NewGCM(block(key))
	if err != nil {
		log.Fatal(err)
	}
	return aead
}

func cbc(key, iv, text []byte) []byte {
	n := 16 - len(text)%16
	return rawCBC(key, iv, append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...))
}

func rawCBC(key, iv, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCBCEncrypter(block(key), iv).CryptBlocks(out, text)
	return out
}

func block(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func digest(s string) []byte { sum := sha256.Sum256([]byte("fastport vectors: " + s)); return sum[:] }

// stream is n bytes that look random and are always the same.
func stream(seed string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		out = append(out, digest(fmt.Sprint(seed, "/", i))...)
	}
	return out[:n]
}

func hash(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
