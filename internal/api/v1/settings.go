package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// registerSettings adds /settings.
func (r routes) registerSettings(op func(id, method, path, summary, tag string) huma.Operation) {
	const path, tag = "/settings", "settings"
	route.Register(r.Group, op("list-settings", http.MethodGet, path, "What can be changed while the collector runs", tag), account.Viewer, nil, r.listSettings)
	route.Register(r.Group, op("change-settings", http.MethodPatch, path, "Change what is sent, take back what is null; all or nothing", tag), account.Admin,
		[]int{http.StatusBadRequest, http.StatusUnprocessableEntity}, r.changeSettings)
}

type settingRow struct {
	Name        string     `json:"name" example:"PGAM_RETENTION_ACTIVITY"`
	Value       string     `json:"value" doc:"In force; as in the environment: 30d, true, 40."`
	Default     string     `json:"default"`
	Source      string     `json:"source" enum:"changed,environment,default" doc:"changed: here; environment: of the collector, as it was last started; default: neither."`
	Unit        string     `json:"unit"`
	Limits      string     `json:"limits" doc:"Which values are accepted; empty: any of the unit."`
	Description string     `json:"description"`
	UpdatedAt   *time.Time `json:"updated_at" doc:"Null: never changed."`
	UpdatedBy   *string    `json:"updated_by" doc:"Login of who changed it last; cli: on the command line."`
}

type settingList struct {
	Items []settingRow `json:"items" nullable:"false"`
}

func (r routes) listSettings(ctx context.Context, _ *struct{}) (*output[settingList], error) {
	all, err := r.Settings.Settings(ctx)
	if err != nil {
		return nil, err
	}
	body := settingList{Items: make([]settingRow, len(all))}
	for i, s := range all {
		body.Items[i] = settingRow{
			Name: s.Name, Value: s.Value, Default: s.Default, Source: string(s.Source), Unit: s.Unit, Limits: s.Limits, Description: s.Description,
			UpdatedAt: utcOrNull(&s.UpdatedAt), UpdatedBy: textOrNull(s.UpdatedBy),
		}
	}
	return say(body), nil
}

type settingsChange struct {
	Body map[string]clearable `doc:"Values by name; null takes a change back." example:"{\"PGAM_RETENTION_ACTIVITY\":\"14d\"}"`
}

func (r routes) changeSettings(ctx context.Context, in *settingsChange) (*output[settingList], error) {
	changes := make(map[string]*string, len(in.Body))
	for name, value := range in.Body {
		changes[name] = textOrNull(value.text)
	}
	by := ""
	if user, ok := route.User(ctx); ok {
		by = user.Login
	}
	if err := r.Settings.ChangeSettings(ctx, changes, by); err != nil {
		return nil, err
	}
	return r.listSettings(ctx, nil)
}
