package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func (t *tool) sshKeyCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("ssh-key", "Manage the SSH keys that pgam logs in to hosts with",
		t.keyGenerateCommand(), t.keyImportCommand(), t.keyListCommand(), t.keyShowCommand(), t.keyRenameCommand(), t.keyDeleteCommand()))
	group.Long = `Manages SSH keys. The private part is stored sealed and never shown; the public
part goes into ~/.ssh/authorized_keys of the user that pgam logs in as. One key
can be bound to many servers, with pgam server add or set, --ssh-key NAME.`

	return group
}

func (t *tool) keyGenerateCommand() *cobra.Command {
	var (
		kind, description string
		bits              int
	)
	cmd := &cobra.Command{
		Use:   "generate NAME",
		Short: "Make an SSH key and print its public part",
		Long: `Makes an SSH key and prints its public part, the line for authorized_keys. It has
no passphrase: it never leaves stats_db in the clear.`,
		Example: `  pgam ssh-key generate fleet
  pgam ssh-key generate old-hosts --type rsa --bits 4096 --description "hosts without Ed25519"`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pair, err := remote.GenerateKey(kind, bits, "pgam "+args[0])
			if err != nil {
				return keyError(args[0], err)
			}

			return t.storeKey(cmd.Context(), target.ManagedKey{Name: args[0], Description: description}, pair)
		},
	}
	cmd.Flags().StringVar(&kind, "type", "ed25519", "`kind` of key: ed25519 or rsa")
	cmd.Flags().IntVar(&bits, "bits", 0, "size of an rsa key in `bits` (default 3072)")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, in a `text`")

	return cmd
}

func (t *tool) keyImportCommand() *cobra.Command {
	var passphraseFile, description string
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Store a private key of ssh-keygen or openssl, and print its public part",
		Long: `Stores a private key, sealed, and prints its public part. - is standard input. A
passphrase is read from a file, or asked for at a terminal; it is stored too,
sealed as well.`,
		Example: `  pgam ssh-key import fleet ~/.ssh/id_ed25519
  pgam ssh-key import fleet - --passphrase-file /run/secrets/passphrase < id_rsa`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("the NAME of the key and the FILE that holds it are expected")
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			k := target.ManagedKey{Name: args[0], Description: description}
			text, err := t.readFile(args[1])
			if err != nil {
				return err
			}
			switch {
			case passphraseFile == "-" && args[1] == "-":
				return misconfigured{errors.New("only one of the key and its passphrase can be read from standard input")}
			case passphraseFile != "":
				k.Passphrase, err = t.passwordFromFile(passphraseFile)
			case args[1] != "-" && isTerminal(t.in):
				k.Passphrase, err = t.prompt(cmd.Context(), "Passphrase (empty for none): ")
			}
			if err != nil {
				return err
			}
			pair, err := remote.ParseKey(secret.New(text), k.Passphrase)
			if err != nil {
				return keyError(args[0], err)
			}

			return t.storeKey(cmd.Context(), k, pair)
		},
	}
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "read the passphrase from the one line of this `file`; - is standard input")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, in a `text`")

	return cmd
}

// storeKey stores a key and prints its public part.
func (t *tool) storeKey(ctx context.Context, k target.ManagedKey, pair remote.KeyPair) error {
	k.Type, k.Bits, k.PublicKey, k.Fingerprint, k.Private = pair.Type, pair.Bits, pair.Public, pair.Fingerprint, pair.Private
	stats, err := t.openStatsDB(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	made, err := stats.CreateSSHKey(ctx, k)
	if err != nil {
		return keyError(k.Name, err)
	}
	t.say("stored SSH key %q, %s; its public part is for ~/.ssh/authorized_keys on the hosts:", made.Name, made.Fingerprint)
	t.printf("%s\n", made.PublicKey)

	return nil
}

// keyError says what became of a change of a key.
func keyError(name string, err error) error {
	if errors.Is(err, target.ErrKeyInvalid) || errors.Is(err, remote.ErrKeyInvalid) {
		return misconfigured{err}
	}

	return fmt.Errorf("%q: %w", name, err)
}

// withKeys runs what needs no private part.
func (t *tool) withKeys(ctx context.Context, use func(*catalog.Catalog) error) error {
	stats, err := t.openStatsDB(ctx, false)
	if err != nil {
		return err
	}
	defer stats.Close()

	return use(stats.Catalog)
}

func (t *tool) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the SSH keys and the servers they are bound to",
		Example: "  pgam ssh-key list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.withKeys(cmd.Context(), func(stored *catalog.Catalog) error {
				keys, err := stored.SSHKeys(cmd.Context())
				if err != nil {
					return err
				}
				table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
				_, _ = fmt.Fprintln(table, "NAME\tTYPE\tBITS\tFINGERPRINT\tPASSPHRASE\tSERVERS")
				for _, k := range keys {
					_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%t\t%d\n", k.Name, k.Type, k.Bits, k.Fingerprint, k.HasPassphrase, len(k.Servers))
				}

				return table.Flush()
			})
		},
	}
}

func (t *tool) keyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show an SSH key: its public part, its fingerprint, its servers",
		Example: "  pgam ssh-key show fleet",
		Args:    one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withKeys(cmd.Context(), func(stored *catalog.Catalog) error {
				k, err := stored.SSHKey(cmd.Context(), args[0])
				if err != nil {
					return keyError(args[0], err)
				}
				by, servers := k.CreatedBy, make([]string, len(k.Servers))
				if by == "" {
					by = "the command line"
				}
				for i, name := range k.Servers {
					servers[i] = strconv.Quote(name)
				}
				table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
				for _, line := range [][2]string{
					{"name", k.Name},
					{"type", fmt.Sprintf("%s, %d bits", k.Type, k.Bits)},
					{"fingerprint", k.Fingerprint},
					{"passphrase", strconv.FormatBool(k.HasPassphrase)},
					{"description", strings.ReplaceAll(k.Description, "\n", " ")},
					{"made", k.CreatedAt.Format(time.DateTime) + " UTC by " + by},
					{"servers", strings.Join(servers, ", ")},
					{"public part", k.PublicKey},
				} {
					_, _ = fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
				}

				return table.Flush()
			})
		},
	}
}

func (t *tool) keyRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rename NAME NEW",
		Short:   "Rename an SSH key; servers stay bound to it",
		Example: "  pgam ssh-key rename fleet fleet-2026",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("the NAME of the key and its NEW name are expected")
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withKeys(cmd.Context(), func(stored *catalog.Catalog) error {
				_, err := stored.UpdateSSHKey(cmd.Context(), args[0], func(k *target.ManagedKey) error { k.Name = args[1]; return nil })
				if err != nil {
					return keyError(args[0], err)
				}
				t.say("renamed SSH key %q to %q", args[0], args[1])

				return nil
			})
		},
	}
}

func (t *tool) keyDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Forget an SSH key that no server is bound to",
		Long: `Forgets an SSH key. It must not be bound to a server. Its public part stays in
authorized_keys of the hosts: take it away there.`,
		Example: "  pgam ssh-key delete fleet",
		Args:    one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withKeys(cmd.Context(), func(stored *catalog.Catalog) error {
				if err := stored.DeleteSSHKey(cmd.Context(), args[0]); err != nil {
					return keyError(args[0], err)
				}
				t.say("deleted SSH key %q", args[0])

				return nil
			})
		},
	}
}
