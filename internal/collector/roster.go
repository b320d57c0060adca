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

// roster is who is watched. A server that is removed or paused leaves its
// slot but keeps its dictionaries, which the journal may still refer to.
type roster struct {
	mu       sync.Mutex
	watches  map[target.ID]*watch
	bySlot   [slots][]*watch
	revision int64
	loaded   bool
	known    known     // of the goroutine that loads
	told     time.Time // when it was last told that servers cannot be read; of that one, too
}

// catalogTimeout bounds a look at the catalog.
const catalogTimeout = 5 * time.Second

// begin loads the servers for the first time.
func (r *roster) begin(ctx context.Context, c *Collector) error {
	r.known = keptTargets(c)
	err := errStatsAway
	if !c.cfg.Away {
		err = r.load(ctx, c, true)
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
func (r *roster) refresh(ctx context.Context, c *Collector) {
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
	if err := r.load(ctx, c, false); err != nil && time.Since(r.told) >= tellAgain {
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

// load takes over the servers as stats_db has them; first says that none is
// watched yet.
func (r *roster) load(ctx context.Context, c *Collector, first bool) error {
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
	if first {
		c.successor = c.succeeds(ctx)
	}
	told := r.tellChanges(ctx, c, targets)
	whole := r.set(ctx, c, targets, true)
	if told {
		_ = c.cfg.Journal.Sync() // before the servers are known; the schedule's own says so if it fails
	}
	if err := c.cfg.Journal.PutTargets(sealed); err != nil {
		c.cfg.Log.WarnContext(ctx, "servers cannot be kept for a start without stats_db", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision, r.loaded = revision, whole
	return nil
}

// set makes the roster hold exactly the enabled ones of targets; it is not
// whole if some cannot be watched yet.
func (r *roster) set(ctx context.Context, c *Collector, targets []target.Target, online bool) (whole bool) {
	whole = true
	wanted := make(map[target.ID]bool, len(targets))
	for _, t := range targets {
		if !t.Enabled {
			continue
		}
		wanted[t.ID] = true
		w := r.watch(t.ID)
		if w == nil {
			var err error
			if w, err = newWatch(ctx, c, t, online); err != nil {
				c.cfg.Log.WarnContext(ctx, "server cannot be watched yet", "server", t.Name, "server_id", t.ID, "error", err)
				whole = false
				continue
			}
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
	r.bySlot = [slots][]*watch{}
	for id, w := range r.watches {
		if wanted[id] {
			r.bySlot[w.slot] = append(r.bySlot[w.slot], w)
			continue
		}
		if w.pause() {
			c.cfg.Log.InfoContext(ctx, "no longer watching server", "server_id", id)
		}
	}
	return whole
}

// isLoaded says whether stats_db has told what is watched.
func (r *roster) isLoaded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded
}

func (r *roster) slot(slot int) []*watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bySlot[slot]
}

func (r *roster) watch(id target.ID) *watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watches[id]
}

// expects gives the instant before which no tick can come any more, of each
// server that has one.
func (r *roster) expects() map[target.ID]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[target.ID]time.Time, len(r.watches))
	for id, w := range r.watches {
		if planned, ok := w.expects(); ok {
			out[id] = planned
		}
	}
	return out
}

func (r *roster) count() (servers, connected int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ws := range r.bySlot {
		servers += len(ws)
		for _, w := range ws {
			if w.connected() {
				connected++
			}
		}
	}
	return servers, connected
}

func (r *roster) close() {
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
