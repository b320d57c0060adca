package collector

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// schedule is who is watched, and in which tenth of a second. A server that is removed or paused leaves
// it but is remembered, in case that it comes back.
type schedule struct {
	mu       sync.Mutex
	watches  map[target.ID]*watch
	byTenth  [tenths][]*watch
	revision int64
	loaded   bool
	known    known     // of the goroutine that loads
	told     time.Time // when it was last told that servers cannot be read; of that one, too
}

// catalogTimeout bounds a look at the catalog.
const catalogTimeout = 5 * time.Second

var errStatsAway = errors.New("stats_db is away")

// begin loads the servers for the first time.
func (r *schedule) begin(ctx context.Context, c *Collector) error {
	r.known = keptTargets(c)
	err := errStatsAway
	if !c.cfg.Away {
		err = r.load(ctx, c)
	}
	if err == nil {
		return nil
	}
	sealed, keptErr := c.cfg.Journal.Targets()
	if keptErr != nil || sealed == nil {
		return fmt.Errorf("learn what to watch: %w", err)
	}
	targets, keptErr := c.cfg.Catalog.Unseal(sealed)
	if keptErr != nil {
		return fmt.Errorf("learn what to watch: %w", err)
	}
	c.cfg.Log.WarnContext(ctx, "stats_db is away: servers as last known are watched and the journal keeps what is seen", "servers", len(targets), "error", err)
	r.set(ctx, c, targets, false)
	return nil
}

// refresh looks whether any server changed, and takes the changes over.
func (r *schedule) refresh(ctx context.Context, c *Collector) {
	revision, err := revisionOf(ctx, c.cfg.Catalog)
	if err != nil {
		return // stats_db is away; Append reports it
	}
	c.findGap(ctx)
	r.mu.Lock()
	same := r.loaded && revision == r.revision
	r.mu.Unlock()
	if same {
		return
	}
	if err := r.load(ctx, c); err != nil && time.Since(r.told) >= tellAgain {
		r.told = time.Now()
		c.cfg.Log.WarnContext(ctx, "changed servers cannot be read", "error", err)
	}
}

var errCatalogDeadline = errors.New("read servers: deadline 5s")

func revisionOf(ctx context.Context, from Catalog) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, catalogTimeout, errCatalogDeadline)
	defer cancel()
	return from.Revision(ctx)
}

func targetsOf(ctx context.Context, from Catalog) ([]target.Target, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, catalogTimeout, errCatalogDeadline)
	defer cancel()
	return from.Targets(ctx)
}

// load takes over the servers as stats_db has them.
func (r *schedule) load(ctx context.Context, c *Collector) error {
	revision, err := revisionOf(ctx, c.cfg.Catalog)
	if err != nil {
		return err
	}
	targets, sealed, err := targetsOf(ctx, c.cfg.Catalog)
	if err != nil {
		return err
	}
	if err := c.adjust(ctx); err != nil {
		c.cfg.Log.WarnContext(ctx, "changed settings are not taken over", "error", err)
	}
	told := r.tellChanges(ctx, c, targets)
	r.set(ctx, c, targets, true)
	if told {
		_ = c.cfg.Journal.Sync() // before the servers are known; the schedule's own says so if it fails
	}
	if err := c.cfg.Journal.PutTargets(sealed); err != nil {
		c.cfg.Log.WarnContext(ctx, "servers cannot be kept for a start without stats_db", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision, r.loaded = revision, true
	return nil
}

// set makes the schedule hold exactly the enabled ones of targets.
func (r *schedule) set(ctx context.Context, c *Collector, targets []target.Target, online bool) {
	wanted := make(map[target.ID]bool, len(targets))
	for _, t := range targets {
		if !t.Enabled {
			continue
		}
		wanted[t.ID] = true
		w := r.watch(t.ID)
		if w == nil {
			w, online = newWatch(ctx, c, t, online) // one that hangs is not waited for again
			r.mu.Lock()
			r.watches[t.ID] = w
			r.mu.Unlock()
			c.cfg.Log.InfoContext(ctx, "watching server", "server", t.Name, "server_id", t.ID, "interval", w.cadence().String())
			continue
		}
		if w.update(t) {
			c.cfg.Log.InfoContext(ctx, "watching server as changed", "server", t.Name, "server_id", t.ID, "interval", w.cadence().String())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byTenth = [tenths][]*watch{}
	for id, w := range r.watches {
		if wanted[id] {
			r.byTenth[w.tenth] = append(r.byTenth[w.tenth], w)
			continue
		}
		if w.pause() {
			c.cfg.Log.InfoContext(ctx, "no longer watching server", "server_id", id)
		}
	}
}

// isLoaded says whether stats_db has told what is watched.
func (r *schedule) isLoaded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded
}

func (r *schedule) tenth(n int) []*watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byTenth[n]
}

func (r *schedule) watch(id target.ID) *watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watches[id]
}

func (r *schedule) count() (servers, connected int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ws := range r.byTenth {
		servers += len(ws)
		for _, w := range ws {
			if w.connected() {
				connected++
			}
		}
	}
	return servers, connected
}

func (r *schedule) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watches {
		w.pause()
	}
}

// phaseOf spreads servers: the same id has the same phase in every run.
func phaseOf(id target.ID) uint64 {
	h := fnv.New64a()
	for v := uint64(id); v > 0; v >>= 8 {
		_, _ = h.Write([]byte{byte(v)}) // a hash never fails
	}
	x := h.Sum64()
	x ^= x >> 33 // FNV leaves the low bits of small ids alike
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
