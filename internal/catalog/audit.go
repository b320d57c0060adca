package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

// BeginAudit writes an act down before it is done, and gives the id of its row.
func (c *Catalog) BeginAudit(ctx context.Context, e account.AuditEntry) (id int64, err error) {
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return 0, fmt.Errorf("encode audit: %w", err)
	}
	var client *netip.Addr
	if e.Client.IsValid() {
		at := e.Client.Unmap().WithZone("")
		client = &at
	}
	err = c.db.Change(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:audit_begin */
insert into pgam.audit (account, client_addr, action, server, detail)
values ($1, $2, $3, $4, $5)
returning id`
		return tx.QueryRow(ctx, sql, e.Account, client, e.Action, orNil(e.Server), detail).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("write audit: %w", statsdb.Classify(err))
	}
	return id, nil
}

// EndAudit adds to an act how it ended, and what more is known of what it was done
// to.
func (c *Catalog) EndAudit(ctx context.Context, id int64, outcome account.AuditOutcome, reason string, more map[string]any) error {
	detail, err := json.Marshal(more)
	if err != nil {
		return fmt.Errorf("encode audit: %w", err)
	}
	err = c.db.Change(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:audit_end */
update pgam.audit
   set outcome = $2, reason = $3, detail = detail || coalesce(nullif($4::jsonb, 'null'), '{}')
 where id = $1`
		_, err := tx.Exec(ctx, sql, id, string(outcome), orNil(reason), detail)
		return err
	})
	if err != nil {
		return fmt.Errorf("write outcome to audit: %w", statsdb.Classify(err))
	}
	return nil
}

// Audit gives acts, the newest first.
func (c *Catalog) Audit(ctx context.Context, q account.AuditQuestion) ([]account.AuditEntry, error) {
	const sql = `/* pgam:audit */
select id, at, account, client_addr, action, coalesce(server, ''), detail, coalesce(outcome, ''), coalesce(reason, '')
  from pgam.audit
 where ($1::timestamptz is null or at >= $1)
   and ($2::timestamptz is null or at < $2)
   and ($3::text is null or server = $3)
   and ($4::text is null or account = $4)
   and ($5::text is null or action = $5)
   and ($6::bigint is null or id < $6)
 order by id desc
 limit $7`
	rows, _ := c.pool.Query(ctx, sql, orNil(q.From), orNil(q.To), orNil(q.Server), orNil(q.Account), orNil(q.Action), orNil(q.Before), q.Limit) // its error is in rows
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e account.AuditEntry, err error) {
		var client *netip.Addr
		err = row.Scan(&e.ID, &e.At, &e.Account, &client, &e.Action, &e.Server, &e.Detail, &e.Outcome, &e.Reason)
		if client != nil {
			e.Client = *client
		}
		e.At = e.At.UTC()
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", statsdb.Classify(err))
	}
	return list, nil
}
