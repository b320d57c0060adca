package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/account"
)

// ErrTooManyAttempts reports an address that tried to log in too often.
var ErrTooManyAttempts = errors.New("too many logins from this address")

const (
	// networkShare is how many addresses' worth of attempts a network has.
	networkShare = 4
	// Failures of one account are forgotten one a minute, and no more than
	// mostFailures are remembered.
	failuresAMinute = 1
	mostFailures    = 30
	// freeFailures are answered at once; from then on each attempt waits twice as
	// long as the one before, and no longer than longestDelay.
	freeFailures  = 5
	firstDelay    = 250 * time.Millisecond
	longestDelay  = 2 * time.Second
	mostDelayed   = 1000 // attempts that wait at one time; more are not delayed
	ledgerTimeout = time.Second
	// ledgerPause is how long a ledger that did not answer is not asked.
	ledgerPause = 5 * time.Second
	mostBuckets = 1 << 16 // of each kind, about ten megabytes
	mostNotes   = 30      // lines a minute about logins that were refused
)

// Ledger counts logins for all processes of the API together.
type Ledger interface {
	CountLogin(ctx context.Context, attempt account.LoginAttempt, limits account.LoginLimits) (account.LoginStanding, error)
}

// GuardConfig is what a Guard needs.
type GuardConfig struct {
	Ledger Ledger
	// PerMinute bounds the logins from one address; 0: unbounded.
	PerMinute int
	Log       *slog.Logger
	Now       func() time.Time                                 // nil is time.Now
	Wait      func(ctx context.Context, d time.Duration) error // nil waits
}

// Guard decides who may try a password, and when. It locks nobody out: an
// account that is guessed at answers later, by a little, and not in networks that
// somebody has logged in from before, unless the guesses come from there. What it
// knows it shares with other processes through a Ledger; while that does not
// answer it counts alone. It is safe for concurrent use.
type Guard struct {
	ledger  Ledger
	limits  account.LoginLimits
	limited bool
	log     *slog.Logger
	now     func() time.Time
	wait    func(ctx context.Context, d time.Duration) error

	mu      sync.Mutex
	buckets [3]map[[sha256.Size]byte]bucket // of sources, networks, accounts
	askAt   time.Time                       // when the ledger is asked again
	delayed int
	notes   notes
}

// bucket is a leaky one, as of an instant.
type bucket struct {
	level float64
	at    time.Time
}

func (b bucket) levelAt(now time.Time, drain float64) float64 {
	return max(0, b.level-max(0, now.Sub(b.at).Seconds())*drain)
}

// NewGuard returns a Guard.
func NewGuard(config GuardConfig) (*Guard, error) {
	if config.Ledger == nil || config.Log == nil {
		return nil, errors.New("guard of logins without a ledger or a log")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Wait == nil {
		config.Wait = waitFor
	}
	g := &Guard{ledger: config.Ledger, log: config.Log, now: config.Now, wait: config.Wait, limited: config.PerMinute > 0}
	perMinute := func(n float64) account.LoginLimit { return account.LoginLimit{Capacity: n, Drain: n / 60} }
	g.limits = account.LoginLimits{
		Source: perMinute(float64(config.PerMinute)), Network: perMinute(networkShare * float64(config.PerMinute)),
		Account: account.LoginLimit{Capacity: mostFailures, Drain: failuresAMinute / 60.0},
	}
	if !g.limited {
		unbounded := account.LoginLimit{Capacity: math.MaxFloat32, Drain: math.MaxFloat32}
		g.limits.Source, g.limits.Network = unbounded, unbounded
	}
	for i := range g.buckets {
		g.buckets[i] = make(map[[sha256.Size]byte]bucket)
	}
	return g, nil
}

func waitFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn to log in: %w", ctx.Err())
	}
}

// Admit counts an attempt and gives for whom its password may be checked, after a
// while if many have failed for the account. It knows no accounts: one that does
// not exist is answered alike. The error is ErrTooManyAttempts or the context's.
func (g *Guard) Admit(ctx context.Context, attempt account.LoginAttempt) (Origin, error) {
	failures, full := g.count(attempt)
	if full {
		return Origin{}, ErrTooManyAttempts
	}
	standing, known := g.ask(ctx, attempt)
	if known {
		failures = standing.Failures
		if standing.SourceFull || standing.NetworkFull {
			g.fill(attempt, standing)
			return Origin{}, ErrTooManyAttempts
		}
	}
	if err := g.delay(ctx, failures); err != nil {
		return Origin{}, err
	}
	return Origin{Network: attempt.Network, Known: standing.Known}, nil
}

// count counts an attempt in this process, and gives the level of the account.
func (g *Guard) count(attempt account.LoginAttempt) (failures float64, full bool) {
	keys, now := attempt.Keys(), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, full = g.add(0, keys.Source, g.limits.Source, now); full {
		return 0, true
	}
	if _, full = g.add(1, keys.Network, g.limits.Network, now); full {
		return 0, true
	}
	failures, _ = g.add(2, keys.Account, g.limits.Account, now)
	return failures, false
}

// add counts one more in a bucket, unless it is full.
func (g *Guard) add(kind int, key [sha256.Size]byte, limit account.LoginLimit, now time.Time) (level float64, full bool) {
	buckets := g.buckets[kind]
	level = buckets[key].levelAt(now, limit.Drain)
	if level+1 > limit.Capacity {
		return level, true
	}
	if len(buckets) >= mostBuckets {
		for k, b := range buckets {
			if b.levelAt(now, limit.Drain) == 0 {
				delete(buckets, k)
			}
		}
		if len(buckets) >= mostBuckets {
			clear(buckets) // the ledger still knows
		}
	}
	buckets[key] = bucket{level + 1, now}
	return level + 1, false
}

// fill notes what the ledger has refused, so that it need not be asked again at
// once.
func (g *Guard) fill(attempt account.LoginAttempt, standing account.LoginStanding) {
	keys, now := attempt.Keys(), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if standing.SourceFull {
		g.buckets[0][keys.Source] = bucket{g.limits.Source.Capacity, now}
	}
	if standing.NetworkFull {
		g.buckets[1][keys.Network] = bucket{g.limits.Network.Capacity, now}
	}
}

// ask asks the ledger, unless it was just slow to answer.
func (g *Guard) ask(ctx context.Context, attempt account.LoginAttempt) (standing account.LoginStanding, known bool) {
	g.mu.Lock()
	early := g.now().Before(g.askAt)
	g.mu.Unlock()
	if early {
		return standing, false
	}
	asking, cancel := context.WithTimeoutCause(ctx, ledgerTimeout, fmt.Errorf("count login: deadline %s", ledgerTimeout))
	defer cancel()
	standing, err := g.ledger.CountLogin(asking, attempt, g.limits)
	if err == nil {
		return standing, true
	}
	if ctx.Err() == nil {
		g.mu.Lock()
		g.askAt = g.now().Add(ledgerPause)
		g.mu.Unlock()
		g.log.WarnContext(ctx, "logins are counted by this process alone for a while: stats_db did not count one", "error", err)
	}
	return account.LoginStanding{}, false
}

// delayOf gives how long the attempt waits that makes so many failures.
func delayOf(failures float64) time.Duration {
	beyond := math.Ceil(failures) - freeFailures
	if beyond <= 0 {
		return 0
	}
	return min(longestDelay, time.Duration(float64(firstDelay)*math.Pow(2, beyond-1)))
}

func (g *Guard) delay(ctx context.Context, failures float64) error {
	d := delayOf(failures)
	if d == 0 || !g.startDelay(1) {
		return nil
	}
	defer g.startDelay(-1)
	return g.wait(ctx, d)
}

// startDelay counts attempts that wait; it reports whether one more may.
func (g *Guard) startDelay(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 && g.delayed >= mostDelayed {
		return false
	}
	g.delayed += n
	return true
}

// notes bounds the lines about logins that were refused.
type notes struct {
	minute time.Time
	said   map[string]struct{} // networks that have had their line
	unsaid int                 // refusals since the last line
}

// Refused logs a login that was refused, with its reason: a line a network and
// minute, and no more than thirty a minute in all. A line tells how many had none
// since the one before.
func (g *Guard) Refused(ctx context.Context, client netip.Addr, attempt account.LoginAttempt, reason string, more ...slog.Attr) {
	unsaid, say := g.note(attempt.Network)
	if !say {
		return
	}
	login := attempt.Login
	if account.ValidateLogin(login) != nil {
		login = "(not a login)"
	}
	attrs := append([]slog.Attr{
		slog.String("login", login), slog.String("client", client.String()), slog.String("reason", reason), slog.Int("not_logged", unsaid),
	}, more...)
	g.log.LogAttrs(ctx, slog.LevelInfo, "login refused", attrs...)
}

func (g *Guard) note(network string) (unsaid int, say bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if minute := g.now().Truncate(time.Minute); g.notes.said == nil || !minute.Equal(g.notes.minute) {
		g.notes.minute, g.notes.said = minute, make(map[string]struct{})
	}
	if _, done := g.notes.said[network]; done || len(g.notes.said) >= mostNotes {
		g.notes.unsaid++
		return 0, false
	}
	g.notes.said[network] = struct{}{}
	unsaid, g.notes.unsaid = g.notes.unsaid, 0
	return unsaid, true
}
