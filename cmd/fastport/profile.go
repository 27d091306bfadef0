package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/fastport/fastport/protocol"
)

// profile is what a device needs for a session: one file a session, which its owner alone can read.
type profile struct {
	Session   string `json:"session"`
	URL       string `json:"url"` // http://host:port or https://
	Key       string `json:"key"` // base64; more than one with spaces between, the newest first
	Password  string `json:"password"`
	SecretKey string `json:"secretKey,omitempty"` // drops and suspends
}

// A profile prints as its session alone, so that its secrets cannot end up in a log by accident.
func (p profile) String() string   { return "profile of session " + p.Session }
func (p profile) GoString() string { return p.String() }

// profiles is the folder of them.
type profiles struct{ dir string }

// profilesOf is the folder that FASTPORT_HOME names, or one in the user's folder of settings.
func profilesOf(e *env) (profiles, error) {
	if dir := e.setting("FASTPORT_HOME"); dir != "" {
		return profiles{dir}, nil
	}
	dir, err := e.ConfigDir()
	if err != nil {
		return profiles{}, errors.New("no folder for profiles: set FASTPORT_HOME to one, or HOME")
	}
	return profiles{filepath.Join(dir, "fastport")}, nil
}

// Path is where the profile of a session is, or would be. The name must be a valid one.
func (p profiles) Path(session string) string { return filepath.Join(p.dir, session+".json") }

// Load reads a profile. It refuses one that others can read, and fails with fs.ErrNotExist where there is none.
func (p profiles) Load(session string) (profile, error) {
	path := p.Path(session)
	f, err := os.Open(path)
	if err != nil {
		return profile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return profile{}, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 { // Windows has no such bits
		return profile{}, fmt.Errorf("%s can be read by others: `chmod 600 %s`, and if they may have read it, make a new session", path, path)
	}
	var got profile
	if err := json.NewDecoder(f).Decode(&got); err != nil || got.Session != session {
		return profile{}, fmt.Errorf("%s is no profile of session %s: move it away, or mend it", path, session)
	}
	return got, nil
}

// Exists reports whether a session has a profile here.
func (p profiles) Exists(session string) bool {
	_, err := os.Lstat(p.Path(session))
	return !errors.Is(err, fs.ErrNotExist)
}

// Save writes a profile whole or not at all, readable by this user alone, and returns its path. It replaces one that is
// there only where it is told to.
func (p profiles) Save(pr profile, replace bool) (path string, err error) {
	path = p.Path(pr.Session)
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(pr, "", "  ")
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(p.dir, ".new-*") // made with 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", err
	}
	if replace {
		return path, os.Rename(f.Name(), path)
	}
	return path, os.Link(f.Name(), path) // unlike Rename it fails where there is one
}

// Remove deletes a session's profile.
func (p profiles) Remove(session string) error { return os.Remove(p.Path(session)) }

// All lists the sessions that have a profile.
func (p profiles) All() ([]string, error) {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".json"); ok && protocol.ValidSessionName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}
