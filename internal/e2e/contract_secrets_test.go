package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/pgtest"
)

// secrets are what must be nowhere, by what they are.
func (s *site) secrets(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{
		"a user's password": userPassword, "the password of stats_db": statsPassword, "the token key": tokenKey,
		"a server's password": pgtest.Password, "a wrong password": wrongPassword,
		"an SSH password": s.shell.Password, "a wrong SSH password": wrongShellPassword, "a passphrase": keyPassphrase,
		"a password in JSON": "canary-in-json", "a password in a body that is refused": "canary-in-a-body", "a query string": "garbage-canary",
	}
	for name, c := range map[string]*client{"viewer": s.viewer, "operator": s.operator, "admin": s.admin} {
		list["the signature of the token of "+name] = c.token[strings.LastIndexByte(c.token, '.')+1:]
	}
	for i, pem := range s.private {
		lines := strings.Split(strings.TrimSpace(pem), "\n")
		list["private SSH key "+strconv.Itoa(i)] = lines[len(lines)-3] // The last whole line: the secret part.
		if key, err := ssh.ParseRawPrivateKey([]byte(pem)); err == nil {
			list["seed of SSH key "+strconv.Itoa(i)] = string(key.(*ed25519.PrivateKey).Seed())
		}
	}
	list["the hash of a password"] = pgtest.Value[string](t, s.dsn, "select password_hash from pgam.account where login = 'viewer'")
	keyring, err := os.ReadFile(filepath.Join(s.dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	material := regexp.MustCompile(`"value"\s*:\s*"([^"]{20,})"`).FindSubmatch(keyring)
	if material == nil {
		t.Fatal("no key was found in the keyring")
	}
	list["the key of the keyring"] = string(material[1])

	return list
}

// forms are how a secret may look.
func forms(secret string) map[string]string {
	all := map[string]string{
		"raw": secret, "in a query": url.QueryEscape(secret), "in a path": url.PathEscape(secret), "in hexadecimal": hex.EncodeToString([]byte(secret)),
		"quoted": strings.Trim(strconv.Quote(secret), `"`),
	}
	if text, err := json.Marshal(secret); err == nil {
		all["in JSON"] = strings.Trim(string(text), `"`)
	}
	for shift := range 3 {
		// What is the same whatever stands before and behind.
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		text = strings.TrimRight(text, "=")
		all["in base64, shifted by "+strconv.Itoa(shift)] = text[(shift*8+5)/6 : len(text)-1]
	}

	return all
}

// find names the secrets that are in a text.
func find(text string, secrets map[string]string) []string {
	var found []string
	for name, secret := range secrets {
		for form, word := range forms(secret) {
			if strings.Contains(text, word) {
				found = append(found, name+" ("+form+")")
			}
		}
	}

	return found
}

// noSecret looks for secrets wherever something was left: logs, answers,
// metrics, files, stats_db, and what the servers have seen (promise 16).
func (s *site) noSecret(t *testing.T) {
	secrets := s.secrets(t)
	for name, secret := range secrets { // That it can fail.
		for form, word := range forms(secret) {
			if found := find("before "+word+" behind", map[string]string{name: secret}); len(found) == 0 || len(word) < 8 {
				t.Errorf("%s, %s, would not be found", name, form)
			}
		}
	}
	s.seen.mu.Lock()
	places := map[string]string{"an answer": s.seen.text.String(), "a statement": s.statements.text()}
	s.seen.mu.Unlock()
	if len(places["an answer"]) < 10_000 || !strings.Contains(places["a statement"], "pgam:") && !strings.Contains(places["a statement"], "pg_stat_activity") {
		t.Error("too little was recorded to look for secrets in")
	}
	for i, p := range s.processes {
		places["the log of "+p.program+" "+strconv.Itoa(i)] = p.logged()
	}
	for _, p := range []*process{s.api, s.second, s.collector} {
		places["the metrics of "+p.program] = string((&client{url: p.url()}).get(t, "/metrics").want(t, http.StatusOK).Body)
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "cmdline"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		places["the command line of "+p.program] = string(line)
	}
	maps.Copy(places, s.stored(t))
	maps.Copy(places, s.files(t))
	for place, text := range places {
		for _, found := range find(text, secrets) {
			if strings.HasPrefix(found, "the hash") && place == "pgam.account" {
				continue // Where it belongs.
			}
			t.Errorf("%s holds %s", place, found)
		}
	}
}

// stored is all that is in stats_db, as text.
func (s *site) stored(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for table := range strings.SplitSeq(pgtest.Value[string](t, s.dsn, `
select string_agg(n.nspname || '.' || c.relname, ' ')
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('pgam', 'history', 'public') and c.relkind in ('r', 'p') and not c.relispartition and c.relname !~ '_p[0-9]+$'`), " ") {
		all[table] = pgtest.Value[string](t, s.dsn, "select coalesce(string_agg(x::text, chr(10)), '') from "+table+" x")
	}
	if len(all) < 10 || !strings.Contains(all["pgam.server"], "t1") {
		t.Errorf("%d tables were found", len(all))
	}

	return all
}

// files are those that the programs wrote.
func (s *site) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Join(s.dir, "journal"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all["the file "+entry.Name()] = string(content)

		return err
	})
	if err != nil || len(all) == 0 {
		t.Errorf("%d files of the journal: %v", len(all), err)
	}

	return all
}

// statements are what our programs were seen to send to a server.
type statements struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *statements) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all strings.Builder
	for sql := range s.seen {
		all.WriteString(sql + "\n")
	}

	return all.String()
}

// follow looks at pg_stat_activity of a server until the test ends. Servers are
// stopped and started meanwhile.
func (s *statements) follow(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var conn *pgx.Conn
		for {
			select {
			case <-ctx.Done():
				if conn != nil {
					_ = conn.Close(context.WithoutCancel(ctx))
				}

				return
			case <-tick.C:
			}
			if conn == nil || conn.IsClosed() {
				conn, _ = pgx.Connect(ctx, dsn) // Or at the next tick.
			}
			if conn != nil {
				s.look(ctx, conn)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func (s *statements) look(ctx context.Context, conn *pgx.Conn) {
	rows, err := conn.Query(ctx, "select distinct query from pg_stat_activity where application_name like 'pgam%'")
	if err != nil {
		return
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sql := range list {
		s.seen[sql] = true
	}
}
