package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// keyRow is what of a row of pgam.ssh_key can be shown.
type keyRow struct {
	ID            int64     `db:"id"`
	Name          string    `db:"name"`
	Type          string    `db:"key_type"`
	Bits          int       `db:"bits"`
	PublicKey     string    `db:"public_key"`
	Fingerprint   string    `db:"fingerprint"`
	HasPassphrase bool      `db:"has_passphrase"`
	Description   string    `db:"description"`
	CreatedBy     string    `db:"created_by"`
	CreatedAt     time.Time `db:"created_at"`
	UpdatedAt     time.Time `db:"updated_at"`
	Servers       []string  `db:"servers"`
}

func (r keyRow) key() target.ManagedKey {
	return target.ManagedKey{
		ID: target.KeyID(r.ID), Name: r.Name, Type: r.Type, Bits: r.Bits, PublicKey: r.PublicKey, Fingerprint: r.Fingerprint,
		HasPassphrase: r.HasPassphrase, Description: r.Description, CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), Servers: r.Servers,
	}
}

func collectKey(row pgx.CollectableRow) (target.ManagedKey, error) {
	r, err := pgx.RowToStructByName[keyRow](row)
	return r.key(), err
}

const selectKeys = `
select k.id, k.name, k.key_type, k.bits, k.public_key, k.fingerprint, k.passphrase_sealed is not null as has_passphrase,
       k.description, k.created_by, k.created_at, k.updated_at,
       array(select s.name
               from pgam.server s
              where s.ssh_key_id = k.id
                and s.deleted_at is null
              order by s.name collate "C") as servers
  from pgam.ssh_key k`

// SSHKeys gives every managed SSH key, by name, without the private parts.
func (c *Catalog) SSHKeys(ctx context.Context) ([]target.ManagedKey, error) {
	rows, _ := c.pool.Query(ctx, "/* pgam:ssh_keys */"+selectKeys+` order by k.name collate "C"`) // its error is in rows
	keys, err := pgx.CollectRows(rows, collectKey)
	if err != nil {
		return nil, fmt.Errorf("list SSH keys: %w", statsdb.Classify(err))
	}
	return keys, nil
}

// SSHKey gives the SSH key of this name without its private part, or
// target.ErrKeyNotFound.
func (c *Catalog) SSHKey(ctx context.Context, name string) (target.ManagedKey, error) {
	return keyNamed(ctx, c.pool, name)
}

func keyNamed(ctx context.Context, q rowQuerier, name string) (target.ManagedKey, error) {
	if target.ValidateName(name) != nil {
		return target.ManagedKey{}, target.ErrKeyNotFound
	}
	rows, _ := q.Query(ctx, "/* pgam:ssh_key */"+selectKeys+` where k.name = $1`, name) // its error is in rows
	key, err := pgx.CollectExactlyOneRow(rows, collectKey)
	if errors.Is(err, pgx.ErrNoRows) {
		return target.ManagedKey{}, target.ErrKeyNotFound
	}
	if err != nil {
		return target.ManagedKey{}, fmt.Errorf("read SSH key: %w", statsdb.Classify(err))
	}
	return key, nil
}

// CreateSSHKey stores a new key, its private part sealed, and gives it as
// stored. The error wraps target.ErrKeyInvalid or target.ErrKeyConflict.
func (c *Catalog) CreateSSHKey(ctx context.Context, k target.ManagedKey) (target.ManagedKey, error) {
	if k.Private.IsZero() {
		return target.ManagedKey{}, fmt.Errorf("%w: the private key is missing", target.ErrKeyInvalid)
	}
	if err := k.Validate(); err != nil {
		return target.ManagedKey{}, err
	}
	var made target.ManagedKey
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		// The id first: the seal is bound to it.
		const next = `/* pgam:ssh_key_create */ select nextval(pg_get_serial_sequence('pgam.ssh_key', 'id'))`
		if err := tx.QueryRow(ctx, next).Scan(&k.ID); err != nil {
			return err
		}
		private, passphrase, err := c.sealKey(k)
		if err != nil {
			return err
		}
		if err := keyConflict(ctx, tx, k); err != nil {
			return err
		}
		const sql = `/* pgam:ssh_key_create */
insert into pgam.ssh_key (id, name, key_type, bits, public_key, fingerprint, private_sealed, passphrase_sealed, description, created_by)
overriding system value
values (@id, @name, @key_type, @bits, @public_key, @fingerprint, @private, @passphrase, @description, @created_by)`
		columns := keyArguments(k, private, passphrase)
		columns["created_by"] = k.CreatedBy
		if _, err := tx.Exec(ctx, sql, columns); err != nil {
			return err
		}
		made, err = keyNamed(ctx, tx, k.Name)
		return err
	})
	if err != nil {
		return target.ManagedKey{}, keyChangeError("create SSH key", err)
	}
	return made, nil
}

// UpdateSSHKey lets change edit the key of this name and gives the result as
// stored. change is given the key without its private part, which stays where it
// sets none; a new one comes with its type, size, public key, fingerprint and
// passphrase. The servers it is bound to follow. The error is
// target.ErrKeyNotFound, wraps target.ErrKeyInvalid or target.ErrKeyConflict, or
// is what change returns.
func (c *Catalog) UpdateSSHKey(ctx context.Context, name string, change func(*target.ManagedKey) error) (target.ManagedKey, error) {
	var made target.ManagedKey
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		old, err := keyNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		k := old
		if err := change(&k); err != nil {
			return refusedError{err}
		}
		k.ID = old.ID
		same := k.Type == old.Type && k.Bits == old.Bits && k.PublicKey == old.PublicKey && k.Fingerprint == old.Fingerprint
		if k.Private.IsZero() && !same {
			return fmt.Errorf("%w: another public key without its private key", target.ErrKeyInvalid)
		}
		if err := k.Validate(); err != nil {
			return err
		}
		if err := keyConflict(ctx, tx, k); err != nil {
			return err
		}
		private, passphrase, err := c.sealKey(k)
		if err != nil {
			return err
		}
		const sql = `/* pgam:ssh_key_update */
update pgam.ssh_key
   set name = @name, key_type = @key_type, bits = @bits, public_key = @public_key, fingerprint = @fingerprint,
       private_sealed = coalesce(@private, private_sealed),
       passphrase_sealed = case when @private::bytea is null then passphrase_sealed else @passphrase end,
       description = @description, updated_at = now()
 where id = @id`
		if _, err := tx.Exec(ctx, sql, keyArguments(k, private, passphrase)); err != nil {
			return err
		}
		const follow = `/* pgam:ssh_key_update */
update pgam.server
   set revision = nextval('pgam.revision')
 where ssh_key_id = $1
   and deleted_at is null`
		if _, err := tx.Exec(ctx, follow, k.ID); err != nil {
			return err
		}
		made, err = keyNamed(ctx, tx, k.Name)
		return err
	})
	if err != nil {
		return target.ManagedKey{}, keyChangeError("update SSH key", err)
	}
	return made, nil
}

// DeleteSSHKey forgets the key of this name. The error is target.ErrKeyNotFound,
// or a *target.KeyInUseError that names the servers it is bound to.
func (c *Catalog) DeleteSSHKey(ctx context.Context, name string) error {
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		k, err := keyNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		if len(k.Servers) > 0 {
			return &target.KeyInUseError{Servers: k.Servers}
		}
		_, err = tx.Exec(ctx, "/* pgam:ssh_key_delete */ delete from pgam.ssh_key where id = $1", k.ID)
		return err
	})
	if err != nil {
		return keyChangeError("delete SSH key", err)
	}
	return nil
}

func keyChangeError(what string, err error) error {
	if refused, ok := errors.AsType[refusedError](err); ok {
		return refused.error
	}
	for _, known := range []error{target.ErrKeyNotFound, target.ErrKeyInvalid, target.ErrKeyConflict, target.ErrKeyInUse} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%s: %w", what, statsdb.Classify(err))
}

// keyConflict says which other key is in the way. Changes of keys are made one
// at a time, so that nothing comes between it and the change.
func keyConflict(ctx context.Context, tx pgx.Tx, k target.ManagedKey) error {
	const sql = `/* pgam:ssh_key_conflict */
select name
  from pgam.ssh_key
 where (name = $1 or fingerprint = $2)
   and id <> $3
 order by name = $1 desc
 limit 1`
	var other string
	err := tx.QueryRow(ctx, sql, k.Name, k.Fingerprint, k.ID).Scan(&other)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case other == k.Name:
		return fmt.Errorf("%w: another one has this name", target.ErrKeyConflict)
	}
	return fmt.Errorf("%w: this very key is kept as %q", target.ErrKeyConflict, other)
}

// bindKey finds the key to bind where want differs from what is bound: by ID or
// by Name, whichever was given anew. The zero ShellKey is none.
func (c *Catalog) bindKey(ctx context.Context, tx pgx.Tx, bound, want target.ShellKey) (target.ShellKey, error) {
	if want.ID == 0 && want.Name == "" {
		return target.ShellKey{}, nil
	}
	byName := want.ID == 0 || want.ID == bound.ID && want.Name != "" && want.Name != bound.Name
	const sql = `/* pgam:ssh_key_bind */
select id, name, private_sealed, passphrase_sealed
  from pgam.ssh_key
 where case when $1 then name = $2 else id = $3 end`
	var (
		key                 target.ShellKey
		private, passphrase []byte
	)
	err := tx.QueryRow(ctx, sql, byName, want.Name, want.ID).Scan(&key.ID, &key.Name, &private, &passphrase)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return key, fmt.Errorf("%w: there is no such ssh_key: make or import it first", target.ErrInvalid)
	case err != nil:
		return key, err
	}
	key, _ = c.openKey(key, private, passphrase) // One that does not open stays out: the roster says so.
	return key, nil
}

func keyArguments(k target.ManagedKey, private, passphrase []byte) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"id": k.ID, "name": k.Name, "key_type": k.Type, "bits": k.Bits, "public_key": k.PublicKey, "fingerprint": k.Fingerprint,
		"private": private, "passphrase": passphrase, "description": k.Description,
	}
}

func keyBinding(column string, id target.KeyID) secret.Binding {
	return secret.Binding{Purpose: "pgam.ssh_key." + column, RowID: int64(id)}
}

func (c *Catalog) sealKey(k target.ManagedKey) (private, passphrase []byte, err error) {
	if private, err = c.seal(k.Private, keyBinding("private", k.ID)); err != nil {
		return nil, nil, err
	}
	passphrase, err = c.seal(k.Passphrase, keyBinding("passphrase", k.ID))
	return private, passphrase, err
}

// openKey gives a bound key with its secrets; with an error, which wraps
// secret.ErrSealBroken, without them.
func (c *Catalog) openKey(k target.ShellKey, private, passphrase []byte) (target.ShellKey, error) {
	if k.ID == 0 {
		return k, nil
	}
	if k.Name == "" || len(private) == 0 {
		return k, fmt.Errorf("SSH key %d is missing, bind another: %w", k.ID, secret.ErrSealBroken)
	}
	opened, err1 := c.open(private, keyBinding("private", k.ID))
	with, err2 := c.open(passphrase, keyBinding("passphrase", k.ID))
	if err := errors.Join(err1, err2); err != nil {
		return k, fmt.Errorf("SSH key %q: %w", k.Name, err)
	}
	k.Private, k.Passphrase = opened, with
	return k, nil
}
