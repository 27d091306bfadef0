package e2ee

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"unicode/utf8"
)

// SealLegacy seals plaintext as suite 1's data, base64(IV):base64(ciphertext), for clients that know no other. The
// frame needs the data's [Hash] beside it. It fails only if the ring's randomness does.
func (r *KeyRing) SealLegacy(plaintext []byte) ([]byte, error) {
	raw, err := sealCBC(r.rand, r.keys[0].Key, nil, plaintext)
	if err != nil {
		return nil, err
	}
	enc := base64.StdEncoding
	data := make([]byte, 0, enc.EncodedLen(aes.BlockSize)+1+enc.EncodedLen(len(raw)-aes.BlockSize))
	data = append(enc.AppendEncode(data, raw[:aes.BlockSize]), ':')
	return enc.AppendEncode(data, raw[aes.BlockSize:]), nil
}

// OpenLegacy opens suite 1's data, with hash as it came beside it. Nothing proves who sealed it, for which topic or
// when. Suite 1 names no key: of several, the one that gives a UTF-8 text is taken for the right one.
//
// Whoever acknowledges differently according to OpenLegacy's result lets forgers read messages: acknowledge first.
func (r *KeyRing) OpenLegacy(data []byte, hash string) ([]byte, error) {
	iv64, ct64, ok := bytes.Cut(data, []byte{':'})
	if !ok {
		return nil, ErrMalformed
	}
	iv, err := decode(base64.StdEncoding, string(iv64))
	if err != nil || len(iv) != aes.BlockSize {
		return nil, ErrMalformed
	}
	ct, err := decode(base64.StdEncoding, string(ct64))
	if err != nil || len(ct) == 0 || len(ct)%aes.BlockSize != 0 {
		return nil, ErrMalformed
	}
	intact := subtle.ConstantTimeCompare([]byte(Hash(data)), []byte(hash)) == 1

	var found []byte
	rank := 0 // of found: 1 unpadded, 2 and is a text
	for _, k := range r.keys {
		text, ok := openCBC(k.Key, nil, iv, ct)
		switch {
		case ok && utf8.Valid(text) && rank < 2:
			found, rank = text, 2
		case ok && rank < 1:
			found, rank = text, 1
		}
	}
	if rank == 0 || !intact {
		return nil, ErrAuthentication
	}
	return found, nil
}

// sealCBC appends IV ‖ ciphertext to dst.
func sealCBC(random io.Reader, k Key, dst, plaintext []byte) ([]byte, error) {
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize
	start := len(dst)
	dst = append(dst, make([]byte, aes.BlockSize)...)
	if _, err := io.ReadFull(random, dst[start:]); err != nil {
		return nil, fmt.Errorf("e2ee: random: %w", err)
	}
	dst = append(dst, plaintext...)
	dst = append(dst, bytes.Repeat([]byte{byte(pad)}, pad)...)
	body := dst[start+aes.BlockSize:]
	cipher.NewCBCEncrypter(k.block(), dst[start:start+aes.BlockSize]).CryptBlocks(body, body)
	return dst, nil
}

// openCBC appends the plaintext of ct, whole blocks of it and one at least, to dst. False: the padding is wrong.
func openCBC(k Key, dst, iv, ct []byte) ([]byte, bool) {
	start := len(dst)
	dst = append(dst, ct...)
	body := dst[start:]
	cipher.NewCBCDecrypter(k.block(), iv).CryptBlocks(body, body)

	// Every byte that may be padding is looked at, so that the time does not tell where it was wrong.
	n := len(body)
	pad := int(body[n-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, pad)
		same := subtle.ConstantTimeByteEq(body[n-i], byte(pad))
		good &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	if good != 1 {
		return nil, false
	}
	return dst[:start+n-pad], true
}

func (k Key) block() cipher.Block {
	b, err := aes.NewCipher(k.b[:])
	if err != nil { // only a key of a wrong length
		panic(err)
	}
	return b
}
