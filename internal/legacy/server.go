package legacy

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// DefaultStatsDB is where the Python version looked for history when an entry
// names no database.
const DefaultStatsDB = "stats_db"

// Server is an entry of servers.json.
type Server struct {
	// Target is valid, with its secrets where they decrypt, and enabled.
	Target target.Target
	// Was is the name in the file where it is another than the target's, which
	// can stand in a URL and is nobody else's.
	Was string
	// PasswordLost and ShellPasswordLost say why a secret is missing; nil where
	// none was there or it decrypts.
	PasswordLost, ShellPasswordLost error
}

// openSecret decrypts one secret of the file.
type openSecret func(token string) (secret.Value, error)

// errWithoutSecrets stands for every secret that was not asked for.
var errWithoutSecrets = errors.New("it was left out as asked")

// opener gives what decrypts the secrets of these entries, with the key if
// there is any secret at all.
func opener(dir string, entries []entry, opts Options) (openSecret, error) {
	if opts.WithoutSecrets {
		return func(string) (secret.Value, error) { return secret.Value{}, errWithoutSecrets }, nil
	}
	path := opts.KeyFile
	if path == "" {
		path = filepath.Join(dir, KeyFile)
	}
	var key Key
	if hasSecrets(entries) {
		content, there, err := readFile(path)
		switch {
		case err != nil:
			return nil, err
		case !there:
			return nil, fmt.Errorf("%w: %s does not exist", ErrNoKey, path)
		}
		if key, err = ParseKey(content); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNoKey, path, err)
		}
	}
	return key.Open, nil
}

func hasSecrets(entries []entry) bool {
	for _, e := range entries {
		for _, field := range []string{"password", "ssh_password"} {
			if token, _ := e.text(field); token != "" {
				return true
			}
		}
	}
	return false
}

// addServers reads servers. An entry that says the same as one before is left
// out; one with a name that is taken, or that cannot stand in a URL, gets
// another one.
func (f *Folder) addServers(entries []entry, open openSecret) {
	names := newNameBook(entries)
	var read []Server
	for _, e := range entries {
		s, fault := readServer(e, open)
		name, repeated := s.Target.Name, false
		if fault == "" {
			s.Target.Name = names.take(name, s.Target.Endpoint)
			if s.Target.Name != name {
				s.Was = name
			}
			if fault = complaint(s.Target); fault == "" && s.Was != "" && repeats(read, s) {
				fault, repeated = "the same entry is there before", true
			}
			if fault != "" {
				names.giveBack(s.Target.Name)
			}
		}
		if fault != "" {
			f.Left = append(f.Left, Left{ServersFile, e.called(name), fault, repeated})
			continue
		}
		read = append(read, s)
	}
	f.Servers = read
}

// complaint says what is wrong with a server, "" for nothing.
func complaint(t target.Target) string {
	if err := t.Validate(); err != nil {
		return reason(err, target.ErrInvalid)
	}
	return ""
}

// repeats reports whether an entry of the same name in the file says the same.
func repeats(read []Server, s Server) bool {
	for _, o := range read {
		name := o.Was
		if name == "" {
			name = o.Target.Name
		}
		if name == s.Was && o.Target.SameEndpoint(s.Target) && o.Target.SameShell(s.Target) && o.Target.StatsDB == s.Target.StatsDB {
			return true
		}
	}
	return false
}

func readServer(e entry, open openSecret) (s Server, fault string) {
	if e.fault != "" {
		return s, e.fault
	}
	var password, shellPassword string
	t := target.Target{Enabled: true}
	for _, field := range []struct {
		name string
		into *string
	}{
		{"name", &t.Name},
		{"host", &t.Endpoint.Host},
		{"user", &t.Endpoint.User},
		{"stats_db", &t.StatsDB},
		{"ssh_user", &t.Shell.User},
		{"password", &password},
		{"ssh_password", &shellPassword},
	} {
		var ok bool
		if *field.into, ok = e.text(field.name); !ok {
			return Server{Target: t}, field.name + " is not text"
		}
	}
	for _, field := range []struct {
		name   string
		preset int
		into   *int
	}{{"port", 5432, &t.Endpoint.Port}, {"ssh_port", 22, &t.Shell.Port}} {
		var ok bool
		if *field.into, ok = e.number(field.name, field.preset); !ok || *field.into < 1 || *field.into > 65535 {
			if field.name == "ssh_port" && t.Shell.User == "" {
				*field.into = field.preset // nobody logs in there
				continue
			}
			return Server{Target: t}, field.name + " is not a number from 1 to 65535"
		}
	}
	t.Endpoint.Host = strings.TrimSpace(t.Endpoint.Host)
	if inner, ok := strings.CutPrefix(t.Endpoint.Host, "["); ok {
		t.Endpoint.Host = strings.TrimSuffix(inner, "]")
	}
	if t.StatsDB != "" {
		t.Pool = target.PoolStatsDB // as the Python version sized it
	}
	t.Defaults()
	s.PasswordLost = openInto(&t.Endpoint.Password, password, open)
	s.ShellPasswordLost = openInto(&t.Shell.Password, shellPassword, open)
	s.Target = t
	return s, ""
}

// openInto decrypts a token; an empty one is no secret.
func openInto(into *secret.Value, token string, open openSecret) error {
	if token == "" {
		return nil
	}
	value, err := open(token)
	if err != nil {
		return err
	}
	if strings.ContainsRune(value.Reveal(), 0) {
		return fmt.Errorf("%w: there is a NUL in it", ErrSecret)
	}
	*into = value
	return nil
}

// nameBook gives every server a name of its own. A good name belongs to the
// first entry that has it.
type nameBook struct {
	wanted map[string]bool // good names of the file
	taken  map[string]bool
}

func newNameBook(entries []entry) nameBook {
	b := nameBook{wanted: make(map[string]bool), taken: make(map[string]bool)}
	for _, e := range entries {
		if name, ok := e.text("name"); ok {
			b.wanted[name] = true
		}
	}
	return b
}

// take gives the name itself if it is good and free. Otherwise slashes and what
// does not print become _, or it is called by its address; and a number is
// appended where somebody else has that.
func (b nameBook) take(name string, e target.Endpoint) string {
	if target.ValidateName(name) == nil && !b.taken[name] {
		b.taken[name] = true
		return name
	}
	base := ReplaceName(name)
	if base == "" {
		base = ReplaceName(strings.TrimPrefix(e.Host, "/") + "_" + strconv.Itoa(e.Port))
	}
	free := base
	for n := 2; b.taken[free] || b.wanted[free]; n++ {
		free = cut(base, target.MaxNameBytes-8) + "_" + strconv.Itoa(n)
	}
	b.taken[free] = true
	return free
}

func (b nameBook) giveBack(name string) { delete(b.taken, name) }

// ReplaceName gives a name that pgam accepts for one of the Python version: the
// same if it is good; "" where nothing of it can be kept.
func ReplaceName(name string) string {
	name = cut(strings.Map(func(r rune) rune {
		if r == '/' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name), target.MaxNameBytes)
	if strings.Trim(name, "_ ") == "" || target.ValidateName(name) != nil {
		return ""
	}
	return name
}

// cut shortens a text to at most n bytes, between two characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
