package main

import (
	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/secret"
)

func (t *tool) keyCommand() *cobra.Command {
	return groupCommand("key", "Make the key files of an installation",
		&cobra.Command{
			Use:   "generate FILE",
			Short: "Make the keyring that seals the passwords of servers (PGAM_KEY_FILE)",
			Long: `Makes a keyring in a new file of mode 600, for PGAM_KEY_FILE of pgam-collector,
pgam-api and pgam. An existing file is never touched: secrets sealed with it
would be lost. Keep a copy in a safe place, apart from the backups of stats_db.`,
			Example: "  pgam key generate /etc/pgam/keyring.json",
			Args:    one("FILE"),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := secret.WriteKeyring(args[0]); err != nil {
					return misconfigured{err}
				}
				t.say("made keyring %s", args[0])

				return nil
			},
		},
		&cobra.Command{
			Use:   "token FILE",
			Short: "Make the key that signs the API's tokens (PGAM_TOKEN_KEY_FILE)",
			Long: `Makes a random key in a new file of mode 600, for PGAM_TOKEN_KEY_FILE of
pgam-api. An existing file is never touched. Tokens end when their key changes,
unless the old one is given as PGAM_TOKEN_KEY_PREVIOUS_FILE.`,
			Example: "  pgam key token /etc/pgam/token.key",
			Args:    one("FILE"),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := local.WriteTokenKey(args[0]); err != nil {
					return misconfigured{err}
				}
				t.say("made token key %s", args[0])

				return nil
			},
		},
	)
}
