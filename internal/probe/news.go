package probe

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/sample"
)

const (
	askSettings question = "settings"
	askHorizon  question = "horizon"
)

const (
	// horizonEvery and settingsEvery are how often is asked; settings also when
	// the server read its files.
	horizonEvery  = time.Minute
	settingsEvery = time.Hour
	// maxSetting bounds a value; a longer one is cut and marked.
	maxSetting = 1000
)

// news is what a connection remembers of the questions that are asked now and
// then. A new connection, such as after a restart, asks anew.
type news struct {
	loaded                time.Time // the server's files, as of the settings last asked
	settingsAt, horizonAt time.Time
	prints                map[[sha256.Size]byte]string
}

// settingsDue reports whether settings are to be asked.
func (n *news) settingsDue(now, loaded time.Time) bool {
	return n.settingsAt.IsZero() || !loaded.Equal(n.loaded) || now.Sub(n.settingsAt) >= settingsEvery
}

// news asks, in a batch of its own, what is due now and then. Who the server
// is has been answered: settings belong to an instance.
func (r *reader) news(ctx context.Context) error {
	c, now := r.conn, r.visit.Tick.Started
	if r.visit.Identity == nil {
		return nil
	}
	var steps []step
	if c.news.settingsDue(now, r.found.loaded) {
		c.news.settingsAt, c.news.loaded = now, r.found.loaded
		steps = append(steps, step{q: askSettings, read: r.settings, keep: func() { r.visit.Settings = r.found.settings }})
	}
	if now.Sub(c.news.horizonAt) >= horizonEvery {
		c.news.horizonAt = now
		steps = append(steps, step{q: askHorizon, read: r.horizon, keep: func() { r.visit.Horizon = r.found.horizon }})
	}
	if len(steps) == 0 {
		return nil
	}
	done, err := c.run(ctx, steps)
	if done < len(steps) && steps[0].q == askSettings && r.visit.Settings == nil {
		// Not at once, nor in an hour.
		c.news.settingsAt = now.Add(horizonEvery - settingsEvery)
	}
	return err
}

func (r *reader) settings(rr *answer) error {
	s := &sample.Settings{At: r.visit.Tick.Started, Loaded: r.found.loaded}
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		name := cleanName(v[0])
		if v[1] == nil {
			s.Hidden = append(s.Hidden, name)
			continue
		}
		s.Set = append(s.Set, sample.Setting{Name: name, Value: r.conn.news.shown(name, cleanText(v[1]))})
	}
	r.found.settings = s
	return nil
}

func (r *reader) horizon(rr *answer) error {
	r.found.horizon = []sample.Horizon{}
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 3 {
			return errShape
		}
		r.found.horizon = append(r.found.horizon, sample.Horizon{
			At: r.visit.Tick.Started, Holder: sample.Holder(cleanName(v[0])), Name: cleanName(v[1]), Age: int64At(v[2]),
		})
	}
	return nil
}

// shown gives what may be kept of a setting's value: the value, or a
// fingerprint where it may hold a secret.
func (n *news) shown(name, value string) string {
	switch {
	case value == "":
		return ""
	case mayHoldSecret(name, value):
		return "fingerprint " + n.fingerprint(name, value)
	case len(value) > maxSetting:
		cut := value[:maxSetting]
		for !utf8.ValidString(cut) {
			cut = cut[:len(cut)-1]
		}
		return fmt.Sprintf("%s … fingerprint %s", cut, n.fingerprint(name, value))
	}
	return value
}

// The costs of guessing a secret from its fingerprint, which tells too little
// to be sure of a guess.
const (
	printRounds = 10_000
	printBytes  = 4
)

// fingerprint tells a value from another without telling the value. It is slow
// on purpose, so that it is made once.
func (n *news) fingerprint(name, value string) string {
	key := sha256.Sum256([]byte(name + "\x00" + value))
	if known, ok := n.prints[key]; ok {
		return known
	}
	sum, err := pbkdf2.Key(sha256.New, value, []byte("pgam setting "+name), printRounds, printBytes)
	if err != nil { // only where the platform forbids the parameters, which are constant
		sum = key[:printBytes]
	}
	if n.prints == nil || len(n.prints) > 100 {
		n.prints = make(map[[sha256.Size]byte]string)
	}
	n.prints[key] = hex.EncodeToString(sum)
	return n.prints[key]
}

// mayHoldSecret errs on the safe side: commands and connection strings are
// never kept as they are.
func mayHoldSecret(name, value string) bool {
	name, value = strings.ToLower(name), strings.ToLower(value)
	switch name {
	case "password_encryption", "ssl_passphrase_command_supports_reload":
		return false
	}
	if strings.HasSuffix(name, "_command") {
		return true
	}
	for _, part := range []string{
		"conninfo", "connstr", "connection_string", "dsn", "passw", "passphrase", "pwd", "secret", "token", "credential",
		"api_key", "apikey", "access_key", "private_key", "encryption_key",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	for _, part := range []string{"passw", "pwd=", "secret", "token=", "api_key", "apikey", "begin private", "begin rsa"} {
		if strings.Contains(value, part) {
			return true
		}
	}
	_, after, isURL := strings.Cut(value, "://")
	return isURL && strings.Contains(after, "@")
}
