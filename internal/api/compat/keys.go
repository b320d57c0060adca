package compat

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// registerKeys adds the later version's /api/ssh-keys, whose keys have numbers.
func (r routes) registerKeys(op func(id, method, path, summary string) huma.Operation) {
	const all, one = "/api/ssh-keys", "/api/ssh-keys/{key_id}"
	missing, unfit, taken := http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusConflict
	route.Register(r.Group, op("keys", http.MethodGet, all, "All SSH keys, by name"), account.Operator, nil, r.listKeys)
	route.Register(r.Group, op("generate-key", http.MethodPost, all+"/generate", "Make an SSH key"), account.Operator, []int{taken, unfit}, r.generateKey)
	route.Register(r.Group, op("import-key", http.MethodPost, all+"/import", "Import an SSH key"), account.Operator, []int{taken, unfit}, r.importKey)
	route.Register(r.Group, op("key", http.MethodGet, one, "An SSH key"), account.Operator, []int{missing, unfit}, r.getKey)
	route.Register(r.Group, op("update-key", http.MethodPut, one, "Change the name or the description of an SSH key"), account.Operator, []int{missing, taken, unfit}, r.updateKey)
	route.Register(r.Group, op("delete-key", http.MethodDelete, one, "Remove an SSH key that no server is bound to"), account.Operator, []int{missing, taken, unfit}, r.deleteKey)
	route.Register(r.Group, op("key-servers", http.MethodGet, one+"/servers", "Names of the servers that a key is bound to"), account.Operator, []int{missing, unfit}, r.keyServers)
	route.Register(r.Group, op("download-key", http.MethodGet, one+"/download-public", "The public part of a key, as a file"), account.Operator, []int{missing, unfit}, r.downloadKey)
}

type keyBody struct {
	ID            int64   `json:"id"`
	Name          string  `json:"name"`
	KeyType       string  `json:"key_type" example:"ed25519" doc:"The algorithm as the later version names it: ed25519, rsa, ecdsa."`
	Fingerprint   string  `json:"fingerprint" doc:"As ssh-keygen -l shows it."`
	CreatedAt     string  `json:"created_at"`
	CreatedBy     *string `json:"created_by"`
	ServersCount  int     `json:"servers_count"`
	Description   string  `json:"description"`
	PublicKey     string  `json:"public_key" doc:"The line for authorized_keys of the hosts. The private part never leaves."`
	HasPassphrase bool    `json:"has_passphrase"`
}

func bodyOfKey(k target.ManagedKey) keyBody {
	body := keyBody{
		ID: int64(k.ID), Name: k.Name, KeyType: kindOfKey(k.Type), Fingerprint: k.Fingerprint, CreatedAt: isoTime(k.CreatedAt),
		ServersCount: len(k.Servers), Description: k.Description, PublicKey: k.PublicKey, HasPassphrase: k.HasPassphrase,
	}
	if k.CreatedBy != "" {
		body.CreatedBy = &k.CreatedBy
	}
	return body
}

// kindOfKey gives the algorithm without what SSH puts around it: ed25519 for
// ssh-ed25519, ecdsa for ecdsa-sha2-nistp256.
func kindOfKey(algorithm string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(algorithm, "ssh-"), "-")
	return kind
}

func (r routes) listKeys(ctx context.Context, _ *struct{}) (*output[[]keyBody], error) {
	keys, err := r.Catalog.SSHKeys(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]keyBody, len(keys))
	for i, k := range keys {
		list[i] = bodyOfKey(k)
	}
	return say(list), nil
}

// keyOf finds a key by its number.
func (r routes) keyOf(ctx context.Context, id int64) (target.ManagedKey, error) {
	keys, err := r.Catalog.SSHKeys(ctx)
	if err != nil {
		return target.ManagedKey{}, err
	}
	i := slices.IndexFunc(keys, func(k target.ManagedKey) bool { return int64(k.ID) == id })
	if i < 0 {
		return target.ManagedKey{}, target.ErrKeyNotFound
	}
	return keys[i], nil
}

// KeyPath is the SSH key that an operation is about.
type KeyPath struct {
	KeyID int64 `path:"key_id" doc:"The key's number."`
}

func (r routes) getKey(ctx context.Context, in *KeyPath) (*output[keyBody], error) {
	k, err := r.keyOf(ctx, in.KeyID)
	if err != nil {
		return nil, err
	}
	return say(bodyOfKey(k)), nil
}

type generateKeyBody struct {
	_           struct{} `json:"-" additionalProperties:"true"`
	Name        string   `json:"name"`
	KeyType     string   `json:"key_type,omitempty" enum:"ed25519,rsa" default:"ed25519"`
	KeySize     int      `json:"key_size,omitempty" doc:"Bits of an RSA key, 3072 to 4096; 3072 if left out."`
	Description *string  `json:"description,omitempty" nullable:"true"`
}

type importKeyBody struct {
	_           struct{} `json:"-" additionalProperties:"true"`
	Name        string   `json:"name"`
	PrivateKey  string   `json:"private_key" format:"password" doc:"In PEM or in OpenSSH's form."`
	Passphrase  *string  `json:"passphrase,omitempty" format:"password" nullable:"true" doc:"What opens it."`
	Description *string  `json:"description,omitempty" nullable:"true"`
}

func (r routes) generateKey(ctx context.Context, in *struct{ Body generateKeyBody }) (*output[keyBody], error) {
	k := target.ManagedKey{Name: in.Body.Name, Description: orEmpty(in.Body.Description)}
	bits := in.Body.KeySize
	if in.Body.KeyType != "rsa" {
		bits = 0 // clients send one for every kind
	}
	return r.createKey(ctx, k, func(k *target.ManagedKey) error { return live.GenerateKey(k, in.Body.KeyType, bits) })
}

func (r routes) importKey(ctx context.Context, in *struct{ Body importKeyBody }) (*output[keyBody], error) {
	k := target.ManagedKey{
		Name: in.Body.Name, Description: orEmpty(in.Body.Description),
		Private: secret.New(in.Body.PrivateKey), Passphrase: secret.New(orEmpty(in.Body.Passphrase)),
	}
	return r.createKey(ctx, k, live.ReadKey)
}

func (r routes) createKey(ctx context.Context, k target.ManagedKey, fill func(*target.ManagedKey) error) (*output[keyBody], error) {
	if user, ok := route.User(ctx); ok {
		k.CreatedBy = user.Login
	}
	if err := fill(&k); err != nil {
		return nil, err
	}
	made, err := r.Catalog.CreateSSHKey(ctx, k)
	if err != nil {
		return nil, err
	}
	return say(bodyOfKey(made)), nil
}

type keyChangeBody struct {
	_           struct{} `json:"-" additionalProperties:"true"`
	Name        *string  `json:"name,omitempty" nullable:"true"`
	Description *string  `json:"description,omitempty" nullable:"true"`
}

type updateKeyInput struct {
	KeyPath
	Body keyChangeBody
}

func (r routes) updateKey(ctx context.Context, in *updateKeyInput) (*output[keyBody], error) {
	k, err := r.keyOf(ctx, in.KeyID)
	if err != nil {
		return nil, err
	}
	changed, err := r.Catalog.UpdateSSHKey(ctx, k.Name, func(k *target.ManagedKey) error {
		if in.Body.Name != nil {
			k.Name = *in.Body.Name
		}
		if in.Body.Description != nil {
			k.Description = *in.Body.Description
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(bodyOfKey(changed)), nil
}

func (r routes) deleteKey(ctx context.Context, in *KeyPath) (*output[messageBody], error) {
	k, err := r.keyOf(ctx, in.KeyID)
	if err != nil {
		return nil, err
	}
	if err := r.Catalog.DeleteSSHKey(ctx, k.Name); err != nil {
		return nil, err
	}
	return say(messageBody{"SSH key " + k.Name + " deleted"}), nil
}

func (r routes) keyServers(ctx context.Context, in *KeyPath) (*output[[]string], error) {
	k, err := r.keyOf(ctx, in.KeyID)
	if err != nil {
		return nil, err
	}
	return say(append([]string{}, k.Servers...)), nil
}

type publicKeyBody struct {
	Content  string `json:"content"`
	Filename string `json:"filename"`
}

func (r routes) downloadKey(ctx context.Context, in *KeyPath) (*output[publicKeyBody], error) {
	k, err := r.keyOf(ctx, in.KeyID)
	if err != nil {
		return nil, err
	}
	return say(publicKeyBody{Content: strings.TrimSpace(k.PublicKey) + "\n", Filename: k.Name + ".pub"}), nil
}
