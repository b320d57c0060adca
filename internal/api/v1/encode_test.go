package v1

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func TestAverageSeries(t *testing.T) {
	t.Parallel()
	of := func(values ...float64) (s averageSeries) {
		for _, v := range values {
			s = append(s, &v)
		}
		return s
	}
	for want, series := range map[string]averageSeries{
		`[]`: {}, `[null]`: {nil}, `[0,1,2.5,0.333333,1.000001,40]`: of(0, 1, 2.5, 1.0/3, 1.000001, 40), `[0.000012,1,99.9]`: of(1.0/86400, 0.9999999, 99.9),
	} {
		if got, err := json.Marshal(series); err != nil || string(got) != want {
			t.Errorf("%s, want %s (%v)", got, want, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		v := float64(r.IntN(1_000_000)) / float64(1+r.IntN(90_000))
		var got float64
		text := appendAverage(nil, v)
		if err := json.Unmarshal(text, &got); err != nil || math.Abs(got-v) > 0.6/averageUnit {
			t.Fatalf("%v is written as %s (%v)", v, text, err)
		}
	}
}

// From an average and the ticks that were answered, the samples can be told.
func TestAverage(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		ticks := 1 + r.Int64N(86_400)
		samples := r.Int64N(200 * ticks)
		if got := int64(math.Round(average(samples, ticks) * float64(ticks))); got != samples {
			t.Fatalf("%d samples of %d ticks are told as %v", samples, ticks, average(samples, ticks))
		}
	}
	if text, err := json.Marshal(averages([]int64{10, 60, 0, 4}, []int64{60, 60, 60, 0})); err != nil || string(text) != "[0.167,1,0,null]" {
		t.Errorf("%s (%v)", text, err)
	}
}

func TestInstants(t *testing.T) {
	t.Parallel()
	east := time.Date(2026, 11, 22, 5, 12, 0, 500, time.FixedZone("", 7200))
	text, err := json.Marshal(struct {
		Times instants `json:"times"`
	}{instants{east.Truncate(time.Second), east}})
	if want := `{"times":["2026-11-22T03:12:00Z","2026-11-22T03:12:00.0000005Z"]}`; err != nil || string(text) != want {
		t.Errorf("%s (%v), want %s", text, err, want)
	}
}

// A body that writes itself writes what encoding/json does, with every field
// that there is.
func TestActivitySeriesEncoding(t *testing.T) {
	t.Parallel()
	text, id, most, tail := "say \"<x>\" \u2028", "-812", int32(7), 3
	half := 0.5
	at := time.Date(2026, 11, 22, 3, 12, 0, 0, time.UTC)
	full := activitySeries{
		Server: text, From: at, To: at.Add(time.Hour), StepSeconds: 60, Grain: "minute", GroupBy: "query", Times: instants{at, at.Add(time.Minute)},
		Sessions: &classSeries{
			CPU: averageSeries{&half}, Lock: averageSeries{nil}, LWLock: averageSeries{}, IO: averageSeries{&half, nil}, IPC: averageSeries{&half},
			Client: averageSeries{&half, &half}, Timeout: averageSeries{nil, nil}, Buffer: averageSeries{nil, &half}, Extension: averageSeries{&half, &half, nil},
			Other: averageSeries{nil, &half, nil}, IdleInTransaction: averageSeries{nil, nil, &half},
		},
		Series: manySeries{
			{ValueRow{Key: &text, WaitClass: &text, QueryID: &id, QueryOwn: true, Query: &text}, averageSeries{&half, nil}}, {Sessions: averageSeries{nil, &half}},
		},
		Other: averageSeries{&half, nil}, OtherKeys: &tail, MaxSessions: countSeries{&most, nil},
		Coverage: coverageRow{From: at, To: at, Planned: 9, OK: 5, Degraded: 1, Failed: 2, Skipped: 1, FailedBy: map[string]int64{"timeout": 2}, LongestGapSeconds: 1.5},
	}
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s: nothing to write", v.Type().Field(i).Name)
		}
	}
	none := 0
	for _, body := range []activitySeries{
		full,
		{},
		{Times: instants{}, MaxSessions: countSeries{}, Sessions: &classSeries{}, Other: averageSeries{}},
		{GroupBy: "user", Series: manySeries{}, OtherKeys: &none, Times: instants{at}, MaxSessions: countSeries{nil}},
	} {
		var usual bytes.Buffer
		e := json.NewEncoder(&usual)
		e.SetEscapeHTML(false)
		if err := e.Encode(body); err != nil {
			t.Fatal(err)
		}
		if got := string(body.AppendJSON([]byte("x"))); got+"\n" != "x"+usual.String() {
			t.Errorf("%s\nwant\n%s", got, &usual)
		}
	}
}
