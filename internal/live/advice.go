package live

import "strings"

// monitorVersion is the first server_version_num with the role pg_monitor.
const monitorVersion = 100000

// Advice fits the version: before PostgreSQL 10 there is nothing to grant. A
// version that is not known, zero, is taken for a newer one.

func isOld(version int32) bool { return version != 0 && version < monitorVersion }

// privilegeAdvice says what lets the monitoring user see the sessions of others.
func privilegeAdvice(version int32) string {
	if isOld(version) {
		return "missing privilege: before PostgreSQL 10 only a superuser sees the sessions of others; without it ticks hold the monitoring user's own"
	}
	return "missing privilege: grant pg_monitor to the monitoring user"
}

// Note says what is not told and what to do about it; nil: all is told.
func (u Unseen) Note() *string {
	var notes []string
	switch {
	case u.Hidden > 0 && isOld(u.version):
		notes = append(notes, "the monitoring user may not see all sessions: before PostgreSQL 10 only a superuser may")
	case u.Hidden > 0:
		notes = append(notes, "the monitoring user may not see all sessions: grant pg_monitor to it")
	}
	if u.Untracked > 0 {
		text := "sessions with track_activities off do not say what they run"
		if u.version < 140000 {
			text += ", nor whether they are idle, so that only all=true lists them"
		}
		notes = append(notes, text+": turn it on for their roles and databases")
	}
	if notes == nil {
		return nil
	}
	note := strings.Join(notes, "; ")
	return &note
}

// locationAdvice says what lets the monitoring user know where the data are.
func locationAdvice(version int32) string {
	if isOld(version) {
		return "the data directory is not known: before PostgreSQL 10 only a superuser is told"
	}
	return "the data directory is not known: grant pg_monitor, or pg_read_all_settings, to the monitoring user"
}
