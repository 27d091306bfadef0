package protocol

// CheckJSON checks a JSON text by the rules of a frame, for what encoding/json decodes afterwards: it would take the
// last of two keys, ignore their case and mend bad UTF-8. known are the keys whose case variants are refused, at every
// level. An error is an [*Error] of code bad_request.
func CheckJSON(b []byte, known ...string) error {
	s := scanner{b: b, known: known}
	s.begin()
	s.skip()
	s.end()
	if s.err != nil {
		return s.err
	}
	return nil
}
