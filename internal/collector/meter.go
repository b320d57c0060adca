package collector

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Meter is told what happens as it happens, for who measures it. It is called
// from many goroutines, on the way of ticks: it must not wait, and keeps nothing
// of what it is given.
type Meter interface {
	// Tick is a visit at a planned tick, answered or not, that goes into the
	// journal.
	Tick(v *sample.Visit)
	// Disks is a look at the file systems of a server's host.
	Disks(server target.ID, d *sample.Disks)
	// Flush is an attempt to write to the history.
	Flush(f Flush)
}

// Flush is one transaction that writes to the history.
type Flush struct {
	Server target.ID
	Ticks  int
	Visits int // without a tick
	Took   time.Duration
	Failed bool
}

// noMeter measures nothing.
type noMeter struct{}

// Tick implements Meter.
func (noMeter) Tick(*sample.Visit) {}

// Disks implements Meter.
func (noMeter) Disks(target.ID, *sample.Disks) {}

// Flush implements Meter.
func (noMeter) Flush(Flush) {}

// meter gives the configured one, or one that measures nothing.
func (c Config) meter() Meter {
	if c.Meter == nil {
		return noMeter{}
	}
	return c.Meter
}

// Watched is a server that is watched.
type Watched struct {
	ID   target.ID
	Name string
	// Connected says that there is a connection for ticks.
	Connected bool
	// Breaker says that the server accepts connections and does not answer them:
	// one attempt waits for it, or one a minute is made, so as not to pile up
	// processes there.
	Breaker bool
}

// Watched gives the servers that are watched now.
func (c *Collector) Watched() []Watched {
	r := &c.schedule
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Watched, 0, len(r.watches))
	for _, ws := range r.byTenth {
		for _, w := range ws {
			list = append(list, w.watched())
		}
	}
	return list
}

func (w *watch) watched() Watched {
	w.mu.Lock()
	id, name := w.t.ID, w.t.Name
	w.mu.Unlock()
	connected, breaker := w.connection.state()
	return Watched{ID: id, Name: name, Connected: connected, Breaker: breaker}
}

func (l *connection) state() (connected, breaker bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil, l.conn == nil && (l.mute >= muteLimit || l.held())
}
