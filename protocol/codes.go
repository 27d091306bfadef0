package protocol

// Code tells a client why something was refused. The set is closed; clients switch on it.
type Code string

const (
	BadRequest       Code = "bad_request"
	NotInitialized   Code = "not_initialized"
	Unauthorized     Code = "unauthorized"
	SessionSuspended Code = "session_suspended"
	SessionExpired   Code = "session_expired"
	TooLarge         Code = "too_large"
	HashMismatch     Code = "hash_mismatch"
	Expired          Code = "expired"
	ClockSkew        Code = "clock_skew"
	RateLimited      Code = "rate_limited"
	QuotaExceeded    Code = "quota_exceeded"
	Unavailable      Code = "unavailable"
	NotFound         Code = "not_found"
	Conflict         Code = "conflict"
	TooSlow          Code = "too_slow"
	NoReceivers      Code = "no_receivers"
	KeyMismatch      Code = "key_mismatch"
	Internal         Code = "internal"
)

// Codes is all of them.
var Codes = []Code{
	BadRequest, NotInitialized, Unauthorized, SessionSuspended, SessionExpired, TooLarge, HashMismatch, Expired, ClockSkew,
	RateLimited, QuotaExceeded, Unavailable, NotFound, Conflict, TooSlow, NoReceivers, KeyMismatch, Internal,
}

// Retryable reports whether the same request may succeed later, unchanged.
func (c Code) Retryable() bool { return c == Unavailable || c == RateLimited }

// Error is a refusal that a client may see: a code and a text that names nothing it must not know.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Text }

// Errorf is a refusal with a fixed text. The text is for the client: what is wrong and what to do.
func Errorf(code Code, text string) *Error { return &Error{Code: code, Text: text} }

// CloseCode is a WebSocket close code (RFC 6455, 7.4) as this protocol uses it.
type CloseCode uint16

const (
	CloseNormal           CloseCode = 1000
	CloseGoingAway        CloseCode = 1001
	CloseBadFrame         CloseCode = 1002 // RFC 6455 violated
	CloseBadText          CloseCode = 1007 // a text frame that is not UTF-8
	CloseTooLarge         CloseCode = 1009
	CloseDraining         CloseCode = 1012 // reconnect, with jitter
	CloseProtocol         CloseCode = 4000 // ten bad frames in a row
	CloseTakenOver        CloseCode = 4001 // by a newer connection of the same clientId: do not reconnect
	CloseSessionGone      CloseCode = 4003 // dropped, suspended or expired
	CloseNotAuthenticated CloseCode = 4004
	CloseSlowConsumer     CloseCode = 4008
	CloseNoInit           CloseCode = 4009 // no init in time
	CloseRateLimited      CloseCode = 4029
)
