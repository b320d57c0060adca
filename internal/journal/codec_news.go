package spool

import "github.com/pgam/pgam/internal/sample"

// news encodes what may explain a step in a chart.
func (e *encoder) news(v *sample.Visit, parts uint64) {
	if parts&hasEvents != 0 {
		e.count(len(v.Events))
		for _, n := range v.Events {
			e.time(n.At)
			for _, s := range []string{string(n.Kind), n.Subject, n.Old, n.New, n.Detail} {
				e.str(s)
			}
		}
	}
	if parts&hasSettings != 0 {
		e.time(v.Settings.At)
		e.count(len(v.Settings.Set))
		for _, s := range v.Settings.Set {
			e.str(s.Name)
			e.str(s.Value)
		}
		e.count(len(v.Settings.Gone))
		for _, s := range v.Settings.Gone {
			e.str(s)
		}
	}
	if parts&hasHorizon != 0 {
		e.count(len(v.Horizon))
		for _, h := range v.Horizon {
			e.time(h.At)
			e.str(string(h.Holder))
			e.str(h.Name)
			e.int(h.Age)
		}
	}
}

// news decodes what encoder.news wrote.
func (d *decoder) news(v *sample.Visit, parts uint64) {
	if parts&hasEvents != 0 {
		v.Events = make([]sample.Event, d.count(6))
		for i := range v.Events {
			v.Events[i] = sample.Event{At: d.time(), Kind: sample.EventKind(d.str()), Subject: d.str(), Old: d.str(), New: d.str(), Detail: d.str()}
		}
	}
	if parts&hasSettings != 0 {
		s := &sample.Settings{At: d.time()}
		s.Set = make([]sample.Setting, d.count(2))
		for i := range s.Set {
			s.Set[i] = sample.Setting{Name: d.str(), Value: d.str()}
		}
		s.Gone = make([]string, d.count(1))
		for i := range s.Gone {
			s.Gone[i] = d.str()
		}
		v.Settings = s
	}
	if parts&hasHorizon != 0 {
		v.Horizon = make([]sample.Horizon, d.count(4))
		for i := range v.Horizon {
			v.Horizon[i] = sample.Horizon{At: d.time(), Holder: sample.Holder(d.str()), Name: d.str(), Age: d.int()}
		}
	}
}
