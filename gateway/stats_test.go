package gateway

import (
	"testing"

	"github.com/fastport/fastport/protocol"
)

func TestStats_EveryCauseAndReasonHasAWordOfItsOwn(t *testing.T) {
	for what, names := range map[string][]string{"cause": causeNames[:], "reason": reasonNames[:]} {
		seen := map[string]bool{}
		for i, name := range names {
			if name == "" || seen[name] {
				t.Errorf("%s %d is called %q, as another or not at all", what, i, name)
			}
			seen[name] = true
		}
	}
}

func TestStats_TheEnginesClosesAreCountedByWhy(t *testing.T) {
	for code, want := range map[protocol.CloseCode]string{
		protocol.CloseDraining: "drain", protocol.CloseProtocol: "bad_frames", protocol.CloseTakenOver: "taken_over",
		protocol.CloseSessionGone: "session_gone", protocol.CloseNotAuthenticated: "not_authenticated",
		protocol.CloseSlowConsumer: "unacked", protocol.CloseGoingAway: "engine",
	} {
		if got := causeNames[causeOf(code)]; got != want {
			t.Errorf("%d is counted as %q, want %q", code, got, want)
		}
	}
}
