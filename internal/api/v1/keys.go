package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// registerKeys adds /ssh-keys. A viewer may not see which keys there are.
func (r routes) registerKeys(op func(id, method, path, summary, tag string) huma.Operation) {
	const all, one, tag = "/ssh-keys", "/ssh-keys/{key}", "SSH keys"
	missing, unfit, taken := http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusConflict
	route.Register(r.Group, op("list-ssh-keys", http.MethodGet, all, "All SSH keys, by name", tag), account.Operator, []int{unfit}, r.listKeys)
	create := op("create-ssh-key", http.MethodPost, all, "Make an SSH key, or import one with private_key", tag)
	create.DefaultStatus = http.StatusCreated
	route.Register(r.Group, create, account.Operator, []int{http.StatusBadRequest, taken, unfit}, r.createKey)
	route.Register(r.Group, op("get-ssh-key", http.MethodGet, one, "An SSH key", tag), account.Operator, []int{missing}, r.getKey)
	route.Register(r.Group, op("change-ssh-key", http.MethodPatch, one, "Change what is sent, keep the rest", tag), account.Operator,
		[]int{http.StatusBadRequest, missing, taken, unfit}, r.changeKey)
	route.Register(r.Group, op("delete-ssh-key", http.MethodDelete, one, "Remove an SSH key that no server is bound to", tag), account.Operator,
		[]int{missing, taken}, r.deleteKey)
}

type keyRow struct {
	Name          string    `json:"name"`
	Type          string    `json:"type" example:"ssh-ed25519"`
	Bits          int       `json:"bits"`
	PublicKey     string    `json:"public_key" doc:"The line for authorized_keys of the hosts. The private part never leaves."`
	Fingerprint   string    `json:"fingerprint" doc:"As ssh-keygen -l shows it."`
	HasPassphrase bool      `json:"has_passphrase"`
	Description   string    `json:"description"`
	CreatedBy     *string   `json:"created_by" doc:"Login of who made or imported it."`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Servers       []string  `json:"servers" nullable:"false" doc:"Names of the servers it is bound to."`
}

func rowOfKey(k target.ManagedKey) keyRow {
	row := keyRow{
		Name: k.Name, Type: k.Type, Bits: k.Bits, PublicKey: k.PublicKey, Fingerprint: k.Fingerprint, HasPassphrase: k.HasPassphrase,
		Description: k.Description, CreatedBy: textOrNull(k.CreatedBy), CreatedAt: utc(k.CreatedAt), UpdatedAt: utc(k.UpdatedAt), Servers: k.Servers,
	}
	if row.Servers == nil {
		row.Servers = []string{}
	}
	return row
}

// KeyPath is the SSH key that an operation is about.
type KeyPath struct {
	Key string `path:"key" doc:"The key's name."`
}

type keyNew struct {
	Name        string  `json:"name" minLength:"1" maxLength:"128"`
	Description string  `json:"description,omitempty" maxLength:"1024"`
	Type        *string `json:"type,omitempty" enum:"ed25519,rsa" doc:"Of a key to make; ed25519 if left out."`
	Bits        *int    `json:"bits,omitempty" minimum:"256" maximum:"4096" doc:"Of an RSA key to make: 3072 to 4096, 3072 if left out."`
	PrivateKey  *string `json:"private_key,omitempty" maxLength:"65536" format:"password" doc:"A key to import, in PEM or in OpenSSH's form."`
	Passphrase  *string `json:"passphrase,omitempty" maxLength:"1024" format:"password" doc:"What opens private_key."`
}

func (r routes) createKey(ctx context.Context, in *struct{ Body keyNew }) (*output[keyRow], error) {
	b := in.Body
	k := target.ManagedKey{Name: b.Name, Description: b.Description}
	if user, ok := route.User(ctx); ok {
		k.CreatedBy = user.Login
	}
	var err error
	switch {
	case b.PrivateKey == nil && b.Passphrase != nil:
		err = route.NewError(http.StatusUnprocessableEntity, "passphrase is of no use without private_key: a key that is made here has none, it is kept sealed")
	case b.PrivateKey == nil:
		kind, bits := "ed25519", 0
		set(&kind, b.Type)
		set(&bits, b.Bits)
		err = live.GenerateKey(&k, kind, bits)
	case b.Type != nil || b.Bits != nil:
		err = route.NewError(http.StatusUnprocessableEntity, "type and bits are of a key to make: leave them out where private_key is sent")
	default:
		k.Private = secret.New(*b.PrivateKey)
		if b.Passphrase != nil {
			k.Passphrase = secret.New(*b.Passphrase)
		}
		err = live.ReadKey(&k)
	}
	if err != nil {
		return nil, err
	}
	made, err := r.Catalog.CreateSSHKey(ctx, k)
	if err != nil {
		return nil, err
	}
	return say(rowOfKey(made)), nil
}

type keyPage struct {
	Items      []keyRow `json:"items" nullable:"false"`
	NextCursor *string  `json:"next_cursor" doc:"Null: this is the last page."`
}

func (r routes) listKeys(ctx context.Context, in *listInput) (*output[keyPage], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	keys, err := r.Catalog.SSHKeys(ctx) // by name
	if err != nil {
		return nil, err
	}
	page, next := pageOf(keys, func(k target.ManagedKey) string { return k.Name }, after, in.Limit)
	body := keyPage{Items: make([]keyRow, len(page)), NextCursor: next}
	for i, k := range page {
		body.Items[i] = rowOfKey(k)
	}
	return say(body), nil
}

func (r routes) getKey(ctx context.Context, in *KeyPath) (*output[keyRow], error) {
	k, err := r.Catalog.SSHKey(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	return say(rowOfKey(k)), nil
}

type keyChange struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"128" doc:"Renames; servers stay bound to it."`
	Description *string `json:"description,omitempty" maxLength:"1024"`
}

type keyChangeInput struct {
	KeyPath
	Body keyChange
}

// mine refuses the change of a key that another administrator made, or that
// nobody is known to have made, to who is none.
func (r routes) mine(ctx context.Context, name string) error {
	if isAdmin(ctx) {
		return nil
	}
	k, err := r.Catalog.SSHKey(ctx, name)
	if err != nil {
		return err
	}
	maker, err := r.Catalog.Account(ctx, k.CreatedBy)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return err
	}
	foreign := err != nil || maker.Role == account.Admin || k.CreatedAt.Before(maker.CreatedAt)
	return adminsOnly(ctx, foreign, "Changing or deleting an SSH key that an administrator made")
}

func (r routes) changeKey(ctx context.Context, in *keyChangeInput) (*output[keyRow], error) {
	if err := r.mine(ctx, in.Key); err != nil {
		return nil, err
	}
	changed, err := r.Catalog.UpdateSSHKey(ctx, in.Key, func(k *target.ManagedKey) error {
		set(&k.Name, in.Body.Name)
		set(&k.Description, in.Body.Description)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(rowOfKey(changed)), nil
}

func (r routes) deleteKey(ctx context.Context, in *KeyPath) (*struct{}, error) {
	if err := r.mine(ctx, in.Key); err != nil {
		return nil, err
	}
	return nil, r.Catalog.DeleteSSHKey(ctx, in.Key)
}
