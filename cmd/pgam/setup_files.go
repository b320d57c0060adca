package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/secret"
)

// defaultConfigDir is where an installation has its settings and secrets, and
// these are the files in it; deploy/systemd names the same.
const (
	defaultConfigDir = "/etc/pgam"
	statsDSNFile     = "stats.dsn"
	keyringFile      = "keyring.json"
	tokenKeyFile     = "token.key"
)

func (s *setup) path(name string) string { return filepath.Join(s.o.configDir, name) }

// writeFiles makes the folder of settings and what is missing in it.
func (s *setup) writeFiles(ctx context.Context, conn *pgx.Conn, version int32) error {
	if err := s.writeDSN(); err != nil {
		return err
	}
	if _, err := os.Stat(s.path(keyringFile)); err == nil {
		if _, err := secret.ReadKeyring(s.path(keyringFile)); err != nil {
			return misconfigured{err}
		}
	} else if holds, err := s.holdsSecrets(ctx, conn, version); err != nil || holds {
		if holds {
			err = fmt.Errorf("%s: %w", s.path(keyringFile), errLostKeyring)
		}

		return err
	}
	for _, key := range []struct {
		name, what string
		write      func(path string) error
	}{
		{keyringFile, "keyring", secret.WriteKeyring},
		{tokenKeyFile, "token key", local.WriteTokenKey},
	} {
		if err := s.makeOnce(key.name, key.what, func() error { return key.write(s.path(key.name)) }); err != nil {
			return err
		}
	}
	for _, program := range []string{"collector", "api"} {
		content := []byte(config.EnvironmentFile(program))
		if err := s.makeOnce(program+".env", "settings", func() error { return s.writeFile(program+".env", content, 0o640) }); err != nil {
			return err
		}
	}

	return nil
}

// makeOnce writes a file where there is none.
func (s *setup) makeOnce(name, what string, write func() error) error {
	_, err := os.Lstat(s.path(name))
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return s.unwritable(err)
	case !s.o.dryRun:
		if err := write(); err != nil {
			return err
		}
	}
	s.did("made %s %s", what, s.path(name))

	return nil
}

// makeFolder makes the folder of settings: root's, and its group may enter.
func (s *setup) makeFolder() error {
	if isFolder(s.o.configDir) {
		return nil
	}
	if !s.o.dryRun {
		if err := os.MkdirAll(s.o.configDir, 0o750); err != nil {
			return s.unwritable(err)
		}
		if err := s.giveGroup(s.o.configDir); err != nil {
			return err
		}
	}
	s.did("made folder %s", s.o.configDir)

	return nil
}

// writeDSN stores where stats_db is. An address that is known already stays as it
// is, another takes its place.
func (s *setup) writeDSN() error {
	if err := s.makeFolder(); err != nil {
		return err
	}
	path, verb := s.path(statsDSNFile), "made"
	before, err := os.ReadFile(path) //nolint:gosec // Where the operator says.
	switch {
	case err == nil && string(before) == s.dsn.value.Reveal()+"\n":
		return nil
	case err == nil:
		verb = "replaced"
	case !errors.Is(err, fs.ErrNotExist):
		return s.unwritable(err)
	}
	if !s.o.dryRun {
		if err := s.writeFile(statsDSNFile, []byte(s.dsn.value.Reveal()+"\n"), 0o600); err != nil {
			return err
		}
	}
	s.did("%s address of stats_db %s", verb, path)

	return nil
}

// writeFile puts a whole file in place; the group of the daemons may read one of
// mode 0640.
func (s *setup) writeFile(name string, content []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp(s.o.configDir, "."+name+"-")
	if err != nil {
		return s.unwritable(err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // It has another name by then, or is of no use.
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err == nil && mode.Perm()&0o040 != 0 {
		err = s.giveGroup(file.Name())
	}
	if err == nil {
		err = os.Rename(file.Name(), s.path(name))
	}
	if err != nil {
		return s.unwritable(err)
	}

	return nil
}

// giveGroup lets the group of the daemons read path, if root runs setup and the
// group is there.
func (s *setup) giveGroup(path string) error {
	group, err := user.LookupGroup(s.o.group)
	if err != nil || os.Geteuid() != 0 {
		return nil //nolint:nilerr // Then the files belong to who runs setup.
	}
	id, err := strconv.Atoi(group.Gid)
	if err != nil {
		return nil //nolint:nilerr // As above.
	}
	if err := os.Chown(path, 0, id); err != nil {
		return s.unwritable(err)
	}

	return nil
}

// unwritable says what to do about a folder that cannot be written.
func (s *setup) unwritable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return misconfigured{fmt.Errorf("%w: run it as root, or name another folder with --config-dir", err)}
	}

	return fmt.Errorf("write into %s: %w", s.o.configDir, err)
}
