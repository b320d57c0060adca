package history

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Activity is sessions by wait class over time: one element a bucket in every
// series.
type Activity struct {
	Plan ActivityPlan
	// Times are the starts of the buckets, aligned to the Unix epoch.
	Times []time.Time
	// Samples are session samples by class; divide by Answered for the average
	// number of sessions.
	Samples [sample.NumClasses][]int64
	// Answered counts the ticks whose sessions were read; where it is zero the
	// bucket is unknown.
	Answered []int64
	// MaxSessions is the most sessions in one tick.
	MaxSessions []int32
	Coverage    Coverage
}

// NewActivity makes an answer with every bucket of the plan, all unknown.
func NewActivity(plan ActivityPlan) Activity {
	n := plan.Buckets()
	a := Activity{Plan: plan, Times: make([]time.Time, n), Answered: make([]int64, n), MaxSessions: make([]int32, n)}
	for c := range a.Samples {
		a.Samples[c] = make([]int64, n)
	}
	start := Floor(plan.Range.From, plan.Step)
	for i := range a.Times {
		a.Times[i] = start.Add(time.Duration(i) * plan.Step)
	}
	return a
}

// Bucket gives the index of the bucket that holds t; ok is false outside the
// range.
func (a *Activity) Bucket(t time.Time) (i int, ok bool) {
	if len(a.Times) == 0 || t.Before(a.Plan.Range.From) || !t.Before(a.Plan.Range.To) {
		return 0, false
	}
	return int(t.Sub(a.Times[0]) / a.Plan.Step), true
}

// Instant is every session of one tick.
type Instant struct {
	// Asked is the instant of the question, At the tick that answers it: the
	// newest answered one not after it. At is zero when none is near enough.
	Asked, At time.Time
	Outcome   sample.Outcome
	Reason    sample.Reason
	// Backends counts connections as sample.Tick does; nil: unknown.
	Backends *int32
	// Burst says that the tick was taken in full detail.
	Burst    bool
	Sessions []Session
	Blocking Blocking
	// Xmin are those that keep rows from being vacuumed, the oldest first.
	Xmin []XminHolder
	// Coverage is of the time in which a tick was looked for.
	Coverage Coverage
}

// Session is one session of a tick, with labels. Nil is unknown, or does not
// apply.
type Session struct {
	// ID is that of the server's dictionary of sessions.
	ID             int32
	PID            int32
	LeaderPID      *int32
	BackendStart   *time.Time
	Database       *string
	User           *string
	Application    *string
	ClientAddr     *string // nil: a Unix socket or a background process
	BackendType    *string
	State          string
	WaitEventType  string // CPU where PostgreSQL reported no wait, empty where it does not tell
	WaitEvent      string
	Class          sample.WaitClass `db:"-"`
	QueryID        *int64
	OwnFingerprint bool // QueryID is pgam's own, not PostgreSQL's
	Query          *string
	QueryStart     *time.Time
	XactStart      *time.Time
	StateChange    *time.Time
	XminAge        *int32
	Blocked        bool
	BlockedByPID   *int32 // nil where Blocked: a prepared transaction, or a session that was not seen
	BlockerID      *int32 // as ID; 0: one that was not seen
}

// Database is a row of a server's inventory.
type Database struct {
	OID          uint32
	Name         string
	IsTemplate   bool
	AllowConnect bool
	Encoding     *string
	CreatedAt    *time.Time // nil: it was there before the first look
	FirstSeenAt  time.Time
	LastSeenAt   time.Time
	DroppedAt    *time.Time // nil: it is there
}

// DatabaseNow is the newest that is known of a database.
type DatabaseNow struct {
	Database Database
	// SampledAt is when connections and commits were read; nil: never.
	SampledAt   *time.Time
	Connections *int32
	// CommitsTotal counts since the statistics were last reset.
	CommitsTotal *int64
	SizeBytes    *int64
	SizeAt       *time.Time
}

// DatabasePoint is one database in one bucket.
type DatabasePoint struct {
	// At is the start of the bucket. What was counted between two samples is
	// shared out over the buckets by time.
	At time.Time
	// Database is the name; of one that was renamed in the bucket, the last.
	Database string
	// Connections is the average over time, or where the aggregation is Raw those
	// of the newest sample; MinConnections and MaxConnections are the extremes.
	Connections    float64
	MinConnections int32
	MaxConnections int32
	Commits        int64
	// SizeBytes is the newest known size at the end of the bucket; nil: none.
	SizeBytes *int64
}

// Timeline is what databases did over a range. Several may share one: it is not
// to be changed.
type Timeline struct {
	// Range is what was asked for, widened to whole hours unless all is Raw. The
	// first and the last bucket hold only what lies in it.
	Range       Range
	Aggregation Aggregation
	// LastSampleAt is the newest sample of the server, in the range or not;
	// nil: none.
	LastSampleAt *time.Time
	// Databases are those that existed in the range, templates left out, by
	// name.
	Databases []Database
	// Points are ordered by time, then name. At every instant there is one of
	// each database that was there; the last sample of one stands for MaxHeld.
	Points []DatabasePoint
	// Connections and SizeBytes are sums over the databases at the newest
	// sample of the range.
	Connections int64
	SizeBytes   int64
	// Commits were made in the range.
	Commits        int64
	MinConnections int32
	MaxConnections int32
}
