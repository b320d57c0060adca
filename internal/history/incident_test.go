package history

import (
	"strings"
	"testing"
)

// A query of which it is not known what it took before was no more than all that
// is listed under no key.
func TestGrownFromTheUnlisted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		unlisted int64
		other    *TopRow
		want     string
	}{
		{100, nil, "90 % of the time was query 7, at least 4 x the hour before"},
		{300, nil, ""}, // it may have been as much
		{0, nil, "90 % of the time was query 7, and next to none the hour before"},
		{300, &TopRow{Average: 1}, "90 % of the time was query 7, 4 x the hour before"},
	} {
		i := Incident{BaselineAnswered: 100, Tops: []Comparison{{
			Top: Top{By: ByQuery, Answered: 60}, Other: Top{By: ByQuery, Answered: 100, Unlisted: tt.unlisted},
			Rows: []ComparisonRow{{Key: Key{Label: "7"}, Top: &TopRow{Average: 4, Share: 0.9}, Other: tt.other}},
		}}}
		var said []string
		for _, f := range i.Findings() {
			said = append(said, f.Text)
		}
		if got := strings.Join(said, "; "); got != tt.want {
			t.Errorf("%d unlisted, %v before: %q", tt.unlisted, tt.other, got)
		}
	}
}

// What is left out is said.
func TestMissingTellsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	i := Incident{Events: make([]Event, 200), MoreEvents: true}
	i.Instant.Sessions = []Session{{State: "disabled"}, {State: "active"}, {State: "disabled"}}
	said := strings.Join(i.Missing(), "\n")
	for _, want := range []string{"only the newest 200 events", "2 sessions at the instant had track_activities off"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in:\n%s", want, said)
		}
	}
}

// Of a blocker with track_activities off nobody says that it is active.
func TestABlockerThatIsNotTrackedIsCalledThat(t *testing.T) {
	t.Parallel()
	i := Incident{Blockers: []Blocker{{RootBlocker: RootBlocker{Kind: NotTracked, Session: &Session{PID: 7, State: "disabled"}, Behind: 1}}}}
	if f := i.Findings(); len(f) != 1 || !strings.Contains(f[0].Text, "pid 7, whose track_activities is off") {
		t.Errorf("%+v", f)
	}
}
