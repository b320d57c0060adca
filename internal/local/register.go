package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	firstLogin  = "admin"
	localServer = "local"
)

// register makes the first user and the servers, where they are missing.
func (s *Stack) register(ctx context.Context) error {
	db, err := statsdb.New(statsdb.Config{DSN: s.statsDSN, Application: "pgam-up", MaxConns: 2})
	if err != nil {
		return err
	}
	defer db.Close()
	stored := catalog.New(db, s.keys.ring)
	if err := s.registerUser(ctx, stored); err != nil {
		return err
	}
	if err := s.registerLocal(ctx, stored); err != nil {
		return err
	}
	for _, t := range s.cfg.Targets {
		name, err := registerTarget(ctx, stored, t)
		if err != nil {
			return err
		}
		s.report.Servers = append(s.report.Servers, name)
	}

	return nil
}

// registerUser makes an administrator where there is no user at all.
func (s *Stack) registerUser(ctx context.Context, stored *catalog.Catalog) error {
	count, err := stored.CountAccounts(ctx)
	if err != nil {
		return err
	}
	if count == 0 {
		hasher, err := auth.NewHasher(auth.HasherConfig{})
		if err != nil {
			return err
		}
		password := NewPassword()
		hash, err := hasher.Hash(ctx, password.Reveal())
		if err != nil {
			return err
		}
		user := account.User{Login: firstLogin, PasswordHash: hash, Role: account.Admin, Active: true}
		if _, err := stored.CreateAccount(ctx, user); err != nil {
			return err
		}
		s.report.Password = password
		s.folder.state.Login = firstLogin
		if err := s.folder.save(); err != nil {
			return err
		}
	}
	s.report.Login = s.folder.state.Login
	if s.report.Login == "" {
		s.report.Login = firstLogin // A kill came between the user and the state.
	}

	return nil
}

// registerLocal makes the cluster a server of its own, once, and follows its
// port afterwards. Its disks are those of this machine, unless someone chose
// otherwise. One that was deleted stays deleted.
func (s *Stack) registerLocal(ctx context.Context, stored *catalog.Catalog) error {
	endpoint := target.Endpoint{
		Host: loopback, Port: s.port, User: monitorRole, Database: "postgres", TLS: target.TLSDisable, Password: s.keys.monitor,
	}
	servers, _, err := stored.ListServers(ctx)
	if err != nil {
		return err
	}
	for _, known := range servers {
		mine := known.ID == s.folder.state.LocalServer
		if s.folder.state.LocalServer == 0 { // A kill came between the server and the state.
			mine = known.Name == localServer && known.Endpoint.Host == loopback && known.Endpoint.User == monitorRole
		}
		if !mine {
			continue
		}
		s.folder.state.LocalServer = known.ID
		s.report.Servers = append(s.report.Servers, known.Name)
		moved := known.Endpoint.User == monitorRole && !known.SameEndpoint(target.Target{Endpoint: endpoint, Shell: known.Shell})
		undecided := known.DiskSource == target.DiskAuto && known.Disks() == target.DiskNone
		if moved || undecided {
			_, err = stored.UpdateServer(ctx, known.Name, func(t *target.Target) error {
				if moved {
					t.Endpoint = endpoint
				}
				if undecided {
					t.DiskSource = target.DiskLocal
				}

				return nil
			})
		}

		return errors.Join(err, s.folder.save())
	}
	if s.folder.state.LocalServer != 0 {
		return nil
	}
	made, err := stored.CreateServer(ctx, target.Target{Name: localServer, Endpoint: endpoint, DiskSource: target.DiskLocal, Enabled: true})
	if err != nil {
		return fmt.Errorf("register server %s: %w", localServer, err)
	}
	s.folder.state.LocalServer = made.ID
	s.report.Servers = append(s.report.Servers, made.Name)

	return s.folder.save()
}

// registerTarget stores a server under a name made from its address, or brings
// the one at that address up to date, user and password included, and returns
// its name.
func registerTarget(ctx context.Context, stored *catalog.Catalog, t target.Target) (string, error) {
	t.Defaults()
	servers, _, err := stored.ListServers(ctx)
	if err != nil {
		return "", err
	}
	a := t.Endpoint
	for _, known := range servers {
		b := known.Endpoint
		if a.Host != b.Host || a.Port != b.Port || a.Database != b.Database {
			continue
		}
		if known.SameEndpoint(target.Target{Endpoint: a, Shell: known.Shell}) {
			return known.Name, nil
		}
		_, err := stored.UpdateServer(ctx, known.Name, func(now *target.Target) error { now.Endpoint = a; return nil })

		return known.Name, err
	}
	t.Name, t.Enabled = ServerName(a), true
	if _, err := stored.CreateServer(ctx, t); err != nil {
		return "", fmt.Errorf("register server %s: %w", t.Name, err)
	}

	return t.Name, nil
}

// ServerName makes a name from an address: the host, then the port and the
// database where they are not the usual ones. It can stand in a URL.
func ServerName(e target.Endpoint) string {
	parts := []string{e.Host}
	if e.Port != 0 && e.Port != 5432 {
		parts = append(parts, strconv.Itoa(e.Port))
	}
	if e.Database != "" && e.Database != "postgres" {
		parts = append(parts, e.Database)
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}

		return '-'
	}, strings.Join(parts, "-"))
	name = strings.Trim(name, "-.")
	if name == "" {
		return "server"
	}

	return name[:min(len(name), target.MaxNameBytes)]
}
