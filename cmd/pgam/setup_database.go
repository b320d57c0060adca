package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/secret"
)

// SQLSTATEs of a login that is refused.
const (
	invalidPassword      = "28P01"
	invalidAuthorization = "28000"
)

// statsAddress is where stats_db is.
type statsAddress struct {
	value secret.Value
	cfg   *pgx.ConnConfig
	made  bool // the password was chosen here, and nobody has it yet
}

// chooseDSN finds out where stats_db is.
func (s *setup) chooseDSN(ctx context.Context) (statsAddress, error) {
	given, err := config.LoadTool(s.t.environ)
	if err != nil {
		return statsAddress{}, misconfigured{err}
	}
	_, statErr := os.Stat(s.path(statsDSNFile))
	var text string
	switch {
	case s.o.statsDSN != "":
		text, err = s.urlFrom("--stats-dsn", s.o.statsDSN)
	case !given.StatsDSN.IsZero():
		text = given.StatsDSN.Reveal()
	case statErr == nil:
		text, err = s.urlFrom(s.path(statsDSNFile), "@"+s.path(statsDSNFile))
	case s.o.create != "":
		text, err = s.deriveDSN()
	case isTerminal(s.t.in):
		text, err = s.askDSN(ctx)
	default:
		err = misconfigured{errors.New("where is stats_db? Give --stats-dsn URL, or --create to have it made in the PostgreSQL of this machine")}
	}
	if err != nil {
		return statsAddress{}, err
	}

	return s.readDSN(text)
}

// urlFrom returns a URL that was given as it is, or as @FILE.
func (s *setup) urlFrom(where, text string) (string, error) {
	path, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return text, nil
	}
	lines, err := s.t.readLines(path)
	if err == nil && len(lines) != 1 {
		err = misconfigured{fmt.Errorf("%s: read %s: it must hold a URL in one line and nothing else", where, path)}
	}
	if err != nil {
		return "", err
	}

	return lines[0], nil
}

// readDSN checks a DSN, and puts a password in that will be needed.
func (s *setup) readDSN(text string) (statsAddress, error) {
	checked, err := config.LoadTool([]string{"PGAM_STATS_DSN=" + text})
	if err != nil {
		return statsAddress{}, misconfigured{err}
	}
	a := statsAddress{value: checked.StatsDSN}
	if a.cfg, err = pgx.ParseConfig(text); err != nil {
		return a, misconfigured{errors.New("PGAM_STATS_DSN: cannot be understood: expected postgres://user:password@host:port/stats_db")}
	}
	if a.cfg.Password != "" || strings.HasPrefix(a.cfg.Host, "/") {
		return a, nil
	}
	if cfg := s.stored(); cfg != nil && cfg.Host == a.cfg.Host && cfg.Port == a.cfg.Port && cfg.User == a.cfg.User && cfg.Database == a.cfg.Database {
		if cfg.Password != "" {
			a.setPassword(text, cfg.Password)
		}

		return a, nil
	}
	if s.o.create != "" {
		a.made = true
		a.setPassword(text, local.NewPassword().Reveal())
	}

	return a, nil
}

// setPassword puts a password into a DSN that has none.
func (a *statsAddress) setPassword(text, password string) {
	a.cfg.Password = password
	if u, err := url.Parse(text); err == nil && u.Scheme != "" {
		u.User = url.UserPassword(a.cfg.User, password)
		text = u.String()
	} else {
		text += " password='" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(password) + "'"
	}
	a.value = secret.New(text)
}

// stored is the address of an earlier setup; nil where there is none that can be
// read.
func (s *setup) stored() *pgx.ConnConfig {
	lines, err := s.t.readLines(s.path(statsDSNFile))
	if err != nil || len(lines) != 1 {
		return nil
	}
	cfg, err := pgx.ParseConfig(lines[0])
	if err != nil {
		return nil
	}

	return cfg
}

// deriveDSN puts stats_db beside the administrator's database.
func (s *setup) deriveDSN() (string, error) {
	admin, _, err := s.adminConfig()
	if err != nil {
		return "", err
	}
	host := admin.Host
	if strings.HasPrefix(host, "/") {
		host = "127.0.0.1" // Over a socket the daemons' user would have to be the role.
	}
	u := url.URL{
		Scheme: "postgres", User: url.User("pgam"), Host: net.JoinHostPort(host, strconv.Itoa(int(admin.Port))), Path: "/stats_db",
	}
	if given, err := url.Parse(s.o.create); err == nil {
		kept := url.Values{}
		for _, name := range []string{"sslmode", "sslrootcert"} {
			if value := given.Query().Get(name); value != "" {
				kept.Set(name, value)
			}
		}
		u.RawQuery = kept.Encode()
	}

	return u.String(), nil
}

// askDSN asks a person.
func (s *setup) askDSN(ctx context.Context) (string, error) {
	s.t.say("where shall stats_db be? Press Enter for what stands in brackets")
	answers := make([]string, 0, 4)
	for _, question := range []struct{ name, preset string }{
		{"Host", "127.0.0.1"}, {"Port", "5432"}, {"Database", "stats_db"}, {"User", "pgam"},
	} {
		answer, err := s.t.ask(ctx, question.name+" ["+question.preset+"]: ")
		if err != nil {
			return "", err
		}
		if answer = strings.TrimSpace(answer); answer == "" {
			answer = question.preset
		}
		answers = append(answers, answer)
	}
	password, err := s.t.prompt(ctx, "Password of that user: ")
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User(answers[3]), Host: net.JoinHostPort(answers[0], answers[1]), Path: "/" + answers[2]}
	if !password.IsZero() {
		u.User = url.UserPassword(answers[3], password.Reveal())
	}
	if strings.HasPrefix(answers[0], "/") {
		u.Host, u.RawQuery = "", url.Values{"host": {answers[0]}, "port": {answers[1]}, "user": {answers[3]}}.Encode()
	}

	return u.String(), nil
}

// adminConfig reads where --create enters, and as which user of this machine it
// does: 0 for the one who runs setup.
func (s *setup) adminConfig() (cfg *pgx.ConnConfig, uid int, err error) {
	text, err := s.urlFrom("--create-as", s.o.create)
	if err != nil {
		return nil, 0, err
	}
	if cfg, err = pgx.ParseConfig(text); err != nil {
		return nil, 0, misconfigured{errors.New("--create-as: cannot be understood: expected postgres://administrator:password@host:port/postgres")}
	}
	cfg.RuntimeParams["application_name"] = "pgam-setup"
	if !strings.HasPrefix(cfg.Host, "/") || os.Geteuid() != 0 || cfg.Password != "" {
		return cfg, 0, nil
	}
	if account, err := user.Lookup(cfg.User); err == nil {
		uid, _ = strconv.Atoi(account.Uid)
	}
	if uid != 0 {
		cfg.DialFunc = dialAs(uid)
	}

	return cfg, uid, nil
}

// reach connects to stats_db, after making it where that is asked for. Where a
// dry run finds nothing to connect to, conn is nil.
func (s *setup) reach(ctx context.Context) (conn *pgx.Conn, err error) {
	if conn, err = s.connect(ctx); err == nil {
		return conn, nil
	}
	refused := isRefused(err)
	var pgErr *pgconn.PgError
	if !refused && !(errors.As(err, &pgErr) && pgErr.Code == invalidCatalog) { //nolint:staticcheck // It reads as it is meant.
		return nil, explainStats(s.dsn.value, err)
	}
	switch {
	case s.o.create == "":
		return nil, errors.Join(explainStats(s.dsn.value, err), s.advice())
	case s.o.dryRun:
		s.did("created what is missing of role %s and database %s", s.dsn.cfg.User, s.dsn.cfg.Database)

		return nil, nil
	}
	if s.dsn.made { // A password that only this process knows would be lost with it.
		if err := s.writeDSN(); err != nil {
			return nil, err
		}
	}
	if err := s.prepare(ctx, refused); err != nil {
		return nil, err
	}
	if conn, err = s.connect(ctx); err != nil {
		return nil, explainStats(s.dsn.value, err)
	}

	return conn, nil
}

// isRefused tells whether the role may be missing or have another password.
func isRefused(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		// A server that asks for a password where there is none.
		return strings.Contains(err.Error(), "password")
	}

	return pgErr.Code == invalidPassword || pgErr.Code == invalidAuthorization && !strings.Contains(pgErr.Message, "pg_hba.conf")
}

func (s *setup) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	cfg := s.dsn.cfg.Copy()
	cfg.RuntimeParams["application_name"] = "pgam-setup"

	return pgx.ConnectConfig(ctx, cfg)
}

// prepare makes, as the administrator, what is missing.
func (s *setup) prepare(ctx context.Context, setPassword bool) error {
	cfg, uid, err := s.adminConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	admin, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		hint := ""
		if uid == 0 && strings.HasPrefix(cfg.Host, "/") {
			hint = ": run it as root, who can enter as the user " + cfg.User
		}

		return fmt.Errorf("enter as the administrator: %w%s", explainStats(secret.New(cfg.ConnString()), err), hint)
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	made, err := local.PrepareStats(ctx, admin, local.Owner{
		Role: s.dsn.cfg.User, Password: secret.New(s.dsn.cfg.Password), SetPassword: setPassword, Database: s.dsn.cfg.Database,
	})
	for _, line := range made {
		s.did("%s", line)
	}
	if err != nil {
		return fmt.Errorf("make stats_db: %w", err)
	}

	return nil
}

// advice is the SQL that makes what setup cannot.
func (s *setup) advice() error {
	role, database := pgx.Identifier{s.dsn.cfg.User}.Sanitize(), pgx.Identifier{s.dsn.cfg.Database}.Sanitize()
	host := net.JoinHostPort(s.dsn.cfg.Host, strconv.Itoa(int(s.dsn.cfg.Port)))
	how := "pgam setup --create-as 'postgres://postgres@" + host + "/postgres' and the rest as now"
	if ip := net.ParseIP(s.dsn.cfg.Host); s.dsn.cfg.Host == "localhost" || strings.HasPrefix(s.dsn.cfg.Host, "/") || ip != nil && ip.IsLoopback() {
		how = "pgam setup --create, as root"
	}

	return fmt.Errorf(`if it is not there yet, run what is missing of this as an administrator of that server:
  create role %s login password '…';
  create database %s owner %[1]s;
  create role pgam_read nologin;
or let setup do it: %[3]s`, role, database, how)
}

// checkDatabase tells the version of stats_db, and refuses one that cannot be
// used.
func (s *setup) checkDatabase(ctx context.Context, conn *pgx.Conn) (version int32, err error) {
	if conn == nil {
		return 0, nil
	}
	if err := checkNewEnough(ctx, conn); err != nil {
		return 0, err
	}
	if version, err = schemaVersion(ctx, conn); err != nil || version > 0 {
		if err != nil {
			err = explainStats(s.dsn.value, err)
		}

		return version, err
	}
	var mayMake, hasReader bool
	err = conn.QueryRow(ctx, `select has_database_privilege(current_database(), 'create')
		and coalesce((select has_schema_privilege(oid, 'create') from pg_catalog.pg_namespace where nspname = 'public'), false),
	exists (select from pg_catalog.pg_roles where rolname = 'pgam_read' or rolname = current_user and (rolsuper or rolcreaterole))`).Scan(&mayMake, &hasReader)
	if err != nil {
		return 0, explainStats(s.dsn.value, err)
	}
	role, database := pgx.Identifier{s.dsn.cfg.User}.Sanitize(), pgx.Identifier{s.dsn.cfg.Database}.Sanitize()
	switch {
	case !mayMake:
		return 0, fmt.Errorf("role %s may not make tables in database %s: run as a superuser: alter database %[2]s owner to %[1]s", role, database)
	case hasReader:
		return 0, nil
	case s.o.create == "":
		return 0, errors.New("the role pgam_read, which reads the views, is missing: run as a superuser: create role pgam_read nologin")
	case s.o.dryRun:
		s.did("created role pgam_read")

		return 0, nil
	}

	return 0, s.prepare(ctx, false)
}

// holdsSecrets tells whether anything in stats_db was sealed with a keyring.
func (s *setup) holdsSecrets(ctx context.Context, conn *pgx.Conn, version int32) (holds bool, err error) {
	if conn == nil || version == 0 {
		return false, nil
	}
	err = conn.QueryRow(ctx, `select exists (select from pgam.server
where deleted_at is null and (password_sealed is not null or ssh_password_sealed is not null))`).Scan(&holds)
	if err != nil {
		return false, explainStats(s.dsn.value, err)
	}

	return holds, nil
}
