package legacy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The files of the Python version's folder, /etc/pg_activity_monitor.
const (
	UsersFile   = "users.json"
	ServersFile = "servers.json"
	KeyFile     = "encryption_key.key"
)

// maxFileBytes bounds a file; thousands of servers are a tenth of it.
const maxFileBytes = 16 << 20

// ErrNoKey says that there are secrets and no key that decrypts them.
var ErrNoKey = errors.New("the secrets in " + ServersFile + " need the key file " + KeyFile)

// Options change how a folder is read.
type Options struct {
	// KeyFile is where the key is; empty: in the folder.
	KeyFile string
	// WithoutSecrets leaves all secrets out, so that no key is needed.
	WithoutSecrets bool
}

// Folder is the content of the Python version's folder, as far as it can be
// understood.
type Folder struct {
	Users   []User
	Servers []Server
	Left    []Left
}

// Left is an entry that is left out.
type Left struct {
	File  string // one of UsersFile and ServersFile
	Entry string // its name, and its place in the file
	Why   string
	// Repeated says that an entry before it counts in its place, as it did in the
	// Python version: nothing is lost.
	Repeated bool
}

// ReadFolder reads the folder. A missing or empty file holds no entry, but one
// of users and servers must be there. The error wraps ErrNoKey where a key is
// needed; it is about a file as a whole, never about an entry.
func ReadFolder(dir string, opts Options) (Folder, error) {
	var f Folder
	users, usersThere, err := readEntries(dir, UsersFile)
	if err != nil {
		return f, err
	}
	servers, serversThere, err := readEntries(dir, ServersFile)
	switch {
	case err != nil:
		return f, err
	case !usersThere && !serversThere:
		return f, fmt.Errorf("%s holds neither %s nor %s: give the folder of the Python version, usually /etc/pg_activity_monitor", dir, UsersFile, ServersFile)
	}
	f.addUsers(users)
	open, err := opener(dir, servers, opts)
	if err != nil {
		return f, err
	}
	f.addServers(servers, open)
	return f, nil
}

// readFile gives a file's content; there is false where it is missing.
func readFile(path string) (content []byte, there bool, err error) {
	file, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, errors.Unwrap(err))
	}
	defer func() { _ = file.Close() }()
	content, err = io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, true, fmt.Errorf("read %s: %w", path, err)
	case len(content) > maxFileBytes:
		return nil, true, fmt.Errorf("read %s: it is larger than %d MiB", path, maxFileBytes>>20)
	}
	return content, true, nil
}

// entry is one element of a file's array.
type entry struct {
	place  int // from 1 on
	fields map[string]json.RawMessage
	fault  string // why it is no entry
}

func readEntries(dir, name string) (entries []entry, there bool, err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, false, fmt.Errorf("%s is not a folder that can be read", dir)
	}
	path := filepath.Join(dir, name)
	content, there, err := readFile(path)
	if err != nil {
		return nil, there, err
	}
	if entries, err = parseEntries(content); err != nil {
		return nil, there, fmt.Errorf("read %s: %w", path, err)
	}
	return entries, there, nil
}

// parseEntries reads a JSON array of objects, or nothing at all. Of a key that
// is there twice the last counts, as in Python.
func parseEntries(content []byte) ([]entry, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, nil
	}
	if !utf8.Valid(content) {
		return nil, errors.New("it is not UTF-8")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(content, &list); err != nil {
		// The library's text may quote what it found.
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("it is not valid JSON (at byte %d)", syntax.Offset)
		}
		return nil, errors.New("it must hold a JSON array")
	}
	entries := make([]entry, len(list))
	for i, raw := range list {
		entries[i].place = i + 1
		if err := json.Unmarshal(raw, &entries[i].fields); err != nil || entries[i].fields == nil {
			entries[i].fault = "it is not an object"
		}
	}
	return entries, nil
}

// text gives a field that must be a string; ok is false where it is something
// else. A field that is missing or null is "".
func (e entry) text(field string) (value string, ok bool) {
	raw, there := e.fields[field]
	if !there || string(raw) == "null" {
		return "", true
	}
	if json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	return value, true
}

// number gives a field that must be a whole number, or one in a string as the
// Python version takes as well; missing or null is preset.
func (e entry) number(field string, preset int) (value int, ok bool) {
	raw, there := e.fields[field]
	if !there || string(raw) == "null" {
		return preset, true
	}
	digits := string(raw)
	if text, isText := e.text(field); isText {
		digits = strings.TrimSpace(text)
	}
	value, err := strconv.Atoi(digits)
	return value, err == nil
}

// called tells a person which entry it is.
func (e entry) called(name string) string {
	if name == "" {
		return fmt.Sprintf("number %d", e.place)
	}
	return fmt.Sprintf("%q (number %d)", name, e.place)
}
