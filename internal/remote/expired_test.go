package remote_test

import (
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// A host that lets nobody in, because the account or its password is too old,
// says so; its words are shown, whatever the way to log in.
func TestExpiredAccountsSayWhy(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	for name, tt := range map[string]struct{ ages, says string }{
		"password": {"0:0:99999:7:::", "password"},
		"account":  {"20000:0:99999:7::1:", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sshtest.Start(t, sshtest.WithPassword(password), sshtest.WithKeyboardInteractive(), sshtest.WithAges(tt.ages))
			for how, change := range map[string]func(*target.Shell){
				"key":      func(s *target.Shell) { s.Password, s.Key = secret.Value{}, server.Key() },
				"password": func(s *target.Shell) { s.Password, s.Key = secret.New(password), target.ShellKey{} },
			} {
				shell := server.Shell()
				change(&shell)
				_, err := newShells(t).Run(t.Context(), watched(shell), "echo hello\n")
				text := remote.Describe(err)
				want := sample.AuthFailed
				if name == "account" && how == "key" {
					want = sample.ConnectionLost // All that sshd does then is to hang up.
				}
				if remote.Classify(err) != want || !strings.Contains(text, tt.says) || strings.ContainsAny(text, "\r\n\x1b") {
					t.Errorf("%s: %s: %s (%v)", how, remote.Classify(err), text, err)
				}
			}
		})
	}
}
