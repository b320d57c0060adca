package store

import (
	"context"
	"errors"
	"sync"

	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// rolls is what rolling up keeps from one bucket to the next.
type rolls struct {
	mu      sync.Mutex
	folder  rollup.Folder
	windows leanBuffer
	labels  map[serverLabel]keptLabel
}

const (
	// keptLabels bounds the labels that are remembered, to some megabytes.
	keptLabels = 50_000
	// labelTries bounds how often new labels are looked for that others were
	// adding at the same time.
	labelTries = 5
)

var errLabels = errors.New("name labels: others were adding the same all the time")

// label is a text of a dimension.
type label struct {
	dimension rollup.Dimension
	text      string
}

type serverLabel struct {
	server target.ID
	label
}

// keptLabel is the id of a label, which stays its own as long as a rollup can
// hold it: that is, while it was seen on a day near enough.
type keptLabel struct {
	id  int32
	day int32 // when it is stored to be last seen, or before
}

// labelTexts gives the texts of a bucket numbers, until it is known which of
// them are frequent enough to get an id. None is 0.
type labelTexts struct {
	numbers map[label]int32
	list    []label // from number 1
}

func newLabelTexts() *labelTexts { return &labelTexts{numbers: make(map[label]int32)} }

// of reads the labels of a row of sessionLabels.
func (t *labelTexts) of(v values) (labels rollup.Labels) {
	for i := range labels {
		d := rollup.Database + rollup.Dimension(i)
		text := v[labelColumn(d)]
		if len(text) == 0 {
			continue
		}
		number, known := t.numbers[label{d, string(text)}]
		if !known {
			t.list = append(t.list, label{d, string(text)})
			number = int32(len(t.list))
			t.numbers[t.list[number-1]] = number
		}
		labels[i] = number
	}
	return labels
}

// ofEntry reads the labels of a session.
func (t *labelTexts) ofEntry(e *sample.SessionEntry) (labels rollup.Labels) {
	for i, text := range [rollup.NumLabels]string{e.Database, e.User, e.Application, e.ClientAddr, e.BackendType} {
		labels[i] = t.number(rollup.Database+rollup.Dimension(i), text)
	}
	return labels
}

// number gives the number of a text; none has 0.
func (t *labelTexts) number(d rollup.Dimension, text string) int32 {
	if text == "" {
		return 0
	}
	number, known := t.numbers[label{d, text}]
	if !known {
		t.list = append(t.list, label{d, text})
		number = int32(len(t.list))
		t.numbers[t.list[number-1]] = number
	}
	return number
}

// named puts the ids of labels in the place of numbers, and makes those that are
// missing. The lock is held.
func (s *Store) named(ctx context.Context, d dueBucket, texts *labelTexts, rows []rollup.Row) error {
	day := sample.Day(d.bucket)
	each := func(visit func(key *int32)) {
		for i := range rows {
			for k := range rows[i].Keys {
				if rows[i].Dimension >= rollup.Database && rows[i].Keys[k] > 0 {
					visit(&rows[i].Keys[k])
				}
			}
		}
	}
	var wanted []label
	each(func(key *int32) {
		one := texts.list[*key-1]
		if kept, known := s.rolls.labels[serverLabel{d.server, one}]; !known || kept.day < day {
			wanted = append(wanted, one)
		}
	})
	if err := s.learn(ctx, d.server, day, wanted); err != nil {
		return err
	}
	each(func(key *int32) { *key = s.rolls.labels[serverLabel{d.server, texts.list[*key-1]}].id })
	return nil
}

const (
	// A label that was seen on the day already, or a later one, is only read.
	seeLabels = `/* pgam:labels */
with wanted as materialized (
select w.dimension, w.text
  from unnest($3::int2[], $4::text[]) as w (dimension, text)),
seen as (
update history.label l
   set last_seen_on = $2
  from wanted w
 where l.server_id = $1
   and l.dimension = w.dimension
   and l.text = w.text
   and l.last_seen_on < $2
returning l.id, l.dimension, l.text)
select id, dimension, text
  from seen
union all
select l.id, l.dimension, l.text
  from wanted w
  join history.label l on l.server_id = $1 and l.dimension = w.dimension and l.text = w.text
 where l.last_seen_on >= $2`
	// One that somebody else adds at the same time, or the id of which they take,
	// is left out, and looked for again.
	addLabels = `/* pgam:labels */
insert into history.label (server_id, id, dimension, text, last_seen_on)
select $1, (select coalesce(max(l.id), 0) from history.label l where l.server_id = $1) + row_number() over (order by w.dimension, w.text),
       w.dimension, w.text, $2
  from unnest($3::int2[], $4::text[]) as w (dimension, text)
on conflict do nothing
returning id, dimension, text`
)

// learn finds or makes the ids of labels, and notes that they were seen on a
// day. The lock is held.
func (s *Store) learn(ctx context.Context, server target.ID, day int32, wanted []label) error {
	if len(s.rolls.labels) > keptLabels || s.rolls.labels == nil {
		// Others are learnt again, and so are those that would have to be anyway.
		kept := s.rolls.labels
		s.rolls.labels = make(map[serverLabel]keptLabel, len(kept)/2)
		for l, k := range kept {
			if l.server == server && k.day >= day {
				s.rolls.labels[l] = k
			}
		}
	}
	for range labelTries {
		for _, sql := range []string{seeLabels, addLabels} {
			if len(wanted) == 0 {
				return nil
			}
			if err := s.askLabels(ctx, sql, server, day, wanted); err != nil {
				return err
			}
			missing := wanted[:0]
			for _, l := range wanted {
				if kept, known := s.rolls.labels[serverLabel{server, l}]; !known || kept.day < day {
					missing = append(missing, l)
				}
			}
			wanted = missing
		}
	}
	if len(wanted) > 0 {
		return errLabels
	}
	return nil
}

func (s *Store) askLabels(ctx context.Context, sql string, server target.ID, day int32, wanted []label) error {
	name := "pgam_see_labels"
	if sql == addLabels {
		name = "pgam_add_labels"
	}
	return s.ask(ctx, question{
		name: name, sql: sql,
		args: func(p *params) {
			p.int8(int64(server))
			p.day(day)
			column(p, oidInt2, wanted, func(l *label) { p.two(uint16(l.dimension)) })
			texts := make([]string, len(wanted))
			for i := range wanted {
				texts[i] = wanted[i].text
			}
			p.texts(texts)
		},
		row: func(v values) {
			one := serverLabel{server, label{rollup.Dimension(v.int2(1)), v.text(2)}}
			s.rolls.labels[one] = keptLabel{v.int4(0), day}
		},
	})
}
