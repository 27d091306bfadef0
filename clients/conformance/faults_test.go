package conformance

import "time"

// fault takes one behaviour of the server away, in the relay: the server itself knows no such switch. Each hook is called with the
// relay's lock held. A fault of the SDK's own defences changes how its clients connect instead.
type fault struct {
	about    string
	toClient func(l *link, f frame) []frame
	toServer func(r *relay, l *link, f frame) (client, server []frame)
	close    func(code int) bool // true: a close of this code is a cut
	connect  func(*options)
}

// faults are by the name that scenarios call them.
var faults = map[string]func() fault{
	"passwords": func() fault {
		return fault{about: "every password is right", toClient: func(_ *link, f frame) []frame {
			if f.typ() != "init_response" || f.is("success", "true") {
				return []frame{f}
			}
			return []frame{newFrame(map[string]any{
				"type": "init_response", "success": true, "protocol": 2, "clientId": "x", "topics": []string{}, "serverTime": time.Now().UnixMilli(),
			})}
		}}
	},
	"key-check": func() fault {
		return fault{about: "the login's answer has no keyCheck", toClient: func(_ *link, f frame) []frame {
			return []frame{f.with(map[string]any{"keyCheck": nil})}
		}}
	},
	"replay": func() fault {
		return fault{about: "nothing is kept for who is away", toClient: dropped(func(f frame) bool {
			return f.typ() == "message" && (f.is("replay", "true") || f["retry"] != nil)
		})}
	},
	"retries": func() fault {
		return fault{about: "a message that is not acked does not come again", toClient: dropped(func(f frame) bool {
			return f.typ() == "message" && f["retry"] != nil
		})}
	},
	"retry-flag": func() fault {
		return fault{about: "a message that comes again does not say so", toClient: func(_ *link, f frame) []frame {
			return []frame{f.with(map[string]any{"retry": nil})}
		}}
	},
	"second-acks": func() fault {
		var resent = map[string]bool{}
		return fault{
			about: "a publish that goes out again is not acked again",
			toServer: func(_ *relay, _ *link, f frame) (client, server []frame) {
				if f.typ() == "publish" && f.is("retry", "true") {
					resent[f.text("messageId")] = true
				}
				return nil, []frame{f}
			},
			toClient: dropped(func(f frame) bool { return f.typ() == "ack_received" && resent[f.text("messageId")] }),
		}
	},
	"order":  swapped,
	"dedupe": delivered,
	"take-over": func() fault {
		return fault{about: "a client is not told that it was taken over", close: func(code int) bool { return code == 4001 }}
	},
	"late-logins": func() fault {
		return fault{about: "a login that was given up is never dealt with", toServer: func(_ *relay, l *link, f frame) (client, server []frame) {
			if l.held {
				return nil, nil
			}
			return nil, []frame{f}
		}}
	},
	"reconnect": func() fault {
		return fault{about: "a node that stops asks nobody to move", toClient: dropped(func(f frame) bool { return f.typ() == "reconnect" })}
	},
	"file-resume": func() fault {
		begun := map[string]bool{}
		return fault{about: "a file is forgotten with its sender's connection", toServer: func(_ *relay, _ *link, f frame) (client, server []frame) {
			id := f.text("fileId")
			if f.typ() != "init_file" || !begun[id] {
				begun[id] = begun[id] || f.typ() == "init_file"
				return nil, []frame{f}
			}
			return []frame{newFrame(map[string]any{"type": "file_error", "fileId": id, "code": "not_found", "error": "no such file"})}, nil
		}}
	},
	"push": func() fault {
		return fault{about: "a push token is confirmed and not registered", toServer: func(_ *relay, _ *link, f frame) (client, server []frame) {
			if f.typ() != "register_fcm_token" {
				return nil, []frame{f}
			}
			return []frame{newFrame(map[string]any{"type": "fcm_token_response", "success": true, "userId": f.text("userId"), "deviceId": "phone"})}, nil
		}}
	},
	"sdk-memory": func() fault {
		return fault{about: "the SDK remembers one message, of suite 1, which has no counters", connect: func(o *options) {
			o.Suite, o.AllowLegacy, o.DedupeSize = 1, true, 1
		}}
	},
	"sdk-suite-2": func() fault {
		return fault{about: "the SDK seals with suite 1, which binds a message to nothing", connect: func(o *options) {
			o.Suite, o.AllowLegacy = 1, true
		}}
	},
}

func dropped(is func(frame) bool) func(*link, frame) []frame {
	return func(_ *link, f frame) []frame {
		if is(f) {
			return nil
		}
		return []frame{f}
	}
}

// swapped changes the order of two messages for one subscriber.
func swapped() fault {
	var held frame
	var who string
	done := false
	return fault{about: "subscribers hear orders of their own", toClient: func(l *link, f frame) []frame {
		switch {
		case done || f.typ() != "message" || who != "" && who != l.client:
			return []frame{f}
		case held == nil:
			held, who = f, l.client
			return nil
		default:
			done = true
			return []frame{f, held}
		}
	}}
}

// delivered has a publish that comes again delivered again.
func delivered() fault {
	seen := map[string]bool{}
	return fault{about: "a message id counts as often as it is published", toServer: func(r *relay, l *link, f frame) (client, server []frame) {
		id := f.text("messageId")
		if f.typ() == "publish" && seen[id] {
			again := f.with(map[string]any{"type": "message", "retry": nil})
			for other := range r.links {
				if other.client != l.client {
					r.wg.Go(func() { other.down.say(again) })
				}
			}
		}
		seen[id] = seen[id] || f.typ() == "publish"
		return nil, []frame{f}
	}}
}
