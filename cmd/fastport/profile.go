package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastport/fastport/protocol"
)

// profile is what `session create --save` keeps of a session: all that is needed to use it, in a file that its owner
// alone can read.
type profile struct {
	URL       string `json:"url"` // http or https
	Session   string `json:"session"`
	Password  secret `json:"-"`
	Key       secret `json:"-"`
	SecretKey secret `json:"-"`
}

// profileFile is a profile on disk, secrets and all.
type profileFile struct {
	profile
	Password  string `json:"password"`
	Key       string `json:"key"`
	SecretKey string `json:"secretKey,omitempty"`
}

func (e *env) profilePath(session string) (string, error) {
	if !protocol.ValidSessionName(session) {
		return "", usagef("session %q: takes letters, digits and . _ @ -, at most 128, a letter or digit first", session)
	}
	dir, err := e.profileDir()
	return filepath.Join(dir, session+".json"), err
}

func (e *env) profileDir() (string, error) {
	dir, err := e.ConfigDir()
	if err != nil {
		return "", fmt.Errorf("no folder for saved sessions: %w", err)
	}
	return filepath.Join(dir, "fastport"), nil
}

// saveProfile writes p, for its owner alone, and returns where. It replaces one of the same name whole or not at all.
func (e *env) saveProfile(p profile) (path string, err error) {
	if path, err = e.profilePath(p.Session); err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(profileFile{p, p.Password.Reveal(), p.Key.Reveal(), p.SecretKey.Reveal()}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(append(raw, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return path, nil
}

// loadProfile reads a session's profile, or where session is "" the only one there is. One that is not there is empty.
func (e *env) loadProfile(session string) (profile, error) {
	if session == "" {
		names := e.profiles()
		if len(names) == 0 {
			return profile{}, nil
		}
		if len(names) > 1 {
			return profile{}, usagef("which session? --session or FASTPORT_SESSION takes one of the saved: %s", strings.Join(names, ", "))
		}
		session = names[0]
	}
	path, err := e.profilePath(session)
	if err != nil {
		return profile{}, err
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return profile{Session: session}, nil
	}
	if err != nil {
		return profile{}, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(e.Stderr, "fastport: others can read %s: chmod 600 it\n", path)
	}
	var file profileFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return profile{}, fmt.Errorf("%s is damaged: remove it, or make the session again", path)
	}
	p := file.profile
	p.Password, p.Key, p.SecretKey = secret(file.Password), secret(file.Key), secret(file.SecretKey)
	return p, nil
}

// profiles lists the sessions that are saved.
func (e *env) profiles() []string {
	dir, err := e.profileDir()
	if err != nil {
		return nil
	}
	entries, _ := os.ReadDir(dir) // none: nothing is saved
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && protocol.ValidSessionName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// removeProfile forgets a session that is dropped. None is no error.
func (e *env) removeProfile(session string) error {
	path, err := e.profilePath(session)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
