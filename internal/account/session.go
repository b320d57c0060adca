package account

import "time"

// Session is a browser that has logged in, as stats_db knows it.
type Session struct {
	UserID    int64
	Epoch     int64     // must equal User.TokenEpoch
	CreatedAt time.Time // UTC
	UsedAt    time.Time // UTC; of the last request, to a minute
}
