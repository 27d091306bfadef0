package session

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/fastport/fastport/protocol"
)

// fields reads the members of a JSON object one by one, so that a wrong one can be named. A member that is absent or
// null leaves its default. The first fault sticks in err. The JSON has been checked by protocol.CheckJSON.
type fields struct {
	raw    map[string]json.RawMessage
	prefix string // of the names in error texts
	err    error
}

func parseFields(object []byte) (*fields, error) {
	f := &fields{}
	if err := json.Unmarshal(object, &f.raw); err != nil || f.raw == nil {
		return nil, protocol.Errorf(protocol.BadRequest, "body: takes a JSON object")
	}
	return f, nil
}

// wipe overwrites the copies that were read from: one may be of a key.
func (f *fields) wipe() {
	for _, raw := range f.raw {
		clear(raw)
	}
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) null(name string) bool { return string(f.raw[name]) == "null" }

func (f *fields) has(name string) bool {
	raw, ok := f.raw[name]
	return ok && string(raw) != "null"
}

func (f *fields) text(name string, to *string) {
	if f.has(name) && json.Unmarshal(f.raw[name], to) != nil {
		f.fail(refuse(f.prefix + name))
	}
}

func (f *fields) flag(name string, to *bool) {
	if f.has(name) && json.Unmarshal(f.raw[name], to) != nil {
		f.fail(refuse(f.prefix + name))
	}
}

func (f *fields) whole(name string, to *int) {
	if !f.has(name) {
		return
	}
	n, ok := wholeNumber(f.raw[name])
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		f.fail(refuse(f.prefix + name))
		return
	}
	*to = int(n)
}

// millis reads a duration. None is 0, which in a Spec has a meaning of its own.
func (f *fields) millis(name string, to *time.Duration) {
	if !f.has(name) {
		return
	}
	n, ok := wholeNumber(f.raw[name])
	if !ok || n < 1 || n > maxExpiry.Milliseconds() {
		f.fail(refuse(f.prefix + name))
		return
	}
	*to = time.Duration(n) * time.Millisecond
}

// wholeNumber takes 5000, and 5000.0 and 5e3 too: some languages know only one kind of number.
func wholeNumber(raw []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	var x float64
	if json.Unmarshal(raw, &x) != nil || x != math.Trunc(x) || math.Abs(x) >= 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// base64 decodes a string without leaving a copy of it: neither a Go string nor a decoder's buffer.
func (f *fields) base64(name string, to *[]byte) {
	if !f.has(name) {
		return
	}
	text, ok := unquote(f.raw[name])
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(decoded, text)
	if !ok || err != nil {
		clear(decoded)
		f.fail(refuse(f.prefix + name))
		return
	}
	*to = decoded[:n]
}

// unquote reads a JSON string of ASCII in place. Base64 has characters that some writers escape: / and +.
func unquote(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	in, out := raw[1:len(raw)-1], raw[1:1]
	for len(in) > 0 {
		switch {
		case in[0] != '\\':
			out, in = append(out, in[0]), in[1:]
		case len(in) >= 2 && in[1] == '/':
			out, in = append(out, '/'), in[2:]
		case len(in) >= 6 && in[1] == 'u':
			c, err := strconv.ParseUint(string(in[2:6]), 16, 7)
			if err != nil {
				return nil, false
			}
			out, in = append(out, byte(c)), in[6:]
		default:
			return nil, false
		}
	}
	return out, true
}
