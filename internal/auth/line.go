package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Origin says on whose behalf a password is hashed.
type Origin struct {
	Network string // whose callers take turns with those of other networks
	Known   bool   // somebody has logged in from there before
}

// knownTurns is how many turns of one more the known have while both lanes wait.
const knownTurns = 3

// line gives out slots. Networks take turns, however many callers each has; those
// that are known go first in three turns of four. When it is full, a newcomer
// takes the place of the youngest caller of the network that has the most.
type line struct {
	wait time.Duration
	room int // callers that may wait

	mu      sync.Mutex
	free    int // slots
	waiting int
	turn    int
	lanes   [2]lane // the known, the others
}

// lane is the callers that wait, by network, and the order of the networks.
type lane struct {
	order   []string
	callers map[string][]*caller // the oldest first; never empty
}

// caller waits for one word: nil with a slot, ErrBusy without.
type caller struct{ told chan error }

func newLine(slots, room int, wait time.Duration) *line {
	l := &line{wait: wait, room: room, free: slots}
	for i := range l.lanes {
		l.lanes[i].callers = make(map[string][]*caller)
	}
	return l
}

// acquire takes a slot, waiting for one if there is room.
func (l *line) acquire(ctx context.Context, from Origin) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("wait for a password slot: %w", err)
	}
	me, err := l.join(from)
	if err != nil {
		return nil, err
	}
	if me == nil {
		return l.release, nil
	}
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case err = <-me.told:
	case <-timer.C:
		err = l.leave(from, me, ErrBusy)
	case <-ctx.Done():
		err = l.leave(from, me, fmt.Errorf("wait for a password slot: %w", ctx.Err()))
	}
	if err != nil {
		return nil, err
	}
	return l.release, nil
}

// join takes a free slot, and gives nil, or a place in the line.
func (l *line) join(from Origin) (*caller, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free > 0 {
		l.free--
		return nil, nil
	}
	mine := l.lane(from)
	if l.waiting >= l.room && !l.makeRoom(from.Known, len(mine.callers[from.Network])) {
		return nil, ErrBusy
	}
	me := &caller{told: make(chan error, 1)}
	mine.add(from.Network, me)
	l.waiting++
	return me, nil
}

func (l *line) lane(from Origin) *lane {
	if from.Known {
		return &l.lanes[0]
	}
	return &l.lanes[1]
}

// makeRoom sends away the youngest caller of the network that has the most: for
// the known one of the others, if there is any, and else one that has more
// callers than the newcomer's network would have.
func (l *line) makeRoom(known bool, mine int) bool {
	others := &l.lanes[1]
	from, most := others, others.largest()
	if known && most == "" {
		from = &l.lanes[0]
		most = from.largest()
	}
	callers := from.callers[most]
	if most == "" || (!known || from != others) && len(callers) <= mine+1 {
		return false
	}
	youngest := callers[len(callers)-1]
	from.remove(most, youngest)
	l.waiting--
	youngest.told <- ErrBusy
	return true
}

// leave takes a caller out of the line, and gives why. If it was told something
// meanwhile, that counts.
func (l *line) leave(from Origin, me *caller, why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case err := <-me.told:
		return err
	default:
	}
	l.lane(from).remove(from.Network, me)
	l.waiting--
	return why
}

// release gives the slot to whoever is next.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, second := &l.lanes[0], &l.lanes[1]
	if l.turn = (l.turn + 1) % (knownTurns + 1); l.turn == 0 {
		first, second = second, first
	}
	next := first.next()
	if next == nil {
		next = second.next()
	}
	if next == nil {
		l.free++
		return
	}
	l.waiting--
	next.told <- nil
}

func (l *lane) add(network string, c *caller) {
	if len(l.callers[network]) == 0 {
		l.order = append(l.order, network)
	}
	l.callers[network] = append(l.callers[network], c)
}

// next takes the oldest caller of the network whose turn it is, and puts the
// network last.
func (l *lane) next() *caller {
	if len(l.order) == 0 {
		return nil
	}
	network := l.order[0]
	c := l.callers[network][0]
	l.remove(network, c)
	if at := slices.Index(l.order, network); at >= 0 {
		l.order = append(slices.Delete(l.order, at, at+1), network)
	}
	return c
}

func (l *lane) remove(network string, c *caller) {
	callers := l.callers[network]
	at := slices.Index(callers, c)
	if at < 0 {
		return
	}
	if callers = slices.Delete(callers, at, at+1); len(callers) > 0 {
		l.callers[network] = callers
		return
	}
	delete(l.callers, network)
	if at := slices.Index(l.order, network); at >= 0 {
		l.order = slices.Delete(l.order, at, at+1)
	}
}

// largest is the network with the most callers; empty for none. Of several it is
// the one whose turn comes last.
func (l *lane) largest() string {
	most := ""
	for _, network := range l.order {
		if len(l.callers[network]) >= len(l.callers[most]) {
			most = network
		}
	}
	return most
}
