package compat

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// registerLater adds what the web client of the later Python version calls and
// June's did not have: without them its session dialog logs people out, its
// administrators have no menu, and no server can be edited.
func (r routes) registerLater() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Later Python version"}}
	}
	const server = "/api/servers/{server_name}"
	for _, prefix := range []string{"", "/api"} {
		id := strings.ReplaceAll(prefix, "/", "-")
		route.Register(r.Group, op("refresh"+id, http.MethodPost, prefix+"/refresh", "Another token of the same login, for a token that is in force; until seven days after the login"),
			account.Viewer, nil, r.refresh)
		route.Register(r.Group, op("logout"+id, http.MethodPost, prefix+"/logout", "End every token of the login that this one is of"), account.Viewer, nil, r.logout)
	}
	route.Register(r.Group, op("me", http.MethodGet, "/api/users/me", "Who asks"), account.Viewer, nil, r.me)
	route.Register(r.Group, op("test-postgresql", http.MethodPost, server+"/test-pg", "Connect to PostgreSQL anew, past pools and caches"), account.Operator,
		[]int{http.StatusNotFound, http.StatusTooManyRequests}, r.testPostgreSQL)
	route.Register(r.Group, op("test-ssh", http.MethodPost, server+"/test-ssh", "Enter the host over SSH anew"), account.Operator,
		[]int{http.StatusNotFound, http.StatusTooManyRequests}, r.testSSH)
	r.registerKeys(op)
}

func (r routes) refresh(ctx context.Context, _ *struct{}) (*output[tokenBody], error) {
	token, err := r.RenewToken(ctx)
	if err != nil {
		return nil, err
	}
	return say(tokenBody{token, "bearer"}), nil
}

type detailBody struct {
	Detail string `json:"detail"`
}

func (r routes) logout(ctx context.Context, _ *struct{}) (*output[detailBody], error) {
	if err := r.EndSession(ctx); err != nil {
		return nil, err
	}
	return say(detailBody{"Logged out"}), nil
}

type meBody struct {
	Login     string  `json:"login"`
	Role      string  `json:"role" enum:"viewer,operator,admin"`
	Email     *string `json:"email" doc:"Not kept: always null."`
	CreatedAt string  `json:"created_at"`
	LastLogin *string `json:"last_login"`
	IsActive  bool    `json:"is_active"`
}

func (r routes) me(ctx context.Context, _ *struct{}) (*output[meBody], error) {
	u, _ := route.User(ctx)
	return say(meBody{Login: u.Login, Role: string(u.Role), CreatedAt: isoTime(u.CreatedAt), LastLogin: isoTimeOrNull(u.LastLoginAt), IsActive: u.Active}), nil
}

// testBody is the result of a test: a failed one is an answer, not an error.
type testBody struct {
	Success  bool    `json:"success"`
	Message  string  `json:"message"`
	AuthType *string `json:"auth_type,omitempty" enum:"password,key" doc:"Of a test over SSH."`
}

func (r routes) testPostgreSQL(ctx context.Context, in *struct{ ServerPath }) (*output[testBody], error) {
	t, report, err := r.test(ctx, in.ServerName)
	if err != nil {
		return nil, err
	}
	body := testBody{Success: report.Status.Reason == sample.None, Message: "PostgreSQL: " + report.Status.Explanation}
	if body.Success {
		body.Message = "PostgreSQL " + orEmpty(report.Status.Version) + " answers as " + t.Endpoint.User
	}
	return say(body), nil
}

func (r routes) testSSH(ctx context.Context, in *struct{ ServerPath }) (*output[testBody], error) {
	t, report, err := r.test(ctx, in.ServerName)
	if err != nil {
		return nil, err
	}
	auth := shellAuth(t)
	body := testBody{Success: true, AuthType: &auth}
	var said []string
	for _, f := range report.Findings {
		switch f.Name {
		case "host_key", "ssh", "disks":
			body.Success = body.Success && f.OK
			if !f.OK {
				said = append(said, f.Detail)
			}
		}
	}
	switch {
	case t.Shell.User == "":
		body.Success, body.Message = false, "SSH: no user is stored: give ssh_user first"
	case body.Success:
		body.Message = "SSH: the host lets " + t.Shell.User + " in"
	default:
		body.Message = "SSH: " + strings.Join(said, "; ")
	}
	return say(body), nil
}

func (r routes) test(ctx context.Context, name string) (target.Target, live.Report, error) {
	t, err := r.Live.Server(name)
	if err != nil {
		return target.Target{}, live.Report{}, err
	}
	report, err := r.Test(ctx, t)
	return t, report, err
}

// The ways to log in over SSH, as the later version names them.
const (
	byPassword = "password"
	byKey      = "key"
)

func shellAuth(t target.Target) string {
	if t.Shell.Key.ID != 0 {
		return byKey
	}
	return byPassword
}
