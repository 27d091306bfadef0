package protocol

import (
	"errors"
	"strings"
	"testing"
)

func TestDecodeJSON_NamesTheFieldAndIsAsStrictAsAFrame(t *testing.T) {
	var to struct {
		Suspend *bool `json:"suspend"`
		Deep    struct {
			N int `json:"n"`
		} `json:"deep"`
	}
	if err := DecodeJSON([]byte(` {"suspend":true,"other":[1],"deep":{"n":7}} `), &to, "suspend"); err != nil || !*to.Suspend || to.Deep.N != 7 {
		t.Fatalf("decoded %+v, %v", to, err)
	}
	for body, names := range map[string]string{
		`{"suspend":"yes"}`:               "suspend: takes",
		`{"deep":{"n":"x"}}`:              "deep.n: takes",
		`[]`:                              "body: takes",
		`7`:                               "body: takes",
		`{`:                               "not JSON",
		`{"Suspend":true}`:                "",
		`{"suspend":true,"suspend":1}`:    "",
		strings.Repeat(`{"deep":`, 50):    "",
		"{\"suspend\":\"\xff\"}":          "",
		`{"suspend":true}{"suspend":1}`:   "",
		`{"deep":{"n":1,"N":2}}`:          "",
		`{"deep":{"n":99999999999999e9}}`: "deep.n: takes",
	} {
		err := DecodeJSON([]byte(body), &to, "suspend", "deep", "n")
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != BadRequest || !strings.Contains(refused.Text, names) {
			t.Errorf("%.30q: %v, want bad_request with %q", body, err, names)
		}
	}
}
