package protocol

import (
	"encoding/json"
	"errors"
)

// DecodeJSON decodes a JSON object into a struct after [CheckJSON]. known are the struct's keys. An error is an
// [*Error] of code bad_request that names the field.
func DecodeJSON(b []byte, to any, known ...string) error {
	if err := CheckJSON(b, known...); err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(b, to); {
	case errors.As(err, &wrong) && wrong.Field != "":
		return Errorf(BadRequest, wrong.Field+": takes a "+wrong.Type.String())
	case err != nil:
		return Errorf(BadRequest, "body: takes a JSON object")
	}
	return nil
}
