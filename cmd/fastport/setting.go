package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// setting is one line of the table in config.go: what an operator may set, and where it goes.
type setting struct {
	Section string // heads a table of docs/configuration.md; "" goes on with the one before
	Name    string // in the environment and in .env
	Default string // as an operator would write it; "" is none
	Help    string
	Value   value
}

// Flag is the setting's name on the command line, "" for a secret: every user of a machine can read its command lines.
func (s setting) Flag() string {
	if s.Secret() {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(s.Name), "_", "-")
}

// Secret reports whether the value must never be shown.
func (s setting) Secret() bool {
	switch s.Value.(type) {
	case secretValue, keyValue:
		return true
	}
	return false
}

// set parses text into the Config. The error names the setting and what it takes, and shows no secret.
func (s setting) set(text, source string) error {
	err := s.Value.Set(text)
	switch {
	case err == nil:
		return nil
	case s.Secret():
		return fmt.Errorf("%s (%s): takes %s", s.Name, source, s.Value.Takes())
	default:
		return fmt.Errorf("%s=%s (%s): takes %s", s.Name, text, source, s.Value.Takes())
	}
}

// value is a field of Config and how text becomes one.
type value interface {
	Set(text string) error
	// Takes says what Set takes, to end the sentence "PORT takes …".
	Takes() string
}

var errValue = errors.New("not what the setting takes")

// textValue takes any text.
type textValue struct {
	to    *string
	takes string
}

func (v textValue) Takes() string         { return v.takes }
func (v textValue) Set(text string) error { *v.to = text; return nil }

// secret is a text that is never shown: %v, %#v, slog and JSON make "[secret]" of it.
type secret string

func (s secret) String() string               { return "[secret]" }
func (s secret) GoString() string             { return "[secret]" }
func (s secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }
func (s secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
func (s secret) Reveal() string               { return string(s) }

type secretValue struct {
	to    *secret
	takes string
}

func (v secretValue) Takes() string         { return v.takes }
func (v secretValue) Set(text string) error { *v.to = secret(text); return nil }

// keyValue takes 32 bytes in base64.
type keyValue struct{ to *secret }

func (v keyValue) Takes() string {
	return "32 random bytes in base64: `openssl rand -base64 32` makes one"
}
func (v keyValue) Set(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return errValue
	}
	*v.to = secret(raw)
	return nil
}

type boolValue struct{ to *bool }

func (v boolValue) Takes() string { return "true or false" }
func (v boolValue) Set(text string) error {
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return errValue
	}
	*v.to = b
	return nil
}

// intValue takes a whole number; what goes on from there: " of bytes", say.
type intValue struct {
	to       *int
	min, max int
	what     string
}

func (v intValue) Takes() string {
	if v.max == math.MaxInt {
		return "a whole number" + v.what
	}
	return fmt.Sprintf("a whole number%s from %d to %d", v.what, v.min, v.max)
}

func (v intValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.min || n > v.max {
		return errValue
	}
	*v.to = n
	return nil
}

type durationValue struct {
	to       *time.Duration
	min, max time.Duration
}

func (v durationValue) Takes() string {
	return fmt.Sprintf("a duration from %s to %s, written like 1m30s", brief(v.min), brief(v.max))
}

func (v durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < v.min || d > v.max {
		return errValue
	}
	*v.to = d
	return nil
}

// brief writes 168h0m0s as 168h.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

type choiceValue struct {
	to   *string
	from []string
}

func (v choiceValue) Takes() string {
	last := len(v.from) - 1
	return strings.Join(v.from[:last], ", ") + " or " + v.from[last]
}

func (v choiceValue) Set(text string) error {
	for _, c := range v.from {
		if strings.EqualFold(c, text) {
			*v.to = c
			return nil
		}
	}
	return errValue
}

// originsValue takes web origins, compared as browsers send them.
type originsValue struct{ to *[]string }

func (v originsValue) Takes() string {
	return "origins separated by commas, like https://app.example.com,https://example.com:8443"
}

func (v originsValue) Set(text string) error {
	var list []string
	for _, part := range commaList(text) {
		u, err := url.Parse(part)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return errValue
		}
		list = append(list, strings.ToLower(part))
	}
	*v.to = list
	return nil
}

// prefixesValue takes networks and single addresses.
type prefixesValue struct{ to *[]netip.Prefix }

func (v prefixesValue) Takes() string {
	return "addresses or networks separated by commas, like 10.0.0.0/8,192.0.2.7"
}

func (v prefixesValue) Set(text string) error {
	var list []netip.Prefix
	for _, part := range commaList(text) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, err := netip.ParseAddr(part)
			if err != nil {
				return errValue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	*v.to = list
	return nil
}

func commaList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// addressValue takes an address over HTTP, without a slash at its end.
type addressValue struct{ to *string }

func (v addressValue) Takes() string { return "an address like https://push.example.com/v1" }

func (v addressValue) Set(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errValue
	}
	*v.to = strings.TrimSuffix(text, "/")
	return nil
}
