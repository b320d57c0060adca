package auth

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
)

// A token that was good once is looked at again only for its age, and no other
// token profits from it.
func TestTokens_Remembered(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := noon
	tokens, err := NewTokens(TokensConfig{
		Key: []byte("Zq3v8xN1kT7wPbR5yLm2Jd9HsGf4Ce6A"), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := tokens.Issue(account.User{ID: 7, Login: "ann", Role: account.Viewer, TokenEpoch: 3}, noon)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tokens.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tokens.verified.get(sha256.Sum256([]byte(token))); !ok {
		t.Fatal("a good token is not remembered")
	}
	if again, err := tokens.Parse(token); err != nil || again != first {
		t.Errorf("remembered: %+v, %v, want %+v", again, err, first)
	}
	for i := range len(token) {
		forged := []byte(token)
		if forged[i] == 'x' {
			forged[i] = 'y'
		} else {
			forged[i] = 'x'
		}
		if _, err := tokens.Parse(string(forged)); !errors.Is(err, ErrTokenInvalid) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, ok := tokens.verified.get(sha256.Sum256(forged)); ok {
			t.Fatalf("byte %d changed: remembered", i)
		}
	}
	for _, more := range []string{token + "x", token + "\n", token[:len(token)-1], " " + token} {
		if _, err := tokens.Parse(more); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%q: %v", more, err)
		}
	}
	now = noon.Add(time.Hour - 1)
	if _, err := tokens.Parse(token); err != nil {
		t.Errorf("just before its end: %v", err)
	}
	now = noon.Add(time.Hour)
	if _, err := tokens.Parse(token); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("remembered and expired: %v", err)
	}
}

// The memory of tokens is bounded, whatever many come.
func TestVerified_Bounded(t *testing.T) {
	t.Parallel()
	var v verified
	key := func(i int) [sha256.Size]byte { return sha256.Sum256([]byte(strconv.Itoa(i))) }
	var putting sync.WaitGroup
	for g := range 4 {
		putting.Go(func() {
			for i := range 2 * maxVerified {
				v.put(key(g*2*maxVerified+i), Claims{UserID: int64(i)})
				// The others may have put so many meanwhile that it is forgotten.
				if c, ok := v.get(key(g*2*maxVerified + i)); ok && c.UserID != int64(i) {
					t.Errorf("%d is remembered as %+v", i, c)
				}
			}
		})
	}
	putting.Wait()
	if n := len(v.young) + len(v.old); n > 2*maxVerified || n <= maxVerified {
		t.Errorf("%d tokens are remembered, want %d to %d", n, maxVerified, 2*maxVerified)
	}
}
