package admin

import (
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
)

// Bounds of Logs.
const (
	logLines    = 1000
	logLineSize = 8 << 10 // bytes; the rest of a longer line is cut off
	logPage     = 60 << 10
)

// Logs keeps the newest records of a node's log in memory, for operators to see: the very lines that the log has, so
// what must not be in the log is not here either.
type Logs struct {
	mu    sync.Mutex // guards the following
	lines []line     // in a circle once there are logLines
	next  int        // the oldest's place then
	last  uint64
}

type line struct {
	n    uint64
	text []byte // a JSON object
}

// Handler is what a logger writes to, besides its own, at level and above.
func (l *Logs) Handler(level slog.Leveler) slog.Handler {
	return slog.NewJSONHandler((*logWriter)(l), &slog.HandlerOptions{Level: level})
}

// logWriter takes one line a Write, as slog's handlers do.
type logWriter Logs

func (w *logWriter) Write(p []byte) (int, error) {
	text := slices.Clone(p)
	if len(p) > logLineSize {
		text = cutLine(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	if len(w.lines) < logLines {
		w.lines = append(w.lines, line{w.last, text})
	} else {
		w.lines[w.next] = line{w.last, text}
		w.next = (w.next + 1) % logLines
	}
	return len(p), nil
}

// cutLine is what is kept of a line that is too long.
func cutLine(p []byte) []byte {
	var head struct {
		Time  string `json:"time"`
		Level string `json:"level"`
		Msg   string `json:"msg"`
		Cut   string `json:"cut"`
	}
	_ = json.Unmarshal(p, &head) // of what it wrote itself
	head.Cut = string(p[:logLineSize/2])
	text, _ := json.Marshal(head)
	return text
}

// LogLine is a record as operators see it.
type LogLine struct {
	N      uint64          `json:"n"` // of this node's records, from 1
	Record json.RawMessage `json:"record"`
}

// After lists the newest records of at least a level that came after number n, in their order: at most limit of them,
// and a page's bytes.
func (l *Logs) After(n uint64, least slog.Level, limit int) []LogLine {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []LogLine
	size := 0
	for i := range l.lines {
		at := l.lines[(l.next+len(l.lines)-1-i)%len(l.lines)] // the newest first
		if at.n <= n || len(list) == limit {
			break
		}
		if levelOf(at.text) < least {
			continue
		}
		if size += len(at.text); size > logPage {
			break
		}
		list = append(list, LogLine{at.n, at.text})
	}
	slices.Reverse(list)
	return list
}

func levelOf(text []byte) slog.Level {
	var head struct {
		Level slog.Level `json:"level"`
	}
	if json.Unmarshal(text, &head) != nil {
		return slog.LevelError // seen rather than not
	}
	return head.Level
}
