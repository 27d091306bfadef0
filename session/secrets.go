package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MasterKeySize is the bytes of a master key.
const MasterKeySize = 32

// ErrSealed: what was sealed does not open. Its master key is gone, it was altered, or it belongs to another row.
var ErrSealed = errors.New("session: sealed value does not open")

const (
	keyIDSize = 4
	nonceSize = 12
)

// Sealer seals what the store keeps of secrets that must be used again: push credentials. A sealed value is
//
//	key id (4) ‖ nonce (12) ‖ AES-256-GCM ciphertext and tag
//
// with the row's identity as additional data, so that a value moved to another row or column does not open.
type Sealer struct {
	current keyID
	keys    map[keyID]cipher.AEAD
}

type keyID [keyIDSize]byte

// NewSealer seals under current and opens under both. previous may be nil.
func NewSealer(current, previous []byte) (*Sealer, error) {
	s := &Sealer{keys: map[keyID]cipher.AEAD{}}
	for _, key := range [][]byte{previous, current} {
		if len(key) == 0 && key == nil {
			continue
		}
		if len(key) != MasterKeySize {
			return nil, fmt.Errorf("session: master key has %d bytes, takes %d", len(key), MasterKeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("session: master key: %w", err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("session: master key: %w", err)
		}
		s.current = identify(key)
		s.keys[s.current] = aead
	}
	if current == nil {
		return nil, errors.New("session: no master key")
	}
	return s, nil
}

// identify names a key without telling anything of it.
func identify(key []byte) keyID {
	sum := sha256.Sum256(append([]byte("fastport/master-key-id\x00"), key...))
	return keyID(sum[:keyIDSize])
}

// Seal seals plaintext for the row (and column) that the parts name.
func (s *Sealer) Seal(plaintext []byte, row ...string) []byte {
	out := make([]byte, keyIDSize+nonceSize, keyIDSize+nonceSize+len(plaintext)+16)
	copy(out, s.current[:])
	rand.Read(out[keyIDSize:])
	return s.keys[s.current].Seal(out, out[keyIDSize:], plaintext, additional(row))
}

// Open opens what Seal made for the same row. ErrSealed.
func (s *Sealer) Open(sealed []byte, row ...string) ([]byte, error) {
	if len(sealed) < keyIDSize+nonceSize {
		return nil, ErrSealed
	}
	aead := s.keys[keyID(sealed[:keyIDSize])]
	if aead == nil {
		return nil, fmt.Errorf("%w: no master key of its id", ErrSealed)
	}
	nonce, ciphertext := sealed[keyIDSize:keyIDSize+nonceSize], sealed[keyIDSize+nonceSize:]
	plaintext, err := aead.Open(nil, nonce, ciphertext, additional(row))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// isCurrent reports whether a value is sealed under the current key.
func (s *Sealer) isCurrent(sealed []byte) bool {
	return len(sealed) >= keyIDSize && keyID(sealed[:keyIDSize]) == s.current
}

// additional writes each part behind its length: ("a", "bc") is not ("ab", "c").
func additional(row []string) []byte {
	var b []byte
	for _, part := range row {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// LoadMasterKey reads the key in a file (base64 of 32 bytes), or makes the file with a new one: mode 0600, in a folder
// of mode 0700 where that has to be made. made tells which. Of several processes that start at once, all get one key.
func LoadMasterKey(file string) (key []byte, made bool, err error) {
	for range 2 {
		key, err = readMasterKey(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return key, false, err
		}
		if err = makeMasterKey(file); err == nil {
			key, err = readMasterKey(file)
			return key, true, err
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, false, fmt.Errorf("session: master key: %w", err)
		}
	}
	return nil, false, err
}

func readMasterKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("session: master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != MasterKeySize {
		return nil, fmt.Errorf("session: master key: %s does not hold base64 of %d bytes", file, MasterKeySize)
	}
	return key, nil
}

// makeMasterKey writes the whole file aside and links it into place: nobody reads half a key, and a key that is there
// already is never replaced (fs.ErrExist).
func makeMasterKey(file string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	aside, err := os.CreateTemp(dir, ".master.key.*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name())
	key := make([]byte, MasterKeySize)
	rand.Read(key)
	_, err = aside.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err == nil {
		err = aside.Sync()
	}
	if closed := aside.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Link(aside.Name(), file); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in a folder survive a power cut: what is sealed under a lost key is lost.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
