package v1

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

// TopQuery asks what took the time in a range.
type TopQuery struct {
	ServerPath
	RangeQuery
	FilterQuery
	By    string `query:"by" enum:"wait_class,wait_event,state,query,database,user,application,client,backend_type" default:"wait_class"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
}

type topInputs struct {
	TopQuery
	Split string `query:"split" enum:"wait_class" doc:"Gives the wait classes of each key as well. By what is not a wait, of at most six hours of which single ticks are kept."`
}

// SideRow is what one value of a dimension came to in a range.
type SideRow struct {
	Samples  int64   `json:"samples" doc:"Session samples: sessions seen, over all ticks."`
	Average  float64 `json:"average_active_sessions"`
	Share    float64 `json:"share" doc:"Of all samples of the range that fit, 0 to 1."`
	Sessions *int32  `json:"max_sessions" doc:"Most sessions of it in one tick, as far as it is listed; null: sums do not tell."`
}

func sideOf(r history.TopRow) SideRow {
	return SideRow{r.Samples, rounded(r.Average), rounded(r.Share), r.Peak}
}

type topRow struct {
	ValueRow
	SideRow
	Classes *loadRow `json:"by_wait_class" doc:"Average active sessions by wait class, with split; null: not asked for, or sums were taken that do not tell."`
}

// TransformSchema implements huma.SchemaTransformer.
func (topRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "by_wait_class")
}

type otherRow struct {
	Keys     int      `json:"keys" doc:"At least so many keys are not listed."`
	Samples  int64    `json:"samples"`
	Average  *float64 `json:"average_active_sessions" doc:"Null: no tick was answered."`
	Share    float64  `json:"share"`
	Unlisted int64    `json:"unlisted_samples" doc:"Part of samples of which it is not known whose they are: sums list their hundred most frequent keys. With a filter, they may not fit."`
}

// TopPart is what a range came to.
type TopPart struct {
	From     time.Time   `json:"from" doc:"As answered: wider than asked where nothing finer is kept."`
	To       time.Time   `json:"to"`
	Grain    string      `json:"grain" enum:"tick,minute,10minute,hour,day" doc:"The coarsest sums that the answer was made from."`
	Ticks    int64       `json:"answered_ticks"`
	Samples  int64       `json:"samples" doc:"Session samples that fit."`
	Average  *float64    `json:"average_active_sessions" doc:"Null: no tick was answered."`
	Other    otherRow    `json:"other" doc:"What is not in rows."`
	Coverage coverageRow `json:"coverage"`
}

type topBody struct {
	Server string `json:"server"`
	By     string `json:"by"`
	TopPart
	Rows         []topRow `json:"rows" nullable:"false" doc:"The most frequent first."`
	OtherClasses *loadRow `json:"other_by_wait_class" doc:"Of what is not in rows, as there."`
}

// TransformSchema implements huma.SchemaTransformer.
func (topBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "other_by_wait_class")
}

// splitOf gives samples by wait class as average sessions.
func splitOf(samples *[sample.NumClasses]int64, answered int64) *loadRow {
	if samples == nil || answered == 0 {
		return nil
	}
	var load [sample.NumClasses]float64
	for class, n := range samples {
		load[class] = float64(n) / float64(answered)
	}
	return loadOf(load)
}

type compareBody struct {
	Server string       `json:"server"`
	By     string       `json:"by"`
	Range  TopPart      `json:"range"`
	Other  TopPart      `json:"other_range"`
	Rows   []compareRow `json:"rows" nullable:"false" doc:"The keys listed for either range, those that changed most first."`
}

type compareRow struct {
	ValueRow
	Range  *SideRow `json:"range" doc:"Null: not known, for no tick was answered, or sums list their hundred most frequent keys."`
	Other  *SideRow `json:"other_range"`
	Change *float64 `json:"change" doc:"Average active sessions minus those of the other range; null: not known."`
}

// TransformSchema implements huma.SchemaTransformer.
func (compareRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "range", "other_range")
}

func partOf(top history.Top) TopPart {
	part := TopPart{
		From: utc(top.Range.From), To: utc(top.Range.To), Grain: string(top.Grain), Ticks: top.Answered, Samples: top.Samples,
		Other:    otherRow{Keys: top.TailKeys, Samples: top.TailSamples, Unlisted: top.Unlisted},
		Coverage: coverage(top.Coverage),
	}
	if top.Answered > 0 {
		all, others := average(top.Samples, top.Answered), average(top.TailSamples, top.Answered)
		part.Average, part.Other.Average = &all, &others
	}
	if top.Samples > 0 {
		part.Other.Share = rounded(float64(top.TailSamples) / float64(top.Samples))
	}
	return part
}

func (r routes) historyTop(ctx context.Context, in *topInputs) (*output[topBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	q := history.TopQuestion{Range: span, By: history.Dimension(in.By), Filter: in.filter(), Limit: in.Limit, Split: in.Split != ""}
	if _, err := q.Plan(nil); err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	top, err := r.History.Top(ctx, t, q)
	if err != nil {
		return nil, err
	}
	body := topBody{Server: t.Name, By: string(top.By), TopPart: partOf(top), Rows: make([]topRow, len(top.Rows)), OtherClasses: splitOf(top.TailClasses, top.Answered)}
	for i, row := range top.Rows {
		body.Rows[i] = topRow{keyOf(row.Key), sideOf(row), splitOf(row.Classes, top.Answered)}
	}
	return say(body), nil
}

type compareInputs struct {
	TopQuery
	OtherFrom string `query:"other_from" doc:"RFC 3339, included; default as long before from as the range is." example:"2026-11-21T03:00:00Z"`
	OtherTo   string `query:"other_to" doc:"RFC 3339, left out; default as long after other_from as the range is." example:"2026-11-21T04:00:00Z"`
}

// other gives the range to compare with.
func (in *compareInputs) other(span history.Range) (history.Range, error) {
	from, err1 := parseInstant("other_from", in.OtherFrom, span.From.Add(-span.Length()))
	to, err2 := parseInstant("other_to", in.OtherTo, from.Add(span.Length()))
	if err := errors.Join(err1, err2); err != nil {
		return history.Range{}, err
	}
	return history.NewRange(from, to)
}

func (r routes) historyCompare(ctx context.Context, in *compareInputs) (*output[compareBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	other, err := in.other(span)
	if err != nil {
		return nil, err
	}
	q := history.CompareQuestion{Range: span, Other: other, By: history.Dimension(in.By), Filter: in.filter(), Limit: in.Limit}
	for _, one := range []history.TopQuestion{q.Top(), q.Second()} {
		if _, err := one.Plan(nil); err != nil {
			return nil, err
		}
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	c, err := r.History.Compare(ctx, t, q)
	if err != nil {
		return nil, err
	}
	body := compareBody{Server: t.Name, By: string(c.Top.By), Range: partOf(c.Top), Other: partOf(c.Other), Rows: make([]compareRow, len(c.Rows))}
	for i, row := range c.Rows {
		body.Rows[i] = compareRowOf(row)
	}
	return say(body), nil
}

func compareRowOf(row history.ComparisonRow) compareRow {
	one := compareRow{ValueRow: keyOf(row.Key)}
	if row.Change != nil {
		change := rounded(*row.Change)
		one.Change = &change
	}
	if row.Top != nil {
		side := sideOf(*row.Top)
		one.Range = &side
	}
	if row.Other != nil {
		side := sideOf(*row.Other)
		one.Other = &side
	}
	return one
}
