package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/legacy"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// What became of a history.
const (
	statusRead    = "read"
	statusPartly  = "read in part"
	statusNone    = "none"
	statusUnread  = "not read"
	statusUnknown = "unknown server"
)

// sourceLimits bound what reading costs the servers: pages are short statements.
func (i *importer) sourceLimits() remote.Limits {
	return remote.Limits{Application: "pgam-import", Connect: 10 * time.Second, Statement: time.Minute, Lock: time.Second, Answer: -1, Shells: i.shells}
}

func (i *importer) importHistories(ctx context.Context) error {
	if i.flags.noHistory {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(i.servers)) {
		server := i.servers[name]
		source, expected, ok := i.sourceOf(server)
		if !ok {
			continue
		}
		if err := i.importJune(ctx, server.Target, source, expected); err != nil {
			return err
		}
	}
	if i.later != nil {
		if err := i.importLater(ctx); err != nil {
			return err
		}
	}

	return i.warnOfRetention()
}

// sourceOf says where a server's history of June is: where the command line
// says, else where the Python version looks. expected is false where none needs
// to be there.
func (i *importer) sourceOf(s imported) (source target.Target, expected, ok bool) {
	if given, ok := i.sources[s.Name]; ok {
		return target.Target{Name: s.Name, Endpoint: given}, true, true
	}
	if s.entry == nil {
		return source, false, false
	}
	source = s.entry.Target
	if s.entry.PasswordLost != nil {
		source = s.Target // whose password may have been set since
	}
	source.Endpoint.Database = s.entry.Target.StatsDB
	if source.Endpoint.Database == "" {
		source.Endpoint.Database = legacy.DefaultStatsDB
	}

	return source, s.entry.Target.StatsDB != "", true
}

func (i *importer) importJune(ctx context.Context, server, from target.Target, expected bool) error {
	line := importedHistory{Server: server.Name, Source: "June 2025", Database: from.Endpoint.Database}
	source, err := legacy.OpenSource(ctx, from, legacy.June, i.sourceLimits())
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		i.unread(&line, err, expected)

		return nil
	}
	defer source.Close(ctx)

	return i.importOne(ctx, server, source, legacy.June, "", line)
}

// unread reports a history that cannot be read.
func (i *importer) unread(line *importedHistory, err error, expected bool) {
	line.Status, line.Remark = statusUnread, readFault(err)
	nothing := errors.Is(err, legacy.ErrNoTables) || remote.Classify(err) == sample.NoDatabase
	if nothing && !expected {
		line.Status = statusNone
	} else {
		i.toDo("server %q: history in database %q: %s", line.Server, line.Database, line.Remark)
	}
	i.report.History = append(i.report.History, *line)
}

// readFault says why a history cannot be read.
func readFault(err error) string {
	if errors.Is(err, legacy.ErrNoTables) {
		return err.Error()
	}
	if text := remote.Describe(err); remote.Classify(err) != sample.Other {
		if remote.Classify(err) == sample.NoPrivilege {
			return "missing privilege: grant select on its tables to the monitoring user"
		}

		return text
	}

	return err.Error()
}

func (i *importer) importLater(ctx context.Context) error {
	from := target.Target{Name: "later version", Endpoint: *i.later}
	source, err := legacy.OpenSource(ctx, from, legacy.Later, i.sourceLimits())
	var names []string
	if err == nil {
		defer source.Close(ctx)
		names, err = source.Servers(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		i.unread(&importedHistory{Server: "all", Source: "later", Database: i.later.Database}, err, true)

		return nil
	}
	for _, name := range names {
		line := importedHistory{Server: name, Source: "later", Database: i.later.Database}
		server, ok := i.named(name)
		if !ok {
			line.Status, line.Remark = statusUnknown, "pgam has no server of this name"
			i.report.History = append(i.report.History, line)
			i.toDo("server %q has a history, but pgam has no server of this name: pgam server add %q, then import again", name, name)

			continue
		}
		line.Server = server.Name
		if err := i.importOne(ctx, server, source, legacy.Later, name, line); err != nil {
			return err
		}
	}

	return nil
}

// named finds the server that the Python version called so.
func (i *importer) named(name string) (target.Target, bool) {
	if s, ok := i.servers[name]; ok {
		return s.Target, true
	}
	for _, s := range i.servers {
		if s.entry != nil && s.entry.Was == name {
			return s.Target, true
		}
	}
	s, ok := i.servers[legacy.ReplaceName(name)]

	return s.Target, ok
}

// importOne reads one history and writes it, or says what would be written.
func (i *importer) importOne(ctx context.Context, server target.Target, source *legacy.Source, layout legacy.Layout, name string, line importedHistory) error {
	var plan ingest.ImportPlan
	var err error
	if server.ID != 0 { // else a dry run would add it
		if plan, err = i.stats.ImportPlan(ctx, server.ID); err != nil {
			return fmt.Errorf("server %q: %w", server.Name, err)
		}
	}
	rows, err := source.Count(ctx, name)
	var creations []legacy.Creation
	if err == nil {
		creations, err = source.Creations(ctx, name)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		i.unread(&line, err, true)

		return nil
	}
	series := legacy.NewSeries(layout, plan, creations, i.now)
	progress := newImportProgress(i.t, server.Name, rows)
	write := i.stats.Import
	if i.flags.dryRun {
		write = i.stats.WouldImport
	}
	begun := time.Now()
	var counts ingest.ImportCounts
	err = legacy.Copy(ctx, source, name, series, func(c ingest.ImportedChunk) error {
		done, err := write(ctx, server.ID, c)
		counts.Add(done)
		line.span(c)
		progress.at(series.Counts().Read)

		return err
	})
	progress.end()
	line.Status = statusRead
	if _, ok := errors.AsType[*legacy.ReadError](err); ok && ctx.Err() == nil {
		line.Status, line.Remark = statusPartly, readFault(err)
		i.toDo("server %q: history in database %q: %s: import again to go on", line.Server, line.Database, line.Remark)
	} else if err != nil {
		return fmt.Errorf("server %q: %w: start it again to go on", server.Name, err)
	}
	line.fill(series.Counts(), counts, time.Since(begun))
	i.report.History = append(i.report.History, line)

	return nil
}

// warnOfRetention tells where the collector will drop what was imported.
func (i *importer) warnOfRetention() error {
	kept := i.cfg.RetentionDatabases.Std()
	limit := i.now.Add(-kept)
	for _, h := range i.report.History {
		if h.From != nil && h.From.Before(limit) {
			i.toDo("server %q: the history begins on %s, and the collector drops what is older than PGAM_RETENTION_DATABASES: raise it above %s, or let it go",
				h.Server, h.From.Format(time.DateOnly), days(kept))
		}
	}

	return nil
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }
