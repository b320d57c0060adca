package journal

import "time"

// Oldest gives the planned instant of the oldest tick that waits in the
// journal's first record; ok is false if there is none.
func (j *Journal) Oldest() (oldest time.Time, ok bool, err error) {
	records, err := j.Next(0, 1)
	if err != nil || len(records) == 0 {
		return oldest, false, err
	}
	for _, v := range records[0].Visits {
		if v.Tick != nil && (!ok || v.Tick.Planned.Before(oldest)) {
			oldest, ok = v.Tick.Planned, true
		}
	}
	return oldest, ok, nil
}
