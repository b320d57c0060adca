package main

import (
	"context"
	"fmt"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
)

// settings knows what can be changed while the collector runs: the rules are of
// config, what is in force is in stats_db.
type settings struct{ catalog *catalog.Catalog }

// Settings implements route.Settings.
func (s settings) Settings(ctx context.Context) ([]route.Setting, error) {
	stored, err := s.catalog.Settings(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]catalog.Setting, len(stored))
	for _, one := range stored {
		byName[one.Name] = one
	}
	var list []route.Setting
	for _, known := range config.Changeable() {
		now := byName[known.Name]
		value, source := known.Effective(now.Value, now.Environment)
		row := route.Setting{
			Name: known.Name, Value: value, Default: known.Default, Source: route.SettingSource(source),
			Description: known.Description, Limits: known.Limits, Unit: known.Unit, UpdatedBy: now.UpdatedBy,
		}
		if now.UpdatedBy != "" {
			row.UpdatedAt = now.UpdatedAt
		}
		list = append(list, row)
	}
	return list, nil
}

// ChangeSettings implements route.Settings.
func (s settings) ChangeSettings(ctx context.Context, changes map[string]*string, by string) error {
	checked := make(map[string]*string, len(changes))
	for name, value := range changes {
		full, err := config.ChangeableName(name)
		if err != nil {
			return fmt.Errorf("%w: %w", route.ErrSetting, err)
		}
		if value != nil {
			text, err := config.CheckChange(full, *value)
			if err != nil {
				return fmt.Errorf("%w: %w", route.ErrSetting, err)
			}
			value = &text
		}
		checked[full] = value
	}
	return s.catalog.ChangeSettings(ctx, checked, by)
}
