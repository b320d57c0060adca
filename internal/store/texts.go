package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// insertQuery keeps a text only as the server's query_texts allow it now: one
// that waited in the journal may be of a time when more was allowed. A longer
// text replaces a shorter one, a newer kind of text an older one.
const insertQuery = `/* pgam:append */
insert into history.query as q (server_id, id, query_id, own, text, text_full, first_seen_on, last_seen_on)
select $1, $2, $3, $4, t.text, t.text is not null and $7, $6, $6
  from (select case coalesce((select s.query_texts from pgam.server s where s.id = $1), 'normalized')
               when 'full' then $5::text
               when 'normalized' then case when not $7 then $5::text end
               end as text) t
on conflict (server_id, id) do update
   set text = case when ` + betterText + ` then excluded.text else q.text end,
       text_full = case when ` + betterText + ` then excluded.text_full else q.text_full end,
       last_seen_on = greatest(q.last_seen_on, excluded.last_seen_on)
 where ` + betterText + ` or q.last_seen_on < excluded.last_seen_on`

const betterText = `(excluded.text is not null and (q.text is null or q.text_full <> excluded.text_full
       or octet_length(q.text) < octet_length(excluded.text)))`

// forgetChunk is how many texts one transaction takes away: few enough to take
// tens of milliseconds.
const forgetChunk = 2000

// ForgetTexts takes away the texts that servers' query_texts do not allow: those
// with literals where normalized ones are kept, all where none are. It works in
// short transactions, waits for nobody, and leaves rows alone that are being
// written just now: what was written before the server became stricter needs a
// call after that. It returns how many texts it took away, also with an error.
func (s *Store) ForgetTexts(ctx context.Context) (texts int64, err error) {
	const sql = "/* pgam:forget */ select id, query_texts from pgam.server where query_texts <> 'full' order by id"
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return 0, fmt.Errorf("list servers that keep no full texts: %w", statsdb.Classify(err))
	}
	type server struct {
		ID    target.ID
		Texts target.QueryTexts
	}
	servers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[server])
	if err != nil {
		return 0, fmt.Errorf("list servers that keep no full texts: %w", statsdb.Classify(err))
	}
	for _, srv := range servers {
		n, err := s.forgetTexts(ctx, srv.ID, srv.Texts)
		texts += n
		if err != nil {
			return texts, fmt.Errorf("take away texts of server %d: %w", srv.ID, statsdb.Classify(err))
		}
	}
	return texts, nil
}

func (s *Store) forgetTexts(ctx context.Context, server target.ID, keep target.QueryTexts) (texts int64, err error) {
	const sql = `/* pgam:forget */
with forbidden as (
  select q.id
    from history.query q
   where q.server_id = $1
     and q.id > $2
     and q.text is not null
     and (q.text_full or $3)
   order by q.id
   limit $4
     for update skip locked
), forgotten as (
  update history.query q
     set text = null, text_full = false
    from forbidden f
   where q.server_id = $1
     and q.id = f.id
  returning q.id
)
select count(*), coalesce(max(id), 0)
  from forgotten`
	for last := int32(0); ; {
		var n int64
		if err := s.pool.QueryRow(ctx, sql, server, last, keep == target.TextsNone, forgetChunk).Scan(&n, &last); err != nil {
			return texts, err
		}
		texts += n
		if n < forgetChunk {
			return texts, nil
		}
	}
}
