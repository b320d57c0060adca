package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	formType = "application/x-www-form-urlencoded"
	// userPassword has what forms trip over.
	userPassword = "battery + staple = 100% & more"
	// statsPassword is in the address of stats_db.
	statsPassword = "canary-of-stats-db"
	tokenKey      = "canary-q3vN0kz1-of-the-token-key-7Yb2"
	wrongPassword = "canary-of-a-wrong-password"
	uiOrigin      = "https://ui.example.org"

	// liveDeadline is how long the first API process waits for a server; the
	// second waits much longer.
	liveDeadline = 2 * time.Second
	// statusTTL and sshTTL are how long the caches of the first API process keep
	// an answer.
	statusTTL = time.Second
	sshTTL    = 3 * time.Second
)

// site is a whole installation, made as its operator would: a stats_db, users,
// two API processes and a collector; and what is there to be watched.
type site struct {
	t         *testing.T // of all parts together
	dir       string
	dsn       string // of stats_db, to look into it
	settings  []string
	api       *process
	second    *process
	collector *process
	seen      *record
	processes []*process // all that were ever started
	// The same stats_db, for what takes too long otherwise.
	catalog    *catalog.Catalog
	history    *ingest.Writer
	statements statements // what was seen in pg_stat_activity

	viewer, operator, admin *client // of the first API process
	watched                 *pgtest.Server
	mute                    *faultnet.Listener       // accepts and never answers
	shell                   *sshtest.InProcessServer // of the host of watched, in known_hosts
	names                   names

	mu      sync.Mutex
	private []string // keys that must be seen nowhere
}

// hide notes a private key, which must be seen nowhere.
func (s *site) hide(pem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = append(s.private, pem)
}

// startSite starts everything.
func startSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), dsn: pgtest.EmptyDB(t), seen: &record{statuses: map[string]map[int]int{}}, statements: statements{seen: map[string]bool{}}}
	s.watched = pgtest.Target(t, pgtest.WithSettings(map[string]string{"log_connections": "on"}))
	s.mute, s.shell = faultnet.Listen(t, nil), sshtest.InProcess(t)
	s.hide(s.shell.ClientKeyPEM)
	s.prepare(t)
	known := fmt.Sprintf("[%s]:%d %s\n", s.shell.Host, s.shell.Port, s.shell.HostKeyLine)
	if err := os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	s.statements.follow(t, s.dsn)
	s.statements.follow(t, s.watched.SuperuserDSN())
	s.settings = append(s.settings, "PGAM_SSH_TIMEOUT=3s", "PGAM_SSH_KNOWN_HOSTS="+filepath.Join(s.dir, "known_hosts"))
	var starting sync.WaitGroup
	starting.Go(func() {
		s.api = startProcess(t, t, "pgam-api", append(s.apiSettings(), "SERVER_STATUS_CACHE_TTL=1", "SSH_CACHE_TTL=3", "PGAM_LIVE_DEADLINE="+liveDeadline.String())...)
	})
	starting.Go(func() {
		s.second = startProcess(t, t, "pgam-api", append(s.apiSettings(),
			"PGAM_STATUS_CACHE_TTL=10m", "PGAM_SSH_CACHE_TTL=10m", "PGAM_LIVE_DEADLINE=15s", "PGAM_LOG_FORMAT=json")...)
	})
	starting.Go(func() { s.collector = startProcess(t, t, "pgam-collector", s.collectorSettings()...) })
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	s.processes = []*process{s.api, s.second, s.collector}
	c := newClient(t, s.api.url(), s.seen)
	s.viewer, s.operator, s.admin = c.as(c.login(t, "viewer", userPassword)), c.as(c.login(t, "operator", userPassword)), c.as(c.login(t, "admin", userPassword))
	s.names = names{strconv.Itoa(s.watched.Port()): "port of the server", strconv.Itoa(s.mute.Port()): "port of the mute server"}

	return s
}

// prepare does what an operator does before the first start.
func (s *site) prepare(t *testing.T) {
	t.Helper()
	user, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	s.settings = []string{
		"PGAM_STATS_DSN=" + pgtest.WithUser(t, s.dsn, user.User.Username(), statsPassword),
		"PGAM_KEY_FILE=" + filepath.Join(s.dir, "keyring.json"),
	}
	file := filepath.Join(s.dir, "password")
	if err := os.WriteFile(file, []byte(userPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keyring := strings.TrimPrefix(s.settings[1], "PGAM_KEY_FILE=")
	for _, args := range [][]string{
		{"key", "generate", keyring},
		{"migrate"},
		{"user", "create", "viewer", "--role", "viewer", "--password-file", file},
		{"user", "create", "operator", "--role", "operator", "--password-file", file},
		{"user", "create", "admin", "--role", "admin", "--password-file", file},
	} {
		if out := runProgram(t, s.settings, "pgam", args...); out.code != 0 {
			t.Fatalf("pgam %s: %s", strings.Join(args, " "), out.stderr)
		}
	}
	ring, err := secret.ReadKeyring(keyring)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(s.dsn)})
	s.catalog, s.history = catalog.New(db, ring), ingest.New(db, sample.NewHash(ring.ContentKey()))
}

// start starts one process more, for all parts that follow.
func (s *site) start(t *testing.T, program string, settings ...string) *process {
	t.Helper()
	p := startProcess(t, s.t, program, settings...)
	s.processes = append(s.processes, p)

	return p
}

// apiSettings are those of both API processes.
func (s *site) apiSettings() []string {
	return append([]string{
		"PGAM_LISTEN=127.0.0.1:0", "SECRET_KEY=" + tokenKey, "LOG_LEVEL=DEBUG", "PGAM_CORS_ORIGINS=" + uiOrigin,
		"PGAM_LOGIN_RATE=100000",
	}, s.settings...)
}

// collectorSettings keep everything for ever, so that tests may write about
// past years.
func (s *site) collectorSettings() []string {
	return append([]string{
		"PGAM_DATA_DIR=" + filepath.Join(s.dir, "journal"), "PGAM_HEALTH_LISTEN=127.0.0.1:0", "PGAM_LOG_LEVEL=debug",
		"PGAM_DATABASES_INTERVAL=1s", "PGAM_INVENTORY_INTERVAL=1s", "PGAM_SIZES_INTERVAL=10s", "PGAM_DISKS_INTERVAL=5s",
		"PGAM_RETENTION_ACTIVITY=36500d", "PGAM_RETENTION_DATABASES=36500d", "PGAM_RETENTION_ROLLUPS=36500d", "PGAM_RETENTION_DISKS=36500d",
	}, s.settings...)
}

// row is a body of POST and PUT /servers about the watched server.
func (s *site) row(name string) map[string]any {
	return map[string]any{
		"name": name, "host": s.watched.Host(), "port": s.watched.Port(), "user": pgtest.User, "password": pgtest.Password,
		"stats_db": nil, "ssh_user": "", "ssh_password": "", "ssh_port": 22,
	}
}

// talk has a conversation at / and at /api, and holds both against one golden
// file.
func (s *site) talk(t *testing.T, golden string, m masks, converse func(*transcript)) {
	t.Helper()
	for _, prefix := range []string{"", "/api"} {
		t.Run("at "+prefix+"/", func(t *testing.T) {
			talk := &transcript{t: t, c: s.operator, prefix: prefix, masks: m, names: s.names}
			converse(talk)
			talk.compare(golden)
		})
	}
}

// id is the server's id.
func (s *site) id(t *testing.T, name string) target.ID {
	t.Helper()

	return pgtest.Value[target.ID](t, s.dsn, "select id from pgam.server where name = $1 and deleted_at is null", name)
}

// connect opens a connection for as long as the test lasts.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	return conn
}

// forge signs a token as the API would, with what may be wrong about it.
func forge(t *testing.T, key, login string, at time.Time) string {
	t.Helper()
	tokens, err := auth.NewTokens(auth.TokensConfig{Key: []byte(key), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := tokens.Issue(account.User{ID: 4711, TokenEpoch: 1, Login: login, Role: account.Admin, Active: true}, at)
	if err != nil {
		t.Fatal(err)
	}

	return token
}
