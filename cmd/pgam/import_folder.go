package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/legacy"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// What became of an entry.
const (
	statusNew     = "new"
	statusPresent = "present"
	statusLeft    = "left out"
)

// scanAtOnce is how many hosts are asked for their keys at one time.
const scanAtOnce = 8

// left reports the entries of a file that cannot be read.
func (i *importer) left(file string) (entries []legacy.Left) {
	for _, l := range i.folder.Left {
		if l.File != file {
			continue
		}
		entries = append(entries, l)
		if !l.Repeated {
			i.toDo("%s: %s: %s", file, l.Entry, l.Why)
		}
	}

	return entries
}

func (i *importer) importUsers(ctx context.Context) error {
	if i.flags.from == "" {
		return nil
	}
	list, err := i.stats.ListAccounts(ctx)
	if err != nil {
		return err
	}
	known, admin := make(map[string]account.User), false
	for _, u := range list {
		known[u.Login] = u
		admin = admin || (u.Role == account.Admin && u.Active)
	}
	for _, u := range i.folder.Users {
		if u.UnknownRole != "" {
			u.Role = i.role
		}
		line := importedUser{Login: u.Login, Role: string(u.Role), Status: statusNew}
		present, there := known[u.Login]
		switch {
		case auth.CheckHash(u.PasswordHash) != nil:
			line.Status, line.Remark = statusLeft, "the password is not a bcrypt hash of a usual cost"
			i.toDo("user %q: %s: pgam user create %q", u.Login, line.Remark, u.Login)
		case there:
			line.Status, line.Role, line.Remark = statusPresent, string(present.Role), presentUser(present, u)
		default:
			line.Remark = newUser(u)
			admin = admin || (u.Role == account.Admin && u.Active)
			if err := i.createUser(ctx, u); err != nil {
				return err
			}
		}
		i.report.Users = append(i.report.Users, line)
	}
	for _, l := range i.left(legacy.UsersFile) {
		i.report.Users = append(i.report.Users, importedUser{Login: l.Entry, Status: statusLeft, Remark: l.Why})
	}
	if !admin {
		i.toDo("there is no active administrator: pgam user create NAME --role admin")
	}

	return nil
}

func (i *importer) createUser(ctx context.Context, u legacy.User) error {
	if i.flags.dryRun {
		return nil
	}
	user := account.User{Login: u.Login, PasswordHash: u.PasswordHash, Role: u.Role, Active: u.Active}
	if _, err := i.stats.CreateAccount(ctx, user); err != nil {
		return fmt.Errorf("user %q: %w", u.Login, err)
	}

	return nil
}

// newUser says what is odd about a user that is taken over.
func newUser(u legacy.User) string {
	var remarks []string
	if !u.Active {
		remarks = append(remarks, "inactive")
	}
	if u.UnknownRole != "" {
		remarks = append(remarks, "the role was "+u.UnknownRole)
	}

	return strings.Join(remarks, ", ")
}

// presentUser says where a user is another than its entry. The password is not
// compared: its hash is made anew at a login where it is weak.
func presentUser(known account.User, u legacy.User) string {
	var fields []string
	if known.Role != u.Role && u.UnknownRole == "" {
		fields = append(fields, "role")
	}
	if known.Active != u.Active {
		fields = append(fields, "is_active")
	}
	if len(fields) == 0 {
		return ""
	}

	return asItIs(fields)
}

// asItIs says that an entry is left alone although the file differs.
func asItIs(fields []string) string {
	return "left as it is; the file has another " + strings.Join(fields, ", ")
}

func (i *importer) importServers(ctx context.Context) error {
	known, faults, err := i.stats.ListServers(ctx)
	if err != nil {
		return err
	}
	for _, server := range known {
		i.servers[server.Name] = imported{Target: server}
	}
	for n := range i.folder.Servers {
		s := &i.folder.Servers[n]
		line := importedServer{Name: s.Target.Name, NameBefore: s.Was, Status: statusNew}
		present, there := i.servers[s.Target.Name]
		if there {
			line.Status = statusPresent
			if different := differences(present.Target, s, faults[present.ID]); len(different) > 0 {
				line.Remark = asItIs(different)
			}
			i.servers[s.Target.Name] = imported{present.Target, s}
		} else if err := i.importServer(ctx, s); err != nil {
			return err
		}
		if s.Was != "" && line.Status == statusNew {
			line.Remark = "was called " + fmt.Sprintf("%q", s.Was)
		}
		i.report.Servers = append(i.report.Servers, line)
	}
	for _, l := range i.left(legacy.ServersFile) {
		i.report.Servers = append(i.report.Servers, importedServer{Name: l.Entry, Status: statusLeft, Remark: l.Why})
	}
	for _, name := range slices.Sorted(maps.Keys(i.sources)) {
		if _, ok := i.servers[name]; !ok {
			return misconfigured{fmt.Errorf("--stats-dsn: there is no server %q", name)}
		}
	}

	return nil
}

// importServer adds a server that is not there.
func (i *importer) importServer(ctx context.Context, s *legacy.Server) error {
	made := s.Target
	if !i.flags.dryRun {
		var err error
		if made, err = i.stats.CreateServer(ctx, s.Target); err != nil {
			return serverError(s.Target.Name, err)
		}
	}
	i.servers[made.Name] = imported{made, s}
	if s.PasswordLost != nil {
		i.toDo("server %q: password: %s: pgam server set %q --password-file FILE", made.Name, s.PasswordLost, made.Name)
	}
	if s.ShellPasswordLost != nil {
		i.toDo("server %q: SSH password: %s: pgam server set %q --ssh-password-file FILE", made.Name, s.ShellPasswordLost, made.Name)
	}

	return nil
}

// differences names the fields in which a server is another than its entry.
// Secrets that cannot be read on either side are not compared.
func differences(t target.Target, s *legacy.Server, fault error) (fields []string) {
	broken, _ := errors.AsType[*target.SecretsError](fault)
	if broken == nil {
		broken = &target.SecretsError{}
	}
	o := s.Target
	for _, field := range []struct {
		name string
		same bool
	}{
		{"host", t.Endpoint.Host == o.Endpoint.Host},
		{"port", t.Endpoint.Port == o.Endpoint.Port},
		{"user", t.Endpoint.User == o.Endpoint.User},
		{"password", broken.Password != nil || s.PasswordLost != nil || t.Endpoint.Password.Equal(o.Endpoint.Password)},
		{"stats_db", t.StatsDB == o.StatsDB},
		{"ssh_user", t.Shell.User == o.Shell.User},
		{"ssh_port", t.Shell.Port == o.Shell.Port},
		{"ssh_password", broken.Shell != nil || s.ShellPasswordLost != nil || t.Shell.Password.Equal(o.Shell.Password)},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}

	return fields
}

// hostKeys confirms the SSH hosts of the folder's servers.
func (i *importer) hostKeys(ctx context.Context) error {
	var names []string
	for name, s := range i.servers {
		if s.entry != nil && s.Disks() == target.DiskSSH && s.Shell.HostKey == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if !i.flags.pin && i.flags.knownHosts == "" {
		for _, name := range names {
			// The file of the settings may confirm it; the collector will know.
			if i.cfg.SSHKnownHosts == "" {
				i.toDo("server %q: the SSH host key is not confirmed: pgam server pin %q", name, name)
			}
		}

		return nil
	}
	for n, key := range i.scan(ctx, names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := i.hostKey(ctx, names[n], key); err != nil {
			return err
		}
	}

	return nil
}

// shownKey is what a host showed.
type shownKey struct {
	key remote.HostKey
	err error
}

// scan looks at the keys of several hosts at once.
func (i *importer) scan(ctx context.Context, names []string) []shownKey {
	keys := make([]shownKey, len(names))
	slots := make(chan struct{}, scanAtOnce)
	var wg sync.WaitGroup
	for n, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			keys[n].key, keys[n].err = i.shells.ScanHostKey(ctx, i.servers[name].Target)
		})
	}
	wg.Wait()

	return keys
}

// hostKey pins what a host shows, if it is confirmed.
func (i *importer) hostKey(ctx context.Context, name string, shown shownKey) error {
	server := i.servers[name].Target
	err := shown.err
	if err == nil && i.flags.knownHosts != "" {
		err = i.shells.CheckHostKey(server, shown.key)
		if unknown, ok := errors.AsType[*remote.HostKeyError](err); ok && i.flags.pin && !unknown.Changed() {
			err = nil
		}
	}
	if err != nil {
		i.toDo("server %q: SSH: %s: pgam server pin %q", name, remote.Describe(err), name)

		return nil
	}
	if !i.flags.dryRun {
		if err := pinHostKey(ctx, i.stats.Catalog, server, shown.key); err != nil {
			i.toDo("server %q: SSH: %s", name, err)

			return nil
		}
	}
	for n := range i.report.Servers {
		if i.report.Servers[n].Name == name && i.report.Servers[n].Status != statusLeft {
			i.report.Servers[n].HostKey = shown.key.Type + " " + shown.key.Fingerprint
		}
	}

	return nil
}
