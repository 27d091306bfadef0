package protocol

import (
	"encoding/json"
	"strings"
	"testing"
)

// jsonCases is odd JSON: what is taken, and what is refused and for which reason.
var jsonCases = []struct {
	text    string
	refused string // "": taken
}{
	{` { "a" : [ 1 , -0 , 0.5 , 1E+9 , 2e-3 ] , "b" : { } , "c" : [ ] } ` + "\t\r\n", ""},
	{`"\u0000\u001f\"\\\/\b\f\n\r\t"`, ""},
	{`"\ud83d\ude00 😀 \uFFFF"`, ""},
	{"\"\u2028\u007f\"", ""},
	{`0`, ""}, {`-0.0e-0`, ""}, {`true`, ""}, {`null`, ""},
	{strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), ""},
	{strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth), ""},
	{`[{"a":1},{"a":1},{"A":{"a":1}}]`, ""},
	{`{"":1," ":2}`, ""},
	{`{"x":{"a":1,"b":2},"a":1,"y":{"b":1}}`, ""},
	{"[" + strings.Repeat("[],{},", 2*MaxDepth) + "1]", ""},

	{``, "no value"}, {`   `, "no value"}, {"\ufeff{}", "no value"}, {"{}\x00", "more after"},
	{`{"a":1}{"b":2}`, "more after"}, {`1 2`, "more after"},
	{`{"a":1,}`, "no key"}, {`{,}`, "no key"}, {`{a:1}`, "no key"}, {`{'a':1}`, "no key"}, {`{"a" 1}`, "no colon"}, {`{"a":}`, "no value"},
	{`{"a":1 "b":2}`, "no comma"}, {`{`, "no key"}, {`{"a":1`, "no comma"}, {`{"a"`, "no colon"},
	{`[1,]`, "no value"}, {`[,1]`, "no value"}, {`[1 2]`, "no comma"}, {`[1`, "no comma"}, {`[`, "no value"}, {`]`, "no value"},
	{`01`, "more after"}, {`-`, "no digit"}, {`+1`, "no value"}, {`.5`, "no value"}, {`1.`, "no digit"}, {`1e`, "no digit"}, {`1e+`, "no digit"}, {`--1`, "no digit"},
	{`NaN`, "no value"}, {`Infinity`, "no value"}, {`0x10`, "more after"}, {`tru`, "no value"}, {`nul`, "no value"}, {`True`, "no value"},
	{`"a`, "without end"}, {`"a\"`, "without end"}, {"\"a\nb\"", "control character"}, {"\"\x00\"", "control character"}, {"\"12345678\x1f\"", "control character"},
	{`"\x41"`, "bad escape"}, {`"\u12"`, "bad escape"}, {`"\u12g4"`, "bad escape"}, {`"\`, "bad escape"},
	{`"\ud83d"`, "bad escape"}, {`"\ude00\ud83d"`, "bad escape"}, {`"\ud83dx"`, "bad escape"}, {`"\ud83d\n"`, "bad escape"}, {`"\ud83d\ud83d"`, "bad escape"},
	{"\"\xff\"", "UTF-8"}, {"\"\xed\xa0\x80\"", "UTF-8"}, {"\"\xc0\xaf\"", "UTF-8"}, {"{\"\xff\":1}", "UTF-8"},
	{strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), "deeper"},
	{strings.Repeat("[", 100_000), "deeper"},
	{`{"a":1,"a":2}`, "twice"}, {`{"a":1,"A":2}`, "twice"}, {`{"k":1,"\u212a":2}`, "twice"}, {`{"ß":1,"ẞ":2}`, "twice"}, {`{"s":1,"ſ":2}`, "twice"},
	{`{"":1,"":2}`, "twice"}, {`{"\n":1,"\u000a":2}`, "twice"}, {`[{"x":{"a":1,"b":2,"A":3}}]`, "twice"},
	{`{"secretKey":"x","other":1}`, ""},
	{`{"SecretKey":"x"}`, "written secretKey"}, {`{"o":{"secretkey":1}}`, "written secretKey"}, {`{"ſecretKey":"x"}`, "written secretKey"},
	{manyKeys(MaxKeys), ""}, {manyKeys(MaxKeys + 1), "more than 256 keys"},
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"k` + strings.Repeat("x", i%7) + string(rune('A'+i%26)) + strings.Repeat("y", i/26) + `":1`)
	}
	return "{" + b.String()[1:] + "}"
}

func TestCheckJSON_TakesTheLegalAndRefusesTheAmbiguous(t *testing.T) {
	for _, c := range jsonCases {
		err := CheckJSON([]byte(c.text), "secretKey")
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%.60q: %v", c.text, err)
		case c.refused == "" && !json.Valid([]byte(c.text)):
			t.Errorf("%.60q: taken, and encoding/json refuses it", c.text)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%.60q: %v, want an error that says %q", c.text, err, c.refused)
		}
	}
}

func TestPlain_FindsTheFirstByteToEscapeAtAnyPlace(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := []byte(strings.Repeat("é", 12))
			b[at] = byte(c)
			want := at
			if c >= 0x20 && c != '"' && c != '\\' {
				want = len(b)
			}
			if got := plain(b); got != want {
				t.Fatalf("plain with %#x at %d = %d, want %d", c, at, got, want)
			}
		}
	}
}

func TestWhole_TakesEveryWayToWriteAnInteger(t *testing.T) {
	for _, c := range []struct {
		text string
		neg  bool
		mag  uint64
		ok   bool
	}{
		{"0", false, 0, true}, {"-0", true, 0, true}, {"0.0e5", false, 0, true}, {"0e999999999999999999", false, 0, true},
		{"1e3", false, 1000, true}, {"1E+3", false, 1000, true}, {"1000e-3", false, 1, true}, {"12.50e1", false, 125, true},
		{"1.0", false, 1, true}, {"100.000", false, 100, true}, {"1010.0", false, 1010, true}, {"0.001e3", false, 1, true},
		{"-1.5e1", true, 15, true}, {"1760000000000", false, 1760000000000, true},
		{"18446744073709551615", false, 1<<64 - 1, true}, {"18446744073709551616", false, 0, false}, {"1e20", false, 0, false},
		{"1.5", false, 0, false}, {"1e-1", false, 0, false}, {"0.1", false, 0, false}, {"1e999999999999999999999", false, 0, false}, {"1e-999999999999999999999", false, 0, false},
		{"1" + strings.Repeat("0", 5000) + "e-5000", false, 1, true}, {"0." + strings.Repeat("0", 5000) + "1e5001", false, 1, true},
	} {
		neg, mag, ok := whole([]byte(c.text))
		if ok != c.ok || ok && (neg != c.neg || mag != c.mag) {
			t.Errorf("whole(%.30s) = %v %d %v, want %v %d %v", c.text, neg, mag, ok, c.neg, c.mag, c.ok)
		}
	}
}

func TestFieldOf_AgreesWithTheTable(t *testing.T) {
	for f := fieldType; int(f) < len(fieldTable); f++ {
		if fieldTable[f].takes == "" || fieldOf([]byte(f.String())) != f {
			t.Errorf("field %d %q is read as %d", f, f, fieldOf([]byte(f.String())))
		}
	}
	if len(fieldTable) > 64 {
		t.Errorf("%d fields do not fit a fieldSet", len(fieldTable))
	}
}

func TestParseType_AgreesWithString(t *testing.T) {
	for k := TypeInit; int(k) < len(typeNames); k++ {
		if typeNames[k] == "" || ParseType([]byte(k.String())) != k {
			t.Errorf("type %d %q is read as %v", k, k, ParseType([]byte(k.String())))
		}
	}
	if ParseType(nil) != TypeUnknown || ParseType([]byte("unknown")) != TypeUnknown || Type(200).String() != "unknown" {
		t.Error("an unknown type has a name")
	}
}
