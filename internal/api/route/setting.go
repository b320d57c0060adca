package route

import (
	"context"
	"errors"
	"time"
)

// ErrSetting is wrapped where a change of settings is not accepted. The rest of
// the error says what is.
var ErrSetting = errors.New("setting not accepted")

// Setting is one that can be changed while the collector runs. Its texts are as
// in the environment.
type Setting struct {
	Name, Value, Default string
	Source               SettingSource
	Description          string
	Limits               string // which values are accepted, in words; empty: any
	Unit                 string
	// UpdatedAt is zero, and UpdatedBy empty, for one that was never changed.
	UpdatedAt time.Time
	UpdatedBy string
}

// SettingSource says where a setting's value comes from.
type SettingSource string

// The sources. What the collector's environment says is known once one was
// started.
const (
	SettingChanged     SettingSource = "changed"
	SettingEnvironment SettingSource = "environment"
	SettingDefault     SettingSource = "default"
)

// Settings knows what can be changed while the collector runs.
type Settings interface {
	Settings(ctx context.Context) ([]Setting, error)
	// ChangeSettings stores values, nil to take one back, all or nothing. The
	// error wraps ErrSetting.
	ChangeSettings(ctx context.Context, changes map[string]*string, by string) error
}
