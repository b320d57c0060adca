package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pgam/pgam/internal/auth"
)

func newHasher(t *testing.T, config auth.HasherConfig) *auth.Hasher {
	t.Helper()
	if config.Cost == 0 {
		config.Cost = bcrypt.MinCost
	}
	hasher, err := auth.NewHasher(config)
	if err != nil {
		t.Fatal(err)
	}
	return hasher
}

func TestHasher_HashAndVerify(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{})
	for _, password := range []string{"12345678", "correct horse", "пароль", "\xff\xfe\xff\xfe\xff\xfe\xff\xfe", strings.Repeat("é", 36)} {
		hash, err := hasher.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if err := hasher.Verify(t.Context(), auth.Origin{}, hash, password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
		for _, wrong := range []string{"", password + "x", password[1:], strings.ToUpper(password) + " ", password + "\x00", password + "\x00" + password, hash} {
			if err := hasher.Verify(t.Context(), auth.Origin{}, hash, wrong); !errors.Is(err, auth.ErrInvalidCredentials) || errors.Is(err, auth.ErrHashUnusable) {
				t.Errorf("%q for %q: %v", wrong, password, err)
			}
		}
		again, err := hasher.Hash(t.Context(), password)
		if err != nil || again == hash || auth.CheckHash(hash) != nil {
			t.Errorf("%q: hashes %s and %s, %v", password, hash, again, err)
		}
	}
}

func TestHasher_NeverCutsAPassword(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{})
	longest := strings.Repeat("p", auth.MaxPasswordBytes)
	hash, err := hasher.Hash(t.Context(), longest)
	if err != nil {
		t.Fatal(err)
	}
	if err := hasher.Verify(t.Context(), auth.Origin{}, hash, longest+"and more"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("a longer password: %v", err)
	}
	for _, password := range []string{"", "a", "1234567", longest + "p", "a\x00bcdefgh", "\x00"} {
		hash, err := hasher.Hash(t.Context(), password)
		if !errors.Is(err, auth.ErrPasswordInvalid) || hash != "" {
			t.Errorf("%q: %v", password, err)
		} else if len(password) > 1 && strings.Contains(err.Error(), password) {
			t.Errorf("the password stands in: %v", err)
		}
	}
	if err := auth.ValidatePassword(longest + "p"); err == nil || !strings.Contains(err.Error(), "73 bytes") {
		t.Errorf("the error does not say how long: %v", err)
	}
}

// TestHasher_PythonHashes takes hashes as Python's bcrypt writes them.
func TestHasher_PythonHashes(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{Cost: 5})
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		stored := prefix + string(hash[4:])
		if err := hasher.Verify(t.Context(), auth.Origin{}, stored, "secret"); err != nil {
			t.Errorf("%s: %v", prefix, err)
		}
		if err := hasher.Verify(t.Context(), auth.Origin{}, stored, "other"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("%s, wrong password: %v", prefix, err)
		}
		if !hasher.Outdated(stored) {
			t.Errorf("%s: cost 4 is not outdated at cost 5", prefix)
		}
	}
}

func TestHasher_RefusesUnusableHashes(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{})
	good, err := hasher.Hash(t.Context(), "secret secret")
	if err != nil {
		t.Fatal(err)
	}
	rest := good[6:]
	for _, stored := range []string{
		"$2b$31" + rest, "$2b$15" + rest, "$2b$03" + rest, "$2b$99" + rest, "$2b$-1" + rest, "$2x$04" + rest, "$1$04" + rest, "$2$04" + rest,
		"secret", "!", good + "x", good[:59], " " + good, "$2b$04", "$2b$04$", "$2b$04$" + strings.Repeat("\x00", 53),
	} {
		err := hasher.Verify(t.Context(), auth.Origin{}, stored, "secret secret")
		if !errors.Is(err, auth.ErrInvalidCredentials) || !errors.Is(err, auth.ErrHashUnusable) {
			t.Errorf("%q: %v", stored, err)
		}
		if err := auth.CheckHash(stored); !errors.Is(err, auth.ErrHashUnusable) {
			t.Errorf("check %q: %v", stored, err)
		}
	}
	if hasher.Outdated(good) {
		t.Error("a hash of the same cost is outdated")
	}
}

func TestHasher_DecoyIsWellFormed(t *testing.T) {
	t.Parallel()
	for range 50 {
		hasher := newHasher(t, auth.HasherConfig{})
		if err := hasher.Verify(t.Context(), auth.Origin{}, "", "anything"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatalf("%v", err)
		}
	}
}

func TestHasher_ShedsLoad(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{Cost: 9, Slots: 1, Queue: 2})
	var done, busy atomic.Int64
	var callers sync.WaitGroup
	start := make(chan struct{})
	for range 40 {
		callers.Go(func() {
			<-start
			switch err := hasher.Verify(t.Context(), auth.Origin{}, "", "x"); {
			case errors.Is(err, auth.ErrBusy):
				busy.Add(1)
			case errors.Is(err, auth.ErrInvalidCredentials):
				done.Add(1)
			default:
				t.Errorf("%v", err)
			}
		})
	}
	close(start)
	callers.Wait()
	if done.Load() < 1 || busy.Load() < 1 || done.Load()+busy.Load() != 40 {
		t.Errorf("%d done, %d turned away", done.Load(), busy.Load())
	}
	if err := hasher.Verify(t.Context(), auth.Origin{}, "", "x"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("after the rush: %v", err)
	}
}

func TestHasher_WaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{Cost: 12, Slots: 1, Queue: 1})
	holding, held := make(chan struct{}), make(chan error, 1)
	go func() {
		close(holding)
		_, err := hasher.Hash(context.WithoutCancel(t.Context()), "holds the slot for a while")
		held <- err
	}()
	<-holding
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for {
		// Until the holder has the slot, this one may get it first.
		if err := hasher.Verify(ctx, auth.Origin{}, "", "x"); errors.Is(err, context.DeadlineExceeded) {
			break
		} else if !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatalf("%v", err)
		}
	}
	if err := <-held; err != nil {
		t.Error(err)
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if err := hasher.Verify(cancelled, auth.Origin{}, "", "x"); !errors.Is(err, context.Canceled) || errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("a cancelled caller: %v", err)
	}
}

// Whoever waits for too long is told so, although the queue has room.
func TestHasher_BoundsTheWait(t *testing.T) {
	t.Parallel()
	hasher := newHasher(t, auth.HasherConfig{Cost: 12, Slots: 1, Queue: 100, Wait: 20 * time.Millisecond})
	var busy atomic.Int64
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if err := hasher.Verify(t.Context(), auth.Origin{}, "", "x"); errors.Is(err, auth.ErrBusy) {
				busy.Add(1)
			} else if !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("%v", err)
			}
		})
	}
	callers.Wait()
	if busy.Load() < 10 { // one takes a hundred milliseconds and more
		t.Errorf("%d of 20 were told that they wait too long", busy.Load())
	}
}

func TestNewHasher_Refuses(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{-1, 3, 15, 31} {
		if _, err := auth.NewHasher(auth.HasherConfig{Cost: cost}); err == nil {
			t.Errorf("cost %d accepted", cost)
		}
	}
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if !hasher.Outdated("$2b$11" + strings.Repeat("x", 54)) {
		t.Error("the default cost is below 12")
	}
	if got := fmt.Sprintf("%+v", hasher); got != "password hasher" {
		t.Errorf("prints %s", got)
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add("$2b$12$" + strings.Repeat("a", 53))
	f.Add("$2b$31$" + strings.Repeat("a", 53))
	f.Fuzz(func(t *testing.T, stored string) {
		if auth.CheckHash(stored) != nil {
			return
		}
		if cost, err := bcrypt.Cost([]byte(stored)); err != nil || cost < 4 || cost > 14 {
			t.Fatalf("%q: cost %d, %v", stored, cost, err)
		}
	})
}
