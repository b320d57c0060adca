package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// DiskReader looks at the file systems that hold these locations of a server.
type DiskReader interface {
	Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, error)
}

// lookTimeout bounds one look at a host, whose steps have their own bounds.
const lookTimeout = 30 * time.Second

// Disks is how the file systems of a server's host are.
type Disks struct {
	// Disks is what was seen; Source is target.DiskNone, and nothing else is
	// set, where nothing is looked at.
	sample.Disks
	// Reason is None when the file system of the data directory is known.
	// Otherwise FileSystems may still hold others.
	Reason sample.Reason
	// Explanation is for a person: "ok", or what is wrong and what to do.
	Explanation string
}

const notAsked = "the data directory is not known, for PostgreSQL does not answer"

// Disks gives how the file systems of a server's host are, as of at most the
// cache's time ago, within the deadline. Many may ask at once: the host is
// asked once, and goes on being asked when ctx ends. What went wrong is given
// again, without a wait, until a further attempt, made behind it, has ended
// well.
func (l *Live) Disks(ctx context.Context, t target.Target) Disks {
	if t.Disks() == target.DiskNone {
		return Disks{Disks: sample.Disks{Source: target.DiskNone}, Explanation: remote.Explain(sample.None)}
	}
	key := statusKey{t.ID, t.Revision}
	if seen, ok := l.looks.GetIfPresent(key); ok && seen.Reason == sample.None {
		return seen
	}
	load := otter.LoaderFunc[statusKey, Disks](func(ctx context.Context, _ statusKey) (Disks, error) {
		return l.look(ctx, t), nil
	})
	ctx, cancel := context.WithTimeout(ctx, l.deadline)
	defer cancel()
	answer := make(chan Disks, 1)
	// The first who asks would be kept until the look ends, whatever its ctx.
	go func() {
		seen, err := guard.Call(func() (Disks, error) { return l.looks.Get(context.WithoutCancel(ctx), key, load) })
		if err != nil {
			seen = unseen(t, sample.Other, "")
		}
		answer <- seen
	}()
	select {
	case seen := <-answer:
		return seen
	case <-ctx.Done():
		return unseen(t, sample.Timeout, "")
	}
}

// look looks at the host now. It is bounded, and ends with Stop.
func (l *Live) look(ctx context.Context, t target.Target) Disks {
	ctx, end, ok := l.behind(ctx, lookTimeout, "disks of "+t.Name)
	if !ok {
		return unseen(t, sample.NotRunning, "")
	}
	defer end()
	if t.Disks() == target.DiskSSH && l.brokenShell(t.ID) {
		return unseen(t, sample.AuthFailed, brokenShellAdvice)
	}
	status := l.Status(ctx, t)
	locations := status.Locations
	if len(locations) == 0 && status.Reason != sample.None && status.Reason != sample.NoPrivilege {
		// A host can be looked at while its PostgreSQL is down.
		if locations, ok = l.places.GetIfPresent(statusKey{t.ID, t.Revision}); !ok {
			return unseen(t, status.Reason, notAsked)
		}
	}
	if len(locations) == 0 {
		return unseen(t, sample.NoPrivilege, locationAdvice(status.VersionNum))
	}
	seen, err := l.reader.Read(ctx, t, locations)
	if l.firstContact(err) {
		if t, err = l.pin(ctx, t); err == nil {
			seen, err = l.reader.Read(ctx, t, locations)
		}
	}
	found := l.judge(ctx, t, seen, err, status.VersionNum)
	if pinned := (statusKey{t.ID, t.Revision}); found.Reason == sample.None {
		l.places.Set(pinned, locations)
		l.looks.SetIfAbsent(pinned, found)
	}
	return found
}

// judge says what a look has come to.
func (l *Live) judge(ctx context.Context, t target.Target, seen sample.Disks, err error, version int32) Disks {
	if err != nil {
		reason := remote.Classify(err)
		if reason == sample.Other {
			l.log.WarnContext(ctx, "disks were not read", "server", t.Name, "error", err)
		}
		return unseen(t, reason, remote.Describe(err))
	}
	found := Disks{Disks: seen, Explanation: remote.Explain(sample.None)}
	if _, ok := seen.Of(useData); ok {
		return found
	}
	found.Reason, found.Explanation = sample.NoPrivilege, locationAdvice(version)
	for _, m := range seen.Missing {
		if m.Use == useData {
			found.Reason, found.Explanation = m.Reason, missingAdvice(t.Disks(), m)
		}
	}
	return found
}

// useData is the location of the data directory.
const useData = "data"

func missingAdvice(source target.DiskSource, m sample.MissingLocation) string {
	where, who := "the host that SSH enters", "the SSH user"
	if source == target.DiskLocal {
		where, who = "this machine", "the program's user"
	}
	switch m.Reason { //nolint:exhaustive // the rest has the general word
	case sample.NoPrivilege:
		return "the data directory's file system may not be looked at: let " + who + " search the folders above it"
	case sample.NotFound:
		return "the data directory " + m.Path + " is not on " + where + ": is PostgreSQL in a container, or on another host?"
	case sample.Timeout:
		return "the data directory's file system does not answer in time: is it on a file server that is away?"
	case sample.Malformed:
		return "the answer about the data directory's file system could not be understood: what does df -P " + m.Path + " print there?"
	case sample.Unsupported:
		return "this kind of machine cannot be looked at locally: use SSH"
	}
	if m.Detail != "" {
		return "the data directory's file system cannot be read: " + where + " says: " + m.Detail
	}
	return "the data directory's file system cannot be read: " + remote.ExplainShell(m.Reason)
}

// unseen is a look that found nothing; an empty advice is that of the reason.
func unseen(t target.Target, reason sample.Reason, advice string) Disks {
	if advice == "" {
		advice = remote.ExplainShell(reason)
	}
	return Disks{Disks: sample.Disks{At: time.Now().UTC(), Source: t.Disks()}, Reason: reason, Explanation: advice}
}

// newLooks makes the cache of looks. What went wrong is tried again, behind
// who asks, after retry; nothing is older than ttl.
func newLooks(ttl, retry time.Duration, used *use) (*otter.Cache[statusKey, Disks], error) {
	cache, err := otter.New(&otter.Options[statusKey, Disks]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[statusKey, Disks](ttl),
		RefreshCalculator: otter.RefreshWritingFunc(func(e otter.Entry[statusKey, Disks]) time.Duration {
			if e.Value.Reason == sample.None {
				return ttl
			}
			return min(retry, ttl)
		}),
		StatsRecorder: used, Logger: &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of disks: %w", err)
	}
	return cache, nil
}

// View is how a server and its host are.
type View struct {
	Status
	Disks Disks
}

// Views gives the view of each server, in their order. All are asked at once,
// within the deadline together. Where all is well but the disks, which are
// unknown after four fifths of it or could not be seen, unseen is called, if it
// is not nil, with the server's place in the list: at once for several, within
// what is left.
func (l *Live) Views(ctx context.Context, servers []target.Target, unseen func(ctx context.Context, i int)) []View {
	list := make([]View, len(servers))
	var asking []int
	for i, t := range servers {
		ok := false
		if list[i], ok = l.remembered(t); !ok {
			asking = append(asking, i)
		}
	}
	if len(asking) == 0 {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, l.deadline)
	defer cancel()
	soon, cancelSoon := context.WithTimeout(ctx, l.deadline/5*4)
	defer cancelSoon()
	var all sync.WaitGroup
	for _, i := range asking {
		all.Go(func() {
			list[i] = View{Status: l.Status(ctx, servers[i]), Disks: l.Disks(soon, servers[i])}
			if unseen != nil && list[i].Reason == sample.None && list[i].Disks.Reason != sample.None {
				_ = guard.Run(func() error { unseen(ctx, i); return nil }) // it only fills in
			}
		})
	}
	all.Wait()
	return list
}

// remembered gives the view of a server from the caches alone, if there is
// nothing to be asked for it.
func (l *Live) remembered(t target.Target) (View, bool) {
	key := statusKey{t.ID, t.Revision}
	status, ok := l.statuses.GetIfPresent(key)
	if !ok {
		return View{}, false
	}
	if t.Disks() == target.DiskNone {
		return View{status, Disks{Disks: sample.Disks{Source: target.DiskNone}, Explanation: remote.Explain(sample.None)}}, true
	}
	seen, ok := l.looks.GetEntry(key)
	if !ok || seen.Value.Reason != sample.None && (status.Reason == sample.None || seen.RefreshableAfter() <= 0) {
		return View{}, false
	}
	return View{status, seen.Value}, true
}
