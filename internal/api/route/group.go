package route

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
)

// Names of the security schemes in the OpenAPI document: the second counts where
// there is no token, in v1.
const (
	scheme       = "token"
	cookieScheme = "web_session" // pages show them by name: the token first
)

// Group registers the operations of one form of the API.
type Group struct {
	*Services
	api      huma.API
	users    *userCache
	sessions *sessionCache
	samples  *diskCache
	tests    *userTurns
	acts     *userTurns
	compat   bool
}

// NewGroups makes the groups of both forms over the same services: the Python contract,
// and v1. It asks nothing of the services, which may be blank where only the
// document is wanted.
func NewGroups(api huma.API, services *Services) (compat, v1 *Group, err error) {
	users, err := newUserCache(services.Catalog)
	if err != nil {
		return nil, nil, err
	}
	sessions, err := newSessionCache(services.Catalog)
	if err != nil {
		return nil, nil, err
	}
	samples, err := newDiskCache(services.History)
	if err != nil {
		return nil, nil, err
	}
	installErrors()
	doc := api.OpenAPI()
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{scheme: {
		Type: "oauth2", Description: "A token of POST /token, sent as Authorization: Bearer.",
		Flows: &huma.OAuthFlows{Password: &huma.OAuthFlow{TokenURL: "/token", Scopes: map[string]string{
			string(account.Viewer):   "reads",
			string(account.Operator): "also manages servers",
			string(account.Admin):    "also manages users, keys and settings",
		}}},
	}, cookieScheme: {
		Type: "apiKey", In: "cookie", Name: SessionCookie,
		Description: "The cookie of POST /api/v1/session, for web pages; a token counts before it. Whatever changes something also needs the header " +
			CSRFHeader + ", with the csrf_token of the session.",
	}}
	tests, acts := &userTurns{perMinute: testsPerMinute, atOnce: testsAtOnce}, &userTurns{perMinute: actsPerMinute, atOnce: actsPerMinute}
	compat = &Group{Services: services, api: api, users: users, sessions: sessions, samples: samples, tests: tests, acts: acts, compat: true}
	v1 = &Group{Services: services, api: api, users: users, sessions: sessions, samples: samples, tests: tests, acts: acts}
	return compat, v1, nil
}

// Register adds an operation. least is who may call it; empty is anybody.
// statuses are the statuses it may end with beside those of its role.
func Register[I, O any](g *Group, op huma.Operation, least account.Role, statuses []int, handle func(context.Context, *I) (*O, error)) {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[metaCompat] = g.compat
	if least != "" {
		op.Security = []map[string][]string{{scheme: {string(least)}}}
		if !g.compat {
			op.Security = append(op.Security, map[string][]string{cookieScheme: {}})
		}
		op.Middlewares = append(huma.Middlewares{g.authorize}, op.Middlewares...)
		statuses = append([]int{http.StatusUnauthorized, http.StatusServiceUnavailable}, statuses...)
		if least != account.Viewer || !g.compat && changes(op.Method) {
			statuses = append(statuses, http.StatusForbidden)
		}
	}
	statuses = append(statuses, refusals[I](g, op)...)
	g.document(&op, append(statuses, http.StatusInternalServerError, http.StatusGatewayTimeout))
	huma.Register(g.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, g.answer(ctx, op.OperationID, err)
		}
		return out, nil
	})
}

// refusals are the statuses with which the framework itself ends a request
// that does not fit.
func refusals[I any](g *Group, op huma.Operation) []int {
	var list []int
	if op.RejectUnknownQueryParameters {
		list = append(list, http.StatusUnprocessableEntity)
	}
	in := reflect.TypeFor[I]()
	_, parsed := in.FieldByName("Body")
	if _, raw := in.FieldByName("RawBody"); raw || parsed {
		list = append(list, http.StatusRequestEntityTooLarge)
	}
	if parsed && !g.compat { // in the contract it is 422
		list = append(list, http.StatusUnsupportedMediaType)
	}
	return list
}

// Document gives the entry of a path in the OpenAPI document, to correct what
// the framework cannot know.
func (g *Group) Document(path string) *huma.PathItem { return g.api.OpenAPI().Paths[path] }

// Schema gives the schema of a type that no operation answers as a whole.
func (g *Group) Schema(t reflect.Type) *huma.Schema {
	return g.api.OpenAPI().Components.Schemas.Schema(t, true, "")
}

// Marshal writes JSON as answers are written.
func (g *Group) Marshal(w io.Writer, v any) error { return g.api.Marshal(w, "application/json", v) }

// document lists the statuses of an operation in the form of the group.
func (g *Group) document(op *huma.Operation, statuses []int) {
	media, body := "application/problem+json", reflect.TypeFor[huma.ErrorModel]()
	if g.compat {
		media, body = "application/json", reflect.TypeFor[DetailError]()
	}
	schema := g.api.OpenAPI().Components.Schemas.Schema(body, true, "")
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{media: {Schema: schema}},
		}
	}
	op.Responses["default"] = &huma.Response{
		Description: "Any other error", Content: map[string]*huma.MediaType{media: {Schema: schema}},
	}
}

// answer turns an error into what the client is told; what it is not told is
// logged.
func (g *Group) answer(ctx context.Context, operation string, err error) error {
	answer := g.errorOf(ctx, err)
	g.logError(ctx, operation, answer, err)
	said := error(statusError(g.compat, answer.Status, answer.Detail))
	if answer.Header != nil {
		said = huma.ErrorWithHeaders(said, answer.Header)
	}
	return said
}

// write ends a request from a middleware with an error.
func (g *Group) write(ctx huma.Context, err error) {
	answer := g.errorOf(ctx.Context(), err)
	g.logError(ctx.Context(), ctx.Operation().OperationID, answer, err)
	for name := range answer.Header {
		ctx.SetHeader(name, answer.Header.Get(name))
	}
	body := statusError(g.compat, answer.Status, answer.Detail)
	media := "application/json"
	if !g.compat {
		media = "application/problem+json"
	}
	ctx.SetHeader("Content-Type", media)
	ctx.SetStatus(answer.Status)
	if err := g.api.Marshal(ctx.BodyWriter(), "application/json", body); err != nil {
		g.Log.DebugContext(ctx.Context(), "answer was not written", "error", err)
	}
}

// logError writes what the client is not told. Only a bug is an error of ours:
// what is slow, locked or away is somebody's to look at, and who hung up nobody's.
func (g *Group) logError(ctx context.Context, operation string, answer *Error, err error) {
	level := slog.LevelDebug
	switch {
	case errors.Is(err, auth.ErrBusy): // logged by who refuses the login, in bounds
		return
	case answer.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case answer.Status > http.StatusInternalServerError:
		level = slog.LevelWarn
	case answer.Status != statusClientGone:
		return
	}
	g.Log.Log(ctx, level, "request failed", "request_id", RequestID(ctx), "operation", operation, "status", answer.Status, "error", err)
}

type headKey struct{}

// WithHead notes that nothing but headers is asked for.
func WithHead(ctx context.Context) context.Context { return context.WithValue(ctx, headKey{}, true) }

// IsHead says whether nothing but headers is asked for.
func IsHead(ctx context.Context) bool {
	head, _ := ctx.Value(headKey{}).(bool)
	return head
}

type requestIDKey struct{}

// WithRequestID notes the id of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

type clientKey struct{}

// WithClient notes the address of the client of a login, or of a change.
func WithClient(ctx context.Context, client netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// Client gives the address of the client, the zero one if it is not known.
func Client(ctx context.Context) netip.Addr {
	client, _ := ctx.Value(clientKey{}).(netip.Addr)
	return client
}

// RequestID gives the id of the request, empty if there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
