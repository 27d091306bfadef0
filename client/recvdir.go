package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DirOptions change how files are put into a directory.
type DirOptions struct {
	ReceiveOptions
	// Overwrite lets a file replace one of the same name. Otherwise it becomes "name (1).ext", and so on.
	Overwrite bool
	// MaxSize declines what is larger, in bytes. Default: no bound.
	MaxSize int64
	// Saved is called with the path of each file that is complete. Default: none.
	Saved func(path string, offer FileOffer)
}

// ReceiveToDir receives the topic's files into a directory that exists. A file is written under a temporary name, and
// gets its own (the last element of the one that its sender chose) once it is whole and right.
func (c *Client) ReceiveToDir(ctx context.Context, topic, dir string, o DirOptions) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("client: %s is no directory: %w", dir, errors.Join(err, fs.ErrInvalid))
	}
	return c.ReceiveFiles(ctx, topic, func(offer FileOffer) (FileSink, error) {
		if o.MaxSize > 0 && offer.Size > o.MaxSize {
			return nil, nil
		}
		return newDirSink(dir, offer, o)
	}, o.ReceiveOptions)
}

// dirSink is a file in a directory that it cannot get out of.
type dirSink struct {
	*os.File
	root  *os.Root
	temp  string
	offer FileOffer
	o     DirOptions
}

func newDirSink(dir string, offer FileOffer, o DirOptions) (*dirSink, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("client: file: %w", err)
	}
	// The fileId is a UUID, but two clients may receive it into one directory.
	temp := ".fastport-" + newUUID() + ".part"
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("client: file: %w", err)
	}
	return &dirSink{File: f, root: root, temp: temp, offer: offer, o: o}, nil
}

// Commit gives the file its name.
func (s *dirSink) Commit() error {
	defer s.root.Close()
	name, err := s.commit()
	if err != nil {
		s.root.Remove(s.temp)
		return err
	}
	if s.o.Saved != nil {
		s.o.Saved(filepath.Join(s.root.Name(), name), s.offer)
	}
	return nil
}

func (s *dirSink) commit() (string, error) {
	if err := errors.Join(s.Chmod(0o644), s.Sync(), s.Close()); err != nil {
		return "", err
	}
	name := safeName(s.offer.Name)
	if s.o.Overwrite {
		return name, s.root.Rename(s.temp, name)
	}
	for n := range 10_000 {
		free := numbered(name, n)
		// A link, unlike a rename, fails where the name is taken.
		err := s.root.Link(s.temp, free)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil { // a file system without links: take the name, then replace what took it
			f, err := s.root.OpenFile(free, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err != nil {
				return "", err
			}
			f.Close()
			return free, s.root.Rename(s.temp, free)
		}
		return free, s.root.Remove(s.temp)
	}
	return "", fmt.Errorf("client: file: %w: %s", fs.ErrExist, name)
}

// Abort leaves nothing.
func (s *dirSink) Abort(error) {
	s.Close()
	s.root.Remove(s.temp)
	s.root.Close()
}

// maxName is the longest name that file systems take, in bytes, less what numbered adds.
const maxName = 255 - len(" (9999)")

// safeName makes a name of one path element of what a stranger chose: neither hidden nor a path, on any system.
func safeName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(strings.TrimLeft(name, ". "), ". ")
	if len(name) > maxName {
		ext := filepath.Ext(name)
		if len(ext) > 16 {
			ext = ""
		}
		cut := maxName - len(ext)
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + ext
	}
	if name == "" || !filepath.IsLocal(name) {
		return "file"
	}
	return name
}

// numbered is name, or name with a number before its extension.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext)
}
