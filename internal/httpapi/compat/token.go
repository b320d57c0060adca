package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/httpapi/face"
)

// maxLoginBytes bounds the body of a login.
const maxLoginBytes = 16 << 10

type tokenInput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte
}

type tokenBody struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type" enum:"bearer"`
}

// registerToken adds the login, whose body is a form.
func (r routes) registerToken(op huma.Operation) {
	op.MaxBodyBytes, op.SkipValidateBody = maxLoginBytes, true
	face.Register(r.Face, op, "", []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable}, r.token)
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	form := &huma.MediaType{Schema: &huma.Schema{
		Type: "object", Required: []string{"username", "password"},
		Properties: map[string]*huma.Schema{
			"username": text(""), "password": {Type: "string", Format: "password"},
			"grant_type": text("password, if given"), "scope": text("ignored"), "client_id": text("ignored"), "client_secret": text("ignored"),
		},
	}}
	r.Document(op.Path).Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/x-www-form-urlencoded": form, "multipart/form-data": form,
	}}
}

// token logs a user in.
func (r routes) token(ctx context.Context, in *tokenInput) (*output[tokenBody], error) {
	form, err := parseLogin(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	attempt := account.NewLoginAttempt(face.Client(ctx), form["username"])
	from, err := r.Logins.Admit(ctx, attempt)
	if err != nil {
		return nil, r.refuse(ctx, attempt, err)
	}
	user, err := r.Catalog.Account(ctx, attempt.Login)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return nil, err
	}
	// A user that does not exist costs the same work.
	err = r.Passwords.Verify(ctx, from, user.PasswordHash, form["password"])
	if err == nil && !user.Active {
		err = errDisabled
	}
	if err != nil {
		return nil, r.refuse(ctx, attempt, err)
	}
	token, _, err := r.Tokens.Issue(user, r.Now())
	if err != nil {
		return nil, err
	}
	if err := r.Catalog.NoteLogin(ctx, user.ID, attempt, from.Known); err != nil {
		r.Log.WarnContext(ctx, "login was not noted", "login", user.Login, "error", err)
	}
	return say(tokenBody{token, "bearer"}), nil
}

var errDisabled = fmt.Errorf("%w: the account is disabled", auth.ErrInvalidCredentials)

// refuse logs why somebody was not let in, and gives what they are told: the same
// whatever is wrong with the login or the password.
func (r routes) refuse(ctx context.Context, attempt account.LoginAttempt, err error) error {
	reason := ""
	switch {
	case errors.Is(err, auth.ErrHashUnusable):
		reason = "the stored password hash is unusable: set the password again"
	case errors.Is(err, errDisabled):
		reason = "the account is disabled"
	case errors.Is(err, auth.ErrInvalidCredentials):
		reason = "no such login, or another password"
	case errors.Is(err, auth.ErrTooManyAttempts):
		reason = "too many from this address"
	case errors.Is(err, auth.ErrBusy):
		reason = "too many at once"
	default:
		return err
	}
	r.Logins.Refused(ctx, face.Client(ctx), attempt, reason, slog.String("request_id", face.RequestID(ctx)))
	if errors.Is(err, auth.ErrInvalidCredentials) {
		return face.NewError(http.StatusUnauthorized, "Invalid credentials")
	}
	return err
}

// parseLogin reads the form of a login, urlencoded or multipart.
func parseLogin(contentType string, body []byte) (map[string]string, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if contentType == "" {
		media, err = "application/x-www-form-urlencoded", nil
	}
	if err != nil {
		media = ""
	}
	var form map[string]string
	switch media {
	case "application/x-www-form-urlencoded":
		form = parseForm(string(body))
	case "multipart/form-data":
		form, err = parseMultipart(body, params["boundary"])
	default:
		err = errors.New("neither")
	}
	if err != nil {
		return nil, face.NewError(http.StatusUnprocessableEntity, "Send username and password as a form (application/x-www-form-urlencoded or multipart/form-data)")
	}
	for _, field := range []string{"username", "password"} {
		if _, ok := form[field]; !ok {
			return nil, face.NewError(http.StatusUnprocessableEntity, "field required ("+field+")")
		}
	}
	if grant, ok := form["grant_type"]; ok && grant != "" && grant != "password" {
		return nil, face.NewError(http.StatusUnprocessableEntity, "grant_type must be password")
	}
	return form, nil
}

// parseForm reads a urlencoded form as lenient as browsers' neighbours write
// it: a percent sign that begins no escape stands for itself, and of two
// fields of one name the last counts.
func parseForm(body string) map[string]string {
	form := make(map[string]string)
	for pair := range strings.SplitSeq(strings.TrimRight(body, "\r\n"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "" {
			form[unescapeForm(name)] = unescapeForm(value)
		}
	}
	return form
}

func unescapeForm(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			out.WriteByte(' ')
		case c == '%' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0:
			out.WriteByte(byte(unhex(text[i+1])<<4 | unhex(text[i+2])))
			i += 2
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// unhex gives the value of a hexadecimal digit, -1 for another byte.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func parseMultipart(body []byte, boundary string) (map[string]string, error) {
	if boundary == "" {
		return nil, errors.New("no boundary")
	}
	form := make(map[string]string)
	for reader := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		form[part.FormName()] = string(value)
	}
}
