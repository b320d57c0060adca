package route

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Error is an answer that is an error: a status and what the client is told.
type Error struct {
	Status int
	Detail string
	Header http.Header
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// NewError makes an Error.
func NewError(status int, detail string) *Error { return &Error{Status: status, Detail: detail} }

func (e *Error) with(name, value string) *Error {
	if e.Header == nil {
		e.Header = http.Header{}
	}
	e.Header.Set(name, value)
	return e
}

// statusClientGone is not seen by anybody but the log.
const statusClientGone = 499

// Refused says whether an error is about who asks, or how, and not about what
// was in the way of an answer.
func Refused(err error) bool {
	made, ok := errors.AsType[*Error](err)
	return ok && made.Status < http.StatusInternalServerError
}

// errorOf is the table of errors. What ended the request comes first: whatever
// the error says, it is what came of that. What is not in the table is a bug,
// 500, without a word.
func (g *Group) errorOf(ctx context.Context, err error) *Error {
	if ctx.Err() != nil && !errors.Is(err, statsdb.ErrUnconfirmed) {
		if late, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
			return late
		}
		return NewError(statusClientGone, "The request was cancelled")
	}
	var (
		made     *Error
		failed   *live.Error
		panicked *guard.PanicError
	)
	pick := func(compat, v1 int) int {
		if g.compat {
			return compat
		}
		return v1
	}
	switch {
	case errors.As(err, &panicked):
		return NewError(http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError))
	case errors.As(err, &made):
		return made
	case errors.As(err, &failed):
		return NewError(pick(http.StatusInternalServerError, liveStatus(failed.Reason)), "PostgreSQL: "+failed.Explain())
	case errors.Is(err, live.ErrTooManyListeners):
		return NewError(http.StatusServiceUnavailable, "Too many live streams at once: try again later").with("Retry-After", "10")
	case errors.Is(err, live.ErrTooManyOfOne):
		return NewError(http.StatusTooManyRequests, "You have too many live streams already: end one of them first").with("Retry-After", "10")
	case errors.Is(err, live.ErrStreamEnded):
		return NewError(http.StatusServiceUnavailable, "The program stops: try again in a moment").with("Retry-After", "5")
	case errors.Is(err, target.ErrNotFound):
		return NewError(http.StatusNotFound, "Server not found")
	case errors.Is(err, target.ErrConflict):
		return NewError(pick(http.StatusBadRequest, http.StatusConflict), "Server with this name already exists")
	case errors.Is(err, target.ErrInvalid):
		return NewError(pick(http.StatusBadRequest, http.StatusUnprocessableEntity), lines(err, target.ErrInvalid))
	case errors.Is(err, target.ErrKeyNotFound):
		return NewError(http.StatusNotFound, "SSH key not found")
	case errors.Is(err, target.ErrKeyConflict):
		return NewError(http.StatusConflict, lines(err, target.ErrKeyConflict))
	case errors.Is(err, target.ErrKeyInUse):
		return NewError(http.StatusConflict, err.Error())
	case errors.Is(err, target.ErrKeyInvalid):
		return NewError(http.StatusUnprocessableEntity, lines(err, target.ErrKeyInvalid))
	case errors.Is(err, ErrSetting):
		return NewError(http.StatusUnprocessableEntity, lines(err, ErrSetting))
	case errors.Is(err, history.ErrInvalid):
		return NewError(http.StatusBadRequest, lines(err, history.ErrInvalid))
	case errors.Is(err, history.ErrGone):
		return NewError(http.StatusGone, bare(err, history.ErrGone))
	case errors.Is(err, history.ErrCounting):
		return NewError(http.StatusServiceUnavailable, bare(err, history.ErrCounting)).with("Retry-After", "60")
	case errors.Is(err, history.ErrNoDatabase):
		return NewError(http.StatusNotFound, "Database not found")
	case errors.Is(err, account.ErrNotFound):
		return NewError(http.StatusNotFound, "User not found")
	case errors.Is(err, account.ErrConflict):
		return NewError(http.StatusConflict, "A user with this name already exists")
	case errors.Is(err, account.ErrLastAdmin):
		return NewError(http.StatusConflict, "This is "+account.ErrLastAdmin.Error())
	case errors.Is(err, account.ErrInvalid):
		return NewError(http.StatusUnprocessableEntity, lines(err, account.ErrInvalid))
	case errors.Is(err, auth.ErrPasswordInvalid):
		return NewError(http.StatusUnprocessableEntity, "The password cannot be set: "+lines(err, auth.ErrPasswordInvalid))
	case errors.Is(err, auth.ErrTooManyAttempts):
		return NewError(http.StatusTooManyRequests, "Too many logins from this address: try again in a minute").with("Retry-After", "60")
	case errors.Is(err, auth.ErrBusy):
		return NewError(http.StatusServiceUnavailable, "Too many logins at once: try again in a second").with("Retry-After", "1")
	case errors.Is(err, statsdb.ErrUnconfirmed):
		return NewError(http.StatusGatewayTimeout, "The change is not confirmed: "+bare(err, statsdb.ErrUnconfirmed))
	case errors.Is(err, statsdb.ErrUnavailable):
		return NewError(http.StatusServiceUnavailable, "stats_db is not available: try again later").with("Retry-After", "5")
	case errors.Is(err, statsdb.ErrLocked):
		return NewError(http.StatusServiceUnavailable, "stats_db holds a lock that this waits for: try again in a moment; pg_locks there names who has it").
			with("Retry-After", "5")
	case errors.Is(err, statsdb.ErrTooSlow), errors.Is(err, context.DeadlineExceeded):
		return NewError(http.StatusGatewayTimeout, "stats_db took too long: ask for a shorter range, a coarser step or a smaller limit")
	}
	return NewError(http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError))
}

func liveStatus(r sample.Reason) int {
	if r == sample.Timeout {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// bare is the text of an error after its sentinel.
func bare(err, sentinel error) string {
	_, text, _ := strings.Cut(err.Error(), sentinel.Error()+": ")
	return text
}

// lines joins the statuses of a validation, each without the sentinel and what
// was being done when it was found.
func lines(err, sentinel error) string {
	var list []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSuffix(line, "\n")
		if _, answer, found := strings.Cut(line, sentinel.Error()+": "); found {
			line = answer
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

// DetailError is an error as the Python contract has it.
type DetailError struct {
	status int
	Detail string `json:"detail" doc:"What is wrong and what to do."`
}

// Error implements error.
func (d *DetailError) Error() string { return d.Detail }

// GetStatus implements huma.StatusError.
func (d *DetailError) GetStatus() int { return d.status }

// statusError gives the answer the form of the group.
func statusError(compat bool, status int, detail string, more ...*huma.ErrorDetail) huma.StatusError {
	if !compat {
		return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail, Errors: more}
	}
	for i, m := range more {
		if i > 0 {
			detail += "; " + m.Message
		} else {
			detail = m.Message
		}
		if at := strings.TrimPrefix(m.Location, "body."); at != "" {
			detail += " (" + at + ")"
		}
	}
	return &DetailError{status: status, Detail: detail}
}

// metaCompat marks an operation of the Python contract in its Metadata.
const metaCompat = "compat"

// The framework makes the errors of requests that do not fit by a function of
// its package, the same for all APIs of a process; ours needs nothing but the
// operation.
var installErrors = sync.OnceFunc(func() {
	huma.NewErrorWithContext = unfit
})

// unfit gives the framework's own errors the form of the group. It leaves out
// what the client sent, which the framework would repeat, passwords included.
func unfit(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
	compat := false
	if ctx != nil && ctx.Operation() != nil {
		compat, _ = ctx.Operation().Metadata[metaCompat].(bool)
	}
	if status == http.StatusInternalServerError && message == "cannot read request body" {
		return statusError(compat, http.StatusBadRequest, "The request body could not be read")
	}
	if status >= http.StatusInternalServerError {
		return statusError(compat, status, http.StatusText(status))
	}
	foreign := status == http.StatusUnsupportedMediaType
	if compat && (foreign || status == http.StatusBadRequest) {
		status = http.StatusUnprocessableEntity // as the contract has it
	}
	var more []*huma.ErrorDetail
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			said := *d.ErrorDetail()
			said.Value = nil
			switch {
			case strings.HasPrefix(said.Message, "expected value to match exactly one schema"):
				said.Message = "expected a whole number, or one in a string"
			case foreign:
				said.Message = "the content type must be application/json"
			case said.Location == "body" && !strings.HasPrefix(said.Message, "expected"):
				said.Message = "the body is not valid JSON, or a value in it does not fit"
			}
			more = append(more, &said)
		}
	}
	return statusError(compat, status, message, more...)
}
