package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/secret"
)

func (t *tool) userCommand() *cobra.Command {
	return t.dataFlag(groupCommand("user", "Manage who may ask the API",
		t.userCreateCommand(), t.userPasswordCommand(), t.userListCommand(), t.userDeleteCommand()))
}

func (t *tool) userCreateCommand() *cobra.Command {
	var role string
	var source passwordSource
	cmd := &cobra.Command{
		Use:   "create LOGIN",
		Short: "Create a user",
		Long: `Creates a user. A viewer reads; an operator also manages servers; an admin also
manages users and settings. The password is asked for unless it comes from a
file or is generated.`,
		Example: `  pgam user create ana --role operator
  pgam user create grafana --generate
  pgam user create ci --password-file /run/secrets/ci`,
		Args: one("LOGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.createUser(cmd.Context(), args[0], role, source)
		},
	}
	cmd.Flags().StringVar(&role, "role", string(account.Viewer), "`viewer`, operator or admin")
	source.flags(cmd)
	source.generateFlag(cmd)

	return cmd
}

func (t *tool) createUser(ctx context.Context, login, role string, source passwordSource) error {
	parsed, err := account.ParseRole(role)
	if err = errors.Join(err, account.ValidateLogin(login)); err != nil {
		return misconfigured{err}
	}
	stats, err := t.openStatsDB(ctx, false)
	if err != nil {
		return err
	}
	defer stats.Close()
	if _, err := stats.Account(ctx, login); err == nil {
		return fmt.Errorf("user %q: %w: set its password with pgam user passwd", login, account.ErrConflict)
	}
	password, hash, err := t.newPassword(ctx, source)
	if err != nil {
		return err
	}
	user := account.User{Login: login, PasswordHash: hash, Role: parsed, Active: true}
	if _, err := stats.CreateAccount(ctx, user); err != nil {
		return fmt.Errorf("user %q: %w", login, err)
	}
	t.say("created %s %q", parsed, login)
	t.show(password, source)

	return nil
}

// newPassword reads a password and hashes it.
func (t *tool) newPassword(ctx context.Context, source passwordSource) (password secret.Value, hash string, err error) {
	if password, err = source.read(ctx, t); err != nil {
		return password, "", err
	}
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		return password, "", err
	}
	hash, err = hasher.Hash(ctx, password.Reveal())

	return password, hash, err
}

// show prints a password that was generated: alone on standard output, for
// scripts.
func (t *tool) show(password secret.Value, source passwordSource) {
	if source.generate {
		t.printf("%s\n", password.Reveal())
	}
}

func (t *tool) userPasswordCommand() *cobra.Command {
	var source passwordSource
	cmd := &cobra.Command{
		Use:   "passwd LOGIN",
		Short: "Set the password of a user and end all of its tokens",
		Example: `  pgam user passwd admin
  pgam user passwd admin --generate --data ./data`,
		Args: one("LOGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.setPassword(cmd.Context(), args[0], source)
		},
	}
	source.flags(cmd)
	source.generateFlag(cmd)

	return cmd
}

func (t *tool) setPassword(ctx context.Context, login string, source passwordSource) error {
	stats, err := t.openStatsDB(ctx, false)
	if err != nil {
		return err
	}
	defer stats.Close()
	if _, err := stats.Account(ctx, login); err != nil {
		return fmt.Errorf("user %q: %w", login, err)
	}
	password, hash, err := t.newPassword(ctx, source)
	if err != nil {
		return err
	}
	if err := stats.SetPassword(ctx, login, hash); err != nil {
		return fmt.Errorf("user %q: %w", login, err)
	}
	t.say("set the password of %q; its tokens have ended", login)
	t.show(password, source)

	return nil
}

func (t *tool) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the users",
		Example: "  pgam user list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stats, err := t.openStatsDB(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer stats.Close()
			users, err := stats.ListAccounts(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "LOGIN\tROLE\tACTIVE\tLAST LOGIN")
			for _, user := range users {
				last := "never"
				if user.LastLoginAt != nil {
					last = user.LastLoginAt.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%t\t%s\n", user.Login, user.Role, user.Active, last)
			}

			return table.Flush()
		},
	}
}

func (t *tool) userDeleteCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "delete LOGIN",
		Short:   "Delete a user; its tokens end with it",
		Example: "  pgam user delete ana",
		Args:    one("LOGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stats, err := t.openStatsDB(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer stats.Close()
			err = stats.DeleteAccount(cmd.Context(), args[0], force)
			if errors.Is(err, account.ErrLastAdmin) {
				return fmt.Errorf("user %q: %w, or say --force", args[0], account.ErrLastAdmin)
			}
			if err != nil {
				return fmt.Errorf("user %q: %w", args[0], err)
			}
			t.say("deleted %q", args[0])

			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "delete even the last administrator")

	return cmd
}
