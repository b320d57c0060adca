package live

import (
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/sample"
)

// Advice is possible on the version and does not contradict itself: 9.6 has no
// pg_monitor, and a superuser there is what is needed.
func TestAdviceFitsVersionAndGrants(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		version            int32
		superuser, seesAll bool
		wrong              string // findings that are not ok
	}{
		"9.6, plain":     {90624, false, false, "privileges data_directory"},
		"9.6, superuser": {90624, true, true, ""},
		"15, plain":      {150018, false, false, "privileges data_directory"},
		"15, pg_monitor": {150018, false, true, ""},
		"15, superuser":  {150018, true, true, "superuser"},
	} {
		s := Status{VersionNum: tt.version, Superuser: tt.superuser}
		if tt.seesAll {
			dir := "/data"
			s.DataDir = &dir
		} else {
			s.Reason, s.Explanation = sample.NoPrivilege, privilegeAdvice(tt.version)
		}
		r := Report{Status: s}
		r.judgeStatus()
		var wrong []string
		for _, f := range r.Findings {
			if !f.OK {
				wrong = append(wrong, f.Name)
			}
			if tt.version < monitorVersion && strings.Contains(f.Detail, "pg_monitor") {
				t.Errorf("%s: %s says %q", name, f.Name, f.Detail)
			}
		}
		if got := strings.Join(wrong, " "); got != tt.wrong {
			t.Errorf("%s: wrong are %q, want %q", name, got, tt.wrong)
		}
	}
	for _, note := range []string{*Unseen{Hidden: 1, version: 90624}.Note(), privilegeAdvice(90624), locationAdvice(90624)} {
		if strings.Contains(note, "pg_monitor") || !strings.Contains(note, "superuser") {
			t.Errorf("9.6 is told %q", note)
		}
	}
}
