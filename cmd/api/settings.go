package main

import (
	"context"
	"fmt"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/httpapi/face"
)

// settings knows what can be changed while the collector runs: the rules are of
// config, what is in force is in stats_db.
type settings struct{ catalog *catalog.Catalog }

// Settings implements face.Settings.
func (s settings) Settings(ctx context.Context) ([]face.Setting, error) {
	stored, err := s.catalog.Settings(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]catalog.Setting, len(stored))
	for _, one := range stored {
		byName[one.Name] = one
	}
	var list []face.Setting
	for _, known := range config.Changeable() {
		now := byName[known.Name]
		value, source := known.Effective(now.Value, now.Environment)
		row := face.Setting{
			Name: known.Name, Value: value, Default: known.Default, Source: face.SettingSource(source),
			Description: known.Description, Limits: known.Limits, Unit: known.Unit, UpdatedBy: now.UpdatedBy,
		}
		if now.UpdatedBy != "" {
			row.UpdatedAt = now.UpdatedAt
		}
		list = append(list, row)
	}
	return list, nil
}

// ChangeSettings implements face.Settings.
func (s settings) ChangeSettings(ctx context.Context, changes map[string]*string, by string) error {
	checked := make(map[string]*string, len(changes))
	for name, value := range changes {
		full, err := config.ChangeableName(name)
		if err != nil {
			return fmt.Errorf("%w: %w", face.ErrSetting, err)
		}
		if value != nil {
			text, err := config.CheckChange(full, *value)
			if err != nil {
				return fmt.Errorf("%w: %w", face.ErrSetting, err)
			}
			value = &text
		}
		checked[full] = value
	}
	return s.catalog.ChangeSettings(ctx, checked, by)
}
