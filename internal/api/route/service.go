package route

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/target"
)

// History answers questions about the past: of a server, of its databases and
// disks, of all servers, and of what all that takes.
type History interface {
	ActivityBy(ctx context.Context, t target.Target, q history.ActivityQuestion) (history.ActivityBy, error)
	Top(ctx context.Context, t target.Target, q history.TopQuestion) (history.Top, error)
	Compare(ctx context.Context, t target.Target, q history.CompareQuestion) (history.Comparison, error)
	At(ctx context.Context, t target.Target, instant time.Time) (history.Instant, error)
	Incident(ctx context.Context, t target.Target, q history.IncidentQuestion) (history.Incident, error)
	BlockingOver(ctx context.Context, t target.Target, span history.Range, limit int) (history.BlockingHistory, error)
	SessionOver(ctx context.Context, t target.Target, q history.SessionQuestion) (history.SessionHistory, error)
	Events(ctx context.Context, t target.Target, q history.EventQuestion) ([]history.Event, error)
	Coverage(ctx context.Context, t target.Target, r history.Range) (history.Coverage, error)
	CoverageSeries(ctx context.Context, t target.Target, r history.Range, step time.Duration) (history.CoverageSeries, error)

	DatabaseRates(ctx context.Context, t target.Target, plan history.Plan) (history.DatabaseRates, error)
	DatabaseSizes(ctx context.Context, t target.Target, plan history.Plan) (history.DatabaseSizes, error)
	ServerTimeline(ctx context.Context, id target.ID, r history.Range) (history.Timeline, error)
	DatabaseTimeline(ctx context.Context, id target.ID, name string, r history.Range) (history.Timeline, error)
	DatabasesUsed(ctx context.Context, servers []target.Target, q history.UseQuestion) ([]history.DatabaseUse, history.Range, error)
	DatabaseNow(ctx context.Context, id target.ID, name string) (history.DatabaseNow, error)

	DisksNow(ctx context.Context, id target.ID) ([]history.Disk, error)
	CPUs(ctx context.Context, id target.ID, at time.Time) (*int, error)
	DiskTimeline(ctx context.Context, t target.Target, r history.Range) (history.DiskTimeline, error)

	Fleet(ctx context.Context, now time.Time) (map[target.ID]*history.FleetServer, error)
	FleetActivity(ctx context.Context, plan history.Plan) (history.FleetActivity, error)
	FleetMinutes(ctx context.Context, plan history.Plan) (map[target.ID][]*float64, error)
	Storage(ctx context.Context, now time.Time) (history.Storage, error)
}

// Services is what handlers ask. Everything but Now must be there.
type Services struct {
	Catalog   *catalog.Catalog
	Live      *live.Live
	History   History
	Settings  Settings
	Passwords *auth.Hasher
	Tokens    *auth.Tokens
	Logins    *auth.Guard
	// Sessions says how long browsers stay logged in.
	Sessions auth.Lifetimes
	// Healthy says whether stats_db can be used.
	Healthy func(ctx context.Context) bool
	Log     *slog.Logger
	Version string
	// OwnPorts are the ports of pgam itself on its host, which only an
	// administrator may have tested: the API's own and stats_db's.
	OwnPorts []int
	// SessionControl is what operators may do with the sessions of a server that
	// has no setting of its own; empty is ControlOff.
	SessionControl target.SessionControl
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Check reports what is missing.
func (s *Services) Check() error {
	switch {
	case s.Catalog == nil, s.Live == nil, s.History == nil, s.Settings == nil:
		return errors.New("API without all of its services")
	case s.Passwords == nil, s.Tokens == nil, s.Logins == nil, s.Healthy == nil, s.Log == nil:
		return errors.New("API without passwords, tokens, health or log")
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	s.SessionControl = s.SessionControl.Or(target.ControlOff)
	lifetimes, err := s.Sessions.Complete()
	s.Sessions = lifetimes
	return err
}

// Changed brings the list of servers up to date after a change, so that the
// next request sees it. Should that fail, the change is followed a moment
// later.
func (s *Services) Changed(ctx context.Context) {
	if err := s.Live.Refresh(ctx); err != nil {
		s.Log.WarnContext(ctx, "list of servers was not read after a change", "error", err)
	}
}
