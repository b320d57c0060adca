package catalog

import (
	"context"
	"errors"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// A stored password goes to a host that shows the key it was stored with: who
// pins another one brings the password again or answers for the key, and in SQL
// nobody changes it.
func TestAStoredPasswordIsForTheKeyThatWasPinned(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	_, first := sshtest.NewKey(t, "ed25519", "")
	_, other := sshtest.NewKey(t, "ed25519", "")
	for name, tunnel := range map[string]bool{"direct": false, "tunnel": true} {
		made, err := c.CreateServer(t.Context(), target.Target{
			Name: name, Endpoint: target.Endpoint{Host: "db.example.org", User: "mon", Password: secret.New("pw")},
			Shell: target.Shell{Host: "jump.example.org", User: "watch", Password: secret.New("sshpw"), Tunnel: tunnel},
		})
		if err != nil {
			t.Fatal(err)
		}
		pin := func(line string, vouched bool, more func(*target.Target)) error {
			_, err := c.UpdateServer(t.Context(), name, func(now *target.Target) error {
				now.Shell.HostKey, now.Shell.HostKeyVouched = line, vouched
				if more != nil {
					more(now)
				}
				return nil
			})
			return err
		}
		opens := func(what string) {
			t.Helper()
			got, err := c.Server(t.Context(), name)
			if err != nil || got.Endpoint.Password.Reveal() != "pw" || got.Shell.Password.Reveal() != "sshpw" || got.Shell.HostKeyVouched {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		refused := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, target.ErrInvalid) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			opens(what)
		}
		refused("a first pin", pin(first, false, nil))
		if pinned, err := c.PinHostKey(t.Context(), made, first); err != nil || !pinned {
			t.Fatalf("%s: pinned %t, %v", name, pinned, err)
		}
		opens("pinned at first contact")
		refused("another pin", pin(other, false, nil))
		refused("no pin", pin("", false, nil))
		refused("another pin and user", pin(other, true, func(now *target.Target) { now.Shell.User = "eve" }))
		if err := pin(other, true, nil); err != nil {
			t.Errorf("%s, vouched for: %v", name, err)
		}
		opens("vouched for")
		if err := pin(first, false, func(now *target.Target) {
			now.Endpoint.Password, now.Shell.Password = secret.New("pw"), secret.New("sshpw")
		}); err != nil {
			t.Errorf("%s, with the passwords: %v", name, err)
		}
		opens("with the passwords")
		if err := pin(first, false, nil); err != nil {
			t.Errorf("%s, the same pin: %v", name, err)
		}
		for column, broken := range map[string]bool{"ssh_host_key": true, "database_name": false} {
			pgtest.Exec(t, dsn, "update pgam.server set "+column+" = $$"+map[string]string{"ssh_host_key": other, "database_name": "else"}[column]+"$$ where name = '"+name+"'")
			got, err := c.Server(t.Context(), name)
			fault, ok := errors.AsType[*target.SecretsError](err)
			if !ok || !got.Shell.Password.IsZero() && broken || (fault.Shell != nil) != broken || (fault.Password != nil) != (!broken || tunnel) {
				t.Errorf("%s, %s changed in SQL: %v", name, column, err)
			}
			pgtest.Exec(t, dsn, "update pgam.server set ssh_host_key = $$"+first+"$$, database_name = 'postgres' where name = '"+name+"'")
			opens("set back in SQL")
		}
	}
	if _, err := c.PinHostKey(context.Background(), target.Target{ID: 1 << 40}, first); err != nil {
		t.Errorf("a server that is gone: %v", err)
	}
}
