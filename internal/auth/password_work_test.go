package auth

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Whatever is wrong with a login, one hash of the usual cost is compared.
func TestHasherDoesTheSameWorkForEverybody(t *testing.T) {
	t.Parallel()
	hasher, err := NewHasher(HasherConfig{Cost: 5})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	var costs []int
	hasher.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		costs = append(costs, cost)
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	for name, login := range map[string][2]string{
		"a known user": {hash, "wrong"}, "an unknown user": {"", "wrong"}, "a long password": {hash, strings.Repeat("x", 100)},
		"a NUL": {hash, "x\x00"}, "an unusable hash": {"$2b$31" + hash[6:], "wrong"}, "an empty password": {hash, ""},
	} {
		costs = nil
		if err := hasher.Verify(t.Context(), Origin{}, login[0], login[1]); !errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
		if len(costs) != 1 || costs[0] != 5 {
			t.Errorf("%s: compared hashes of the costs %v, want one of 5", name, costs)
		}
	}
}
