package compat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/api/route"
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
	route.Register(r.Group, op, "", []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable}, r.token)
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
	user, err := r.Login(ctx, form["username"], form["password"])
	if err != nil {
		return nil, err
	}
	token, _, err := r.Tokens.Issue(user, r.Now())
	if err != nil {
		return nil, err
	}
	return say(tokenBody{token, "bearer"}), nil
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
		return nil, route.NewError(http.StatusUnprocessableEntity, "Send username and password as a form (application/x-www-form-urlencoded or multipart/form-data)")
	}
	for _, field := range []string{"username", "password"} {
		if _, ok := form[field]; !ok {
			return nil, route.NewError(http.StatusUnprocessableEntity, "field required ("+field+")")
		}
	}
	if grant, ok := form["grant_type"]; ok && grant != "" && grant != "password" {
		return nil, route.NewError(http.StatusUnprocessableEntity, "grant_type must be password")
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
