package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
)

// Setting is a setting of the collector that can be changed while it runs, as
// stored. Its texts are as in the environment; nobody has checked them here.
type Setting struct {
	Name string
	// Value is what it was changed to; nil: it was not.
	Value *string
	// Environment is what the collector was last started with; nil: unknown.
	Environment *string
	UpdatedAt   time.Time // of Value
	UpdatedBy   string
}

// Settings gives what is stored, by name.
func (c *Catalog) Settings(ctx context.Context) ([]Setting, error) {
	const sql = `/* pgam:settings */
select name, value, environment, updated_at, updated_by
  from pgam.setting
 order by name`
	rows, _ := c.pool.Query(ctx, sql) // its error is in rows
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Setting])
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", statsdb.Classify(err))
	}
	for i := range list {
		list[i].UpdatedAt = list[i].UpdatedAt.UTC()
	}
	return list, nil
}

// ChangeSettings stores values, nil for none, all or nothing. Who follows
// ServersRevision sees that there is something new.
func (c *Catalog) ChangeSettings(ctx context.Context, changes map[string]*string, by string) error {
	const sql = `/* pgam:setting_change */
insert into pgam.setting (name, value, updated_by)
values ($1, $2, $3)
on conflict (name) do update
   set value = excluded.value, updated_by = excluded.updated_by, updated_at = now(), revision = nextval('pgam.revision')
 where setting.value is distinct from excluded.value`
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			if _, err := tx.Exec(ctx, sql, name, changes[name], by); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("change settings: %w", statsdb.Classify(err))
	}
	return nil
}

// PublishSettings notes what the collector was started with, so that others can
// tell what is in force.
func (c *Catalog) PublishSettings(ctx context.Context, environment map[string]string) error {
	const sql = `/* pgam:setting_publish */
insert into pgam.setting as s (name, environment)
select n.name, n.value
  from unnest($1::text[], $2::text[]) as n (name, value)
on conflict (name) do update
   set environment = excluded.environment
 where s.environment is distinct from excluded.environment`
	names := slices.Sorted(maps.Keys(environment))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = environment[name]
	}
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, names, values)
		return err
	})
	if err != nil {
		return fmt.Errorf("publish settings: %w", statsdb.Classify(err))
	}
	return nil
}
