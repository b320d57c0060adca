package route

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const (
	// samplesTTL is how long the newest samples of disks are given again: the
	// collector makes new ones once a minute.
	samplesTTL = 5 * time.Second
	// samplesTimeout bounds one reading of them.
	samplesTimeout = 2 * time.Second
	// UseData is the use of the file system that holds the data directory.
	UseData = "data"
)

// diskCache reads the newest samples of a server's disks at most once in
// samplesTTL.
type diskCache struct {
	past  History
	cache *otter.Cache[target.ID, []history.Disk]
}

func newDiskCache(past History) (*diskCache, error) {
	cache, err := otter.New(&otter.Options[target.ID, []history.Disk]{
		MaximumSize: 100_000, ExpiryCalculator: otter.ExpiryWriting[target.ID, []history.Disk](samplesTTL), Logger: &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of disk samples: %w", err)
	}
	return &diskCache{past, cache}, nil
}

// NewestDisks gives the newest samples of the file systems of a server's host,
// as of a few seconds ago.
func (g *Group) NewestDisks(ctx context.Context, id target.ID) ([]history.Disk, error) {
	if list, ok := g.samples.cache.GetIfPresent(id); ok {
		return list, nil
	}
	type answer struct {
		list []history.Disk
		err  error
	}
	read := make(chan answer, 1)
	// The first who asks would be kept until it is read, whatever its ctx.
	go func() {
		list, err := guard.Call(func() ([]history.Disk, error) {
			return g.samples.cache.Get(context.WithoutCancel(ctx), id, otter.LoaderFunc[target.ID, []history.Disk](g.samples.read))
		})
		read <- answer{list, err}
	}()
	select {
	case a := <-read:
		return a.list, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read disks: %w", context.Cause(ctx))
	}
}

func (c *diskCache) read(ctx context.Context, id target.ID) ([]history.Disk, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, samplesTimeout, fmt.Errorf("read disks: deadline %s", samplesTimeout))
	defer cancel()
	return c.past.DisksNow(ctx, id)
}

// DataSpace gives the bytes of the file system that holds the data directory:
// as it was seen, or, where sampled holds one that is not older than age, as it
// was sampled.
func (g *Group) DataSpace(seen live.Disks, sampled []history.Disk, age time.Duration) (free, total *int64) {
	if s, ok := seen.Of(UseData); ok {
		return Known(s.Free), Known(s.Total)
	}
	var newest *history.Disk
	for i, d := range sampled {
		if slices.Contains(d.Uses, UseData) && (newest == nil || d.At.After(newest.At)) {
			newest = &sampled[i]
		}
	}
	if newest == nil || g.Now().Sub(newest.At) > age {
		return nil, nil
	}
	return newest.Free, newest.Total
}

// Known gives a number that may be unknown as one that may be null.
func Known(n sample.Int) *int64 {
	if !n.Known {
		return nil
	}
	return &n.V
}
