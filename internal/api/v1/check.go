package v1

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

type findingRow struct {
	Name   string `json:"name" enum:"connection,version,privileges,data_directory,clock,superuser,host_key,ssh,disks"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail" doc:"What was found, or what is wrong and what to do."`
}

type hostKeyRow struct {
	Type        string `json:"type" example:"ssh-ed25519"`
	Fingerprint string `json:"fingerprint" doc:"As ssh-keygen -l shows it: compare it on the host itself."`
	Line        string `json:"line" doc:"What to store as ssh.host_key to confirm it."`
	Confirmed   bool   `json:"confirmed" doc:"It is the one that was confirmed."`
}

type testBody struct {
	OK              bool         `json:"ok" doc:"Nothing that matters is missing."`
	Findings        []findingRow `json:"findings" nullable:"false"`
	Version         *string      `json:"version"`
	InRecovery      *bool        `json:"in_recovery" doc:"True: a standby."`
	HostKey         *hostKeyRow  `json:"host_key" doc:"What the host shows over SSH; null: it was not asked, or did not answer."`
	DurationSeconds float64      `json:"duration_seconds"`
}

// TransformSchema implements huma.SchemaTransformer: the framework takes objects
// for never null.
func (testBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	key := s.Properties["host_key"]
	s.Properties["host_key"] = &huma.Schema{
		AnyOf: []*huma.Schema{{Ref: key.Ref}, {Type: "null"}}, Description: key.Description,
	}
	return s
}

func (r routes) testServer(ctx context.Context, in *ServerPath) (*output[testBody], error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	report, err := r.Test(ctx, t)
	if err != nil {
		return nil, err
	}
	body := testBody{
		OK: report.OK, Version: report.Status.Version, DurationSeconds: report.Duration.Seconds(),
		Findings: make([]findingRow, len(report.Findings)),
	}
	if report.Status.Version != nil {
		body.InRecovery = &report.Status.InRecovery
	}
	for i, f := range report.Findings {
		body.Findings[i] = findingRow(f)
		if f.Name == "host_key" && report.HostKey != nil {
			k := report.HostKey
			body.HostKey = &hostKeyRow{k.Type, k.Fingerprint, k.Line, f.OK}
		}
	}
	return say(body), nil
}
