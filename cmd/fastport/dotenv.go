package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// readDotenv reads a .env file: NAME=value a line, after "export " or not. A value may stand in single quotes (taken
// as it is) or double quotes (\n, \t, \" and \\ are unescaped); in one without quotes, " #" begins a comment.
// Nothing is expanded. Each line that is none of this is a fault, told by its number: it may hold a secret.
func readDotenv(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	var faults []error
	text := strings.TrimPrefix(string(raw), "\ufeff") // an editor's byte order mark
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		value, good := dotenvValue(strings.TrimSpace(rest))
		if !ok || !good || name == "" || strings.ContainsAny(name, " \t\"'#") {
			faults = append(faults, fmt.Errorf("%s:%d: takes NAME=value, NAME='value' or NAME=\"value\"", path, i+1))
			continue
		}
		values[name] = value
	}
	return values, errors.Join(faults...)
}

func dotenvValue(s string) (value string, ok bool) {
	if s == "" || s[0] == '#' {
		return "", true
	}
	switch quote := s[0]; quote {
	case '\'':
		value, rest, closed := strings.Cut(s[1:], "'")
		return value, closed && isComment(rest)
	case '"':
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '"':
				return b.String(), isComment(s[i+1:])
			case s[i] == '\\' && i+1 < len(s):
				i++
				b.WriteString(unescape(s[i]))
			default:
				b.WriteByte(s[i])
			}
		}
		return "", false // never closed
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
			s = s[:i]
			break
		}
	}
	return strings.TrimSpace(s), true
}

func isComment(rest string) bool {
	rest = strings.TrimSpace(rest)
	return rest == "" || rest[0] == '#'
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(c)
	}
	return `\` + string(c)
}
