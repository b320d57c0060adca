package route

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/target"
)

// MetaAudit marks an operation in its Metadata with the action that the audit calls
// it: it is written there also where the role is refused.
const MetaAudit = "audit"

const (
	// actsPerMinute bounds what one user may add to the audit.
	actsPerMinute = 60
	// endAudit bounds writing how an act ended.
	endAudit = 5 * time.Second
)

// Audited does what is asked for with a row of the audit: written before, so that
// nothing is done without one, and completed after. do gives what more is known of
// what it was done to. The error is do's, or says that nothing was done because the
// row could not be written, or because the user asks too often.
func (g *Group) Audited(ctx context.Context, action, server string, detail map[string]any, do func(context.Context) (more map[string]any, err error)) error {
	user, _ := User(ctx)
	if !g.acts.begin(user.ID, g.Now().Unix()/60) {
		return NewError(http.StatusTooManyRequests, "Too many acts in one minute: nothing was done").with("Retry-After", "60")
	}
	defer g.acts.end(user.ID)
	if target.ValidateName(server) != nil {
		server = "" // and no server has it
	}
	id, err := g.Catalog.BeginAudit(ctx, account.AuditEntry{Account: user.Login, Client: Client(ctx), Action: action, Server: server, Detail: detail})
	if err != nil {
		g.Log.WarnContext(ctx, "audit was not written, so nothing was done", "request_id", RequestID(ctx), "action", action, "server", server, "error", err)
		return NewError(http.StatusServiceUnavailable, "The audit in stats_db could not be written, so nothing was done: try again later").with("Retry-After", "5")
	}
	more, err := do(ctx)
	outcome, reason := account.AuditOK, ""
	if err != nil {
		answer := g.errorOf(ctx, err)
		outcome, reason = account.AuditRefused, answer.Detail
		if answer.Status >= statusClientGone {
			outcome = account.AuditFailed
		}
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), endAudit)
	defer cancel()
	if late := g.Catalog.EndAudit(after, id, outcome, reason, more); late != nil {
		g.Log.WarnContext(ctx, "outcome was not written to the audit", "request_id", RequestID(ctx), "audit_id", id, "outcome", outcome, "reason", reason, "error", late)
	}
	return err
}

// auditRefusal writes that somebody's role does not allow an operation, and gives
// what they are told.
func (g *Group) auditRefusal(ctx huma.Context, action string, refusal error) error {
	detail := map[string]any{}
	if pid := ctx.Param("pid"); len(pid) <= len("2147483647") {
		detail["pid"] = pid
	}
	return g.Audited(ctx.Context(), action, ctx.Param("name"), maps.Clone(detail), func(context.Context) (map[string]any, error) { return nil, refusal })
}
