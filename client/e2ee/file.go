package e2ee

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
)

// Meta describes a file to its receivers; suite 2 seals it, so that the server sees no name.
type Meta struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`             // bytes
	Type   string `json:"type,omitempty"`   // media type
	SHA256 string `json:"sha256,omitempty"` // of the plaintext, lower-case hex; empty where the sender could not know it
}

// maxMeta is what the wire takes as metadata (protocol.MaxSealed): names are at most a few hundred bytes.
const maxMeta = 8 << 10

var metaNonce = bytes.Repeat([]byte{0xff}, 12)

// FileCipher seals and opens the chunks of one file. A chunk's nonce is its index, so a fileId and an index must never
// be sealed again with other content: a sender that goes back sends the same bytes again. It is safe for concurrent use.
type FileCipher struct {
	aead   cipher.AEAD // suite 2
	legacy Key         // suite 1
	rand   io.Reader   // suite 1
}

// FileCipher is the newest key's cipher of suite 2 for a file. The fileId is a UUID in its 36 characters.
func (r *KeyRing) FileCipher(fileID string) (*FileCipher, error) {
	id, err := parseUUID(fileID)
	if err != nil {
		return nil, err
	}
	return r.fileCipher(r.keys[0], id), nil
}

// LegacyFileCipher is suite 1's, the same for every file: it binds a chunk neither to its file nor to its place.
func (r *KeyRing) LegacyFileCipher() *FileCipher {
	return &FileCipher{legacy: r.keys[0].Key, rand: r.rand}
}

// OpenMeta opens a file's sealed metadata with whichever key of the ring it was sealed with, and returns the cipher for
// the chunks.
func (r *KeyRing) OpenMeta(fileID, sealed string) (*FileCipher, Meta, error) {
	id, err := parseUUID(fileID)
	if err != nil {
		return nil, Meta{}, err
	}
	if len(sealed) > maxMeta {
		return nil, Meta{}, ErrMalformed
	}
	raw, err := decode(base64.RawURLEncoding, sealed)
	if err != nil || len(raw) < tagSize {
		return nil, Meta{}, ErrMalformed
	}
	for _, k := range r.keys {
		c := r.fileCipher(k, id)
		text, err := c.aead.Open(nil, metaNonce, raw, nil)
		if err != nil {
			continue
		}
		var m Meta
		if err := json.Unmarshal(text, &m); err != nil || m.Size < 0 {
			return nil, Meta{}, ErrMalformed
		}
		return c, m, nil
	}
	return nil, Meta{}, ErrAuthentication
}

// SealMeta is m as the "meta" of init_file. Once a file: sealed again, it must be of the same content. Suite 1 has
// none and returns "".
func (c *FileCipher) SealMeta(m Meta) (string, error) {
	if c.aead == nil {
		return "", nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return "", err
	}
	sealed := base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, metaNonce, bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil))
	if len(sealed) > maxMeta {
		return "", errors.New("e2ee: a file's name and type are too long")
	}
	return sealed, nil
}

// Overhead is what sealing adds to a chunk, at most.
func (c *FileCipher) Overhead() int {
	if c.aead == nil {
		return 2 * aes.BlockSize
	}
	return tagSize
}

// Seal appends the payload of chunk index to dst. last marks the file's last chunk, so that a cut file does not open.
func (c *FileCipher) Seal(dst []byte, index uint32, last bool, plaintext []byte) ([]byte, error) {
	if c.aead == nil {
		return sealCBC(c.rand, c.legacy, dst, plaintext)
	}
	return c.aead.Seal(dst, chunkNonce(index, last), plaintext, nil), nil
}

// Open appends the plaintext of a chunk's payload to dst. It is ErrAuthentication for another file's chunk, another
// index or a wrong last.
func (c *FileCipher) Open(dst []byte, index uint32, last bool, payload []byte) ([]byte, error) {
	if c.aead == nil {
		n := len(payload) - aes.BlockSize
		if n <= 0 || n%aes.BlockSize != 0 {
			return nil, ErrMalformed
		}
		out, ok := openCBC(c.legacy, dst, payload[:aes.BlockSize], payload[aes.BlockSize:])
		if !ok {
			return nil, ErrAuthentication
		}
		return out, nil
	}
	if len(payload) < tagSize {
		return nil, ErrMalformed
	}
	out, err := c.aead.Open(dst, chunkNonce(index, last), payload, nil)
	if err != nil {
		return nil, ErrAuthentication
	}
	return out, nil
}

func (r *KeyRing) fileCipher(k ringKey, id [16]byte) *FileCipher {
	return &FileCipher{aead: newGCM(k.derive(id[:], "fastport/2/file/"+r.session, KeySize))}
}

// chunkNonce is the index in 11 bytes and the last flag in one; metaNonce ends in neither 0 nor 1.
func chunkNonce(index uint32, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint32(n[7:11], index)
	if last {
		n[11] = 1
	}
	return n
}

func parseUUID(s string) (id [16]byte, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, ErrMalformed
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return id, ErrMalformed
	}
	return id, nil
}
