package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// known is the servers as last seen, those that are paused too: what differs
// is told. It is nil where nothing is known.
type known map[target.ID]target.Target

func knownFrom(targets []target.Target) known {
	k := make(known, len(targets))
	for _, t := range targets {
		k[t.ID] = t
	}
	return k
}

// keptTargets gives the servers as an earlier run knew them, nil where it left
// none.
func keptTargets(c *Collector) known {
	sealed, err := c.cfg.Journal.Targets()
	if err != nil || sealed == nil {
		return nil
	}
	targets, err := c.cfg.Catalog.Unseal(sealed)
	if err != nil {
		return nil
	}
	return knownFrom(targets)
}

// tellChanges tells what became of servers since the last look, and reports
// whether there was anything. The instants are those of the changes, so that
// what is told twice is kept once.
func (r *schedule) tellChanges(ctx context.Context, c *Collector, targets []target.Target) (told bool) {
	now := knownFrom(targets)
	tell := func(id target.ID, e sample.Event) {
		if e.At.IsZero() {
			e.At = c.clock.Now()
		}
		c.announce(id, e)
		told = true
	}
	for _, t := range targets {
		before, there := r.known[t.ID]
		if !there {
			tell(t.ID, sample.Event{At: t.CreatedAt, Kind: sample.EventServerAdded, New: t.Name})
			continue
		}
		if e, changed := changeOf(before, t); changed {
			tell(t.ID, e)
		}
	}
	for id, before := range r.known {
		if _, there := now[id]; there {
			continue
		}
		at, err := removedAt(ctx, c.cfg.Catalog, id)
		if errors.Is(err, target.ErrNotFound) {
			continue // it goes with its history: nobody could ask for the event
		}
		if err != nil {
			now[id] = before // told with the next look
			continue
		}
		tell(id, sample.Event{At: at, Kind: sample.EventServerRemoved, Old: before.Name})
	}
	r.known = now
	return told
}

func removedAt(ctx context.Context, from Catalog, id target.ID) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, catalogTimeout, errCatalogDeadline)
	defer cancel()
	return from.Removed(ctx, id)
}

// changeOf gives the event of a changed server. It names what was changed, and
// values only of the name.
func changeOf(before, now target.Target) (sample.Event, bool) {
	fields := changedFields(before, now)
	if len(fields) == 0 {
		return sample.Event{}, false
	}
	e := sample.Event{At: now.UpdatedAt, Kind: sample.EventServerChanged}
	if now.UpdatedAt.Equal(before.UpdatedAt) {
		e.At = time.Time{} // it is an SSH key that changed, not the server's row
	}
	switch {
	case before.Enabled && !now.Enabled:
		e.Kind = sample.EventServerPaused
	case !before.Enabled && now.Enabled:
		fields = append(fields, "resumed")
	}
	if before.Name != now.Name {
		e.Old, e.New = before.Name, now.Name
	}
	e.Detail = strings.Join(fields, ", ")
	return e, true
}

// changedFields names what differs, as the API names it.
func changedFields(a, b target.Target) (fields []string) {
	ae, be, as, bs := a.Endpoint, b.Endpoint, a.Shell, b.Shell
	optional := func(a, b *int) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
	for _, f := range []struct {
		name string
		same bool
	}{
		{"name", a.Name == b.Name},
		{"host", ae.Host == be.Host},
		{"port", ae.Port == be.Port},
		{"user", ae.User == be.User},
		{"database", ae.Database == be.Database},
		{"tls_mode", ae.TLS == be.TLS},
		{"allow_md5", ae.AllowMD5 == be.AllowMD5},
		{"password", ae.Password.Equal(be.Password)},
		{"ssh.host", as.Host == bs.Host},
		{"ssh.user", as.User == bs.User},
		{"ssh.port", as.Port == bs.Port},
		{"ssh.password", as.Password.Equal(bs.Password)},
		{"ssh.key", as.Key.ID == bs.Key.ID && as.Key.Private.Equal(bs.Key.Private) && as.Key.Passphrase.Equal(bs.Key.Passphrase)},
		{"ssh.host_key", as.HostKey == bs.HostKey},
		{"ssh.tunnel", as.Tunnel == bs.Tunnel},
		{"disk_source", a.DiskSource == b.DiskSource},
		{"stats_db", a.StatsDB == b.StatsDB},
		{"pool_profile", a.Pool == b.Pool},
		{"intervals", a.Intervals == b.Intervals},
		{"query_texts", a.QueryTexts == b.QueryTexts},
		{"burst_active", optional(a.Burst.Active, b.Burst.Active)},
		{"burst_lock_waits", optional(a.Burst.LockWaits, b.Burst.LockWaits)},
		{"burst_connections_percent", optional(a.Burst.ConnectionsPercent, b.Burst.ConnectionsPercent)},
		{"enabled", a.Enabled == b.Enabled},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// Settings can be changed while the collector runs.
type Settings struct {
	Burst Burst
}

// burstLimits are those in force.
func (c *Collector) burstLimits() Burst { return c.settings.Load().Burst }

var errSettingsDeadline = errors.New("read settings: deadline 5s")

// adjust takes over settings that were changed.
func (c *Collector) adjust(ctx context.Context) error {
	if c.cfg.Settings == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, catalogTimeout, errSettingsDeadline)
	defer cancel()
	s, err := c.cfg.Settings(ctx)
	if err != nil {
		return err
	}
	if err := s.Burst.validate(); err != nil {
		return fmt.Errorf("changed settings: %w", err)
	}
	c.settings.Store(&s)
	return nil
}
