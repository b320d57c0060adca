package route

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/target"
)

// Catalog keeps what people tell pgam: servers, SSH keys, and who may ask. What it
// gives of a key never holds the private part.
type Catalog interface {
	CreateServer(ctx context.Context, t target.Target) (target.Target, error)
	UpdateServer(ctx context.Context, name string, change func(*target.Target) error) (target.Target, error)
	// DeleteServer leaves the history to retention, or has it removed too.
	DeleteServer(ctx context.Context, name string, purge bool) error

	SSHKeys(ctx context.Context) ([]target.ManagedKey, error)
	SSHKey(ctx context.Context, name string) (target.ManagedKey, error)
	CreateSSHKey(ctx context.Context, k target.ManagedKey) (target.ManagedKey, error)
	UpdateSSHKey(ctx context.Context, name string, change func(*target.ManagedKey) error) (target.ManagedKey, error)
	DeleteSSHKey(ctx context.Context, name string) error

	auth.Ledger
	Account(ctx context.Context, login string) (account.User, error)
	AccountByID(ctx context.Context, id int64) (account.User, error)
	// NoteLogin notes a login that was good; known says that its network was
	// known before.
	NoteLogin(ctx context.Context, id int64, attempt account.LoginAttempt, known bool) error
	// EndSession ends the tokens of one login, the last of which expires at
	// expiresAt.
	EndSession(ctx context.Context, userID int64, session string, expiresAt time.Time) error
}

// Keysmith makes SSH keys. Its errors wrap target.ErrKeyInvalid.
type Keysmith interface {
	// GenerateKey fills all of the key but its name and description; bits of
	// zero are the usual ones of the kind, ed25519 or rsa.
	GenerateKey(k *target.ManagedKey, kind string, bits int) error
	// ReadKey fills what the private part says, opened by the passphrase.
	ReadKey(k *target.ManagedKey) error
}

// Live knows the servers, and answers questions about now. The errors of these are
// *live.Error.
type Live interface {
	Servers() []target.Target
	Server(name string) (target.Target, error)
	// SecretsBroken reports which stored secrets do not open: the password of
	// PostgreSQL, and what logs in over SSH.
	SecretsBroken(id target.ID) (password, shell bool)
	// Refresh reads the servers anew, after a change.
	Refresh(ctx context.Context) error

	Activity(ctx context.Context, t target.Target, all bool) (live.Activity, error)
	Locks(ctx context.Context, t target.Target) (live.Locks, error)
	// Listen gives the ticks of a server; its error is live.ErrTooManyListeners,
	// live.ErrTooManyOfOne or live.ErrStreamEnded.
	Listen(ctx context.Context, t target.Target, who string, every time.Duration) (*live.Listener, error)
	// Views calls unseen, if it is not nil, for each server whose disks could
	// not be seen: at once for several.
	Views(ctx context.Context, servers []target.Target, unseen func(ctx context.Context, i int)) []live.View
	Disks(ctx context.Context, t target.Target) live.Disks
	DatabaseSize(ctx context.Context, t target.Target, name string) (bytes int64, ok bool, err error)
	Test(ctx context.Context, t target.Target) live.Report
	// HostKey reads a host's public key; the error wraps target.ErrInvalid.
	HostKey(line string) (live.HostKey, error)
	// Pools says what is known of the pools of these questions.
	Pools() []live.PoolStatus
}

// History answers questions about the past: of a server, of its databases and
// disks, of all servers, and of what all that takes.
type History interface {
	ActivityByWaitClass(ctx context.Context, t target.Target, plan history.ActivityPlan) (history.Activity, error)
	ActivityBy(ctx context.Context, t target.Target, q history.ActivityQuestion) (history.ActivityBy, error)
	Top(ctx context.Context, t target.Target, q history.TopQuestion) (history.Top, error)
	Compare(ctx context.Context, t target.Target, q history.CompareQuestion) (history.Comparison, error)
	At(ctx context.Context, t target.Target, instant time.Time) (history.Instant, error)
	Incident(ctx context.Context, t target.Target, q history.IncidentQuestion) (history.Incident, error)
	Events(ctx context.Context, t target.Target, q history.EventQuestion) ([]history.Event, error)
	Coverage(ctx context.Context, t target.Target, r history.Range) (history.Coverage, error)
	CoverageSeries(ctx context.Context, t target.Target, r history.Range, step time.Duration) (history.CoverageSeries, error)

	DatabaseRates(ctx context.Context, t target.Target, plan history.SeriesPlan) (history.DatabaseRates, error)
	DatabaseSizes(ctx context.Context, t target.Target, plan history.SeriesPlan) (history.DatabaseSizes, error)
	ServerTimeline(ctx context.Context, id target.ID, r history.Range) (history.Timeline, error)
	DatabaseTimeline(ctx context.Context, id target.ID, name string, r history.Range) (history.Timeline, error)
	DatabaseNow(ctx context.Context, id target.ID, name string) (history.DatabaseNow, error)

	DisksNow(ctx context.Context, id target.ID) ([]history.Disk, error)
	DiskTimeline(ctx context.Context, t target.Target, r history.Range) (history.DiskTimeline, error)

	Fleet(ctx context.Context, now time.Time) (map[target.ID]*history.FleetServer, error)
	FleetActivity(ctx context.Context, plan history.ActivityPlan) (history.FleetActivity, error)
	Storage(ctx context.Context, now time.Time) (history.Storage, error)
}

// Services is what handlers ask. Everything but Now must be there.
type Services struct {
	Catalog   Catalog
	Live      Live
	History   History
	Keysmith  Keysmith
	Settings  Settings
	Passwords *auth.Hasher
	Tokens    *auth.Tokens
	Logins    *auth.Guard
	// What errors of the others wrap when stats_db cannot be reached, when it
	// took longer than a statement may, when another session held a lock, and when
	// a change was sent and not confirmed; what is known of that follows.
	Unavailable, TooSlow, Locked, Unconfirmed error
	// Healthy says whether stats_db can be used.
	Healthy func(ctx context.Context) bool
	Log     *slog.Logger
	Version string
	// OwnPorts are the ports of pgam itself on its host, which only an
	// administrator may have tested: the API's own and stats_db's.
	OwnPorts []int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Check reports what is missing.
func (s *Services) Check() error {
	switch {
	case s.Catalog == nil, s.Live == nil, s.History == nil, s.Keysmith == nil, s.Settings == nil:
		return errors.New("API without all of its services")
	case s.Passwords == nil, s.Tokens == nil, s.Logins == nil, s.Healthy == nil, s.Log == nil,
		s.Unavailable == nil, s.TooSlow == nil, s.Locked == nil, s.Unconfirmed == nil:
		return errors.New("API without passwords, tokens, health or log")
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return nil
}

// Changed brings the list of servers up to date after a change, so that the
// next request sees it. Should that fail, the change is followed a moment
// later.
func (s *Services) Changed(ctx context.Context) {
	if err := s.Live.Refresh(ctx); err != nil {
		s.Log.WarnContext(ctx, "list of servers was not read after a change", "error", err)
	}
}
