package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
)

// AuditOutcome says how an act ended.
type AuditOutcome string

// The outcomes; of an act that goes on, or of which nothing is known, it is empty.
const (
	AuditOK      AuditOutcome = "ok"
	AuditRefused AuditOutcome = "refused"
	AuditFailed  AuditOutcome = "failed"
)

// AuditEntry is one act, or the refusal of one.
type AuditEntry struct {
	ID      int64
	At      time.Time
	Account string     // login of who asked
	Client  netip.Addr // from where; the zero one: not known
	Action  string     // session.cancel, …
	Server  string     // its name then; empty: none
	// Detail is what it was done to, as JSON has it.
	Detail  map[string]any
	Outcome AuditOutcome
	Reason  string // why not ok
}

// BeginAudit writes an act down before it is done, and gives the id of its row.
func (c *Catalog) BeginAudit(ctx context.Context, e AuditEntry) (id int64, err error) {
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
func (c *Catalog) EndAudit(ctx context.Context, id int64, outcome AuditOutcome, reason string, more map[string]any) error {
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

// AuditQuestion is which acts are asked for; what is empty does not matter.
type AuditQuestion struct {
	From, To                time.Time // To is left out
	Server, Account, Action string
	Before                  int64 // only rows with a smaller id
	Limit                   int
}

// Audit gives acts, the newest first.
func (c *Catalog) Audit(ctx context.Context, q AuditQuestion) ([]AuditEntry, error) {
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
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e AuditEntry, err error) {
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
