package live

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// Size is how many connections a pool holds.
type Size struct {
	Min, Max int32
}

// lockWait is lock_timeout of every live question.
const lockWait = 300 * time.Millisecond

// pools holds one pool a server, made when it is first needed.
type pools struct {
	sizes       map[target.PoolProfile]Size
	application string
	deadline    time.Duration
	shells      *remote.Shells // of tunnels
	guard       *remote.Guard

	mu      sync.Mutex
	turns   map[target.ID]chan struct{} // to start a connection
	byID    map[target.ID]*serverPool
	closed  bool
	closing sync.WaitGroup
}

type serverPool struct {
	t    target.Target // as the pool was made for
	size Size
	*pgxpool.Pool
	dismissed atomic.Bool
}

// limits are those of every connection to a server: its starts, of the pool and
// of tests, come one after the other, and one that is held up is waited for.
func (p *pools) limits(id target.ID) remote.Limits {
	if p.turns[id] == nil {
		p.turns[id] = make(chan struct{}, 1)
	}
	return remote.Limits{
		Application: p.application, Connect: p.deadline - p.deadline/8, Statement: p.deadline, Lock: lockWait,
		Shells: p.shells, Guard: p.guard, Hold: true, Turn: p.turns[id], Answer: maxAnswer,
	}
}

// get gives the pool of a server. A pool that was made for another address,
// password or size is replaced, unless t is older than the pool.
func (p *pools) get(t target.Target) (*serverPool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errStopped
	}
	if have := p.byID[t.ID]; have != nil {
		if t.Revision <= have.t.Revision || have.fits(t) {
			return have, nil
		}
		p.dismiss(have)
	}
	made, err := p.open(t)
	if err != nil {
		return nil, err
	}
	p.byID[t.ID] = made
	return made, nil
}

func (p *serverPool) fits(t target.Target) bool {
	return p.t.SameEndpoint(t) && p.t.Pool == t.Pool
}

func (p *pools) open(t target.Target) (*serverPool, error) {
	conn, err := remote.PostgresConfig(t, p.limits(t.ID))
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("set up pool of %s: %w", t.Name, err)
	}
	size, ok := p.sizes[t.Pool]
	if !ok {
		size = p.sizes[target.PoolDefault]
	}
	cfg.ConnConfig = conn
	cfg.MinConns, cfg.MaxConns = size.Min, max(size.Max, size.Min, 1)
	cfg.MaxConnLifetime = 30 * time.Minute
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
	cfg.MaxConnIdleTime = 5 * time.Minute
	// A question on a dead connection is asked again; a ping would make every
	// question wait for one round trip more.
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("set up pool of %s: %w", t.Name, err)
	}
	return &serverPool{t: t, size: size, Pool: pool}, nil
}

// testLimits is limits for who does not hold the mutex.
func (p *pools) testLimits(id target.ID) remote.Limits {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limits(id)
}

// keep closes the pools of servers that are not in the list, or that are
// reached in another way now.
func (p *pools) keep(current map[target.ID]target.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, have := range p.byID {
		if t, ok := current[id]; !ok || (t.Revision > have.t.Revision && !have.fits(t)) {
			p.dismiss(have)
		}
	}
}

// dismiss closes a pool when its last question is answered. The mutex is held.
func (p *pools) dismiss(old *serverPool) {
	delete(p.byID, old.t.ID)
	old.dismissed.Store(true)
	p.closing.Go(old.Close)
}

// close closes all pools and waits for them as long as ctx allows.
func (p *pools) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	for _, have := range p.byID {
		p.dismiss(have)
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { p.closing.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close pools: %w", context.Cause(ctx))
	}
}

// PoolStatus is what is known of one pool.
type PoolStatus struct {
	Server target.ID
	// Key names the pool by its address: host:port:user:database.
	Key      string
	Size     Size
	Total    int32 // connections there are, or are being made
	Acquired int32
	Idle     int32
	// Waits counts questions that had to wait for a connection, WaitTime how
	// long they did in all.
	Waits    int64
	WaitTime time.Duration
}

// status gives all pools, the oldest servers first.
func (p *pools) status() []PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]PoolStatus, 0, len(p.byID))
	for id, have := range p.byID {
		stat, e := have.Stat(), have.t.Endpoint
		list = append(list, PoolStatus{
			Server: id,
			Key:    net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) + ":" + e.User + ":" + e.Database,
			Size:   have.size, Total: stat.TotalConns(), Acquired: stat.AcquiredConns(), Idle: stat.IdleConns(),
			Waits: stat.EmptyAcquireCount(), WaitTime: stat.EmptyAcquireWaitTime(),
		})
	}
	slices.SortFunc(list, func(a, b PoolStatus) int { return cmp.Compare(a.Server, b.Server) })
	return list
}
