package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
)

var (
	key   = []byte("Zq3v8xN1kT7wPbR5yLm2Jd9HsGf4Ce6A")
	older = []byte("0A9b8C7d6E5f4G3h2I1jKlMnOpQrStUv")
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func user() account.User {
	return account.User{ID: 7, Login: "ann", Role: account.Operator, Active: true, TokenEpoch: 3}
}

// tokensAt has its clock at now; change may alter its configuration.
func tokensAt(tb testing.TB, now time.Time, change func(*auth.TokensConfig)) *auth.Tokens {
	tb.Helper()
	config := auth.TokensConfig{
		Key: key, Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour, Now: func() time.Time { return now },
	}
	if change != nil {
		change(&config)
	}
	tokens, err := auth.NewTokens(config)
	if err != nil {
		tb.Fatal(err)
	}
	return tokens
}

func issue(tb testing.TB, tokens *auth.Tokens) string {
	tb.Helper()
	token, _, err := tokens.Issue(user(), noon)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestTokens_IssueAndParse(t *testing.T) {
	t.Parallel()
	tokens := tokensAt(t, noon.Add(59*time.Minute), nil)
	token, expires, err := tokens.Issue(user(), noon.Add(987*time.Millisecond).In(time.FixedZone("here", 3600)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Claims{
		ID: got.ID, Session: got.Session, LoginAt: noon, UserID: 7, Login: "ann", Role: account.Operator, Epoch: 3, IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.ID) < 20 || len(got.Session) < 20 || got.Session == got.ID || !expires.Equal(got.ExpiresAt) || expires.Location() != time.UTC {
		t.Errorf("id %q, expires %s", got.ID, expires)
	}
	again, err := tokens.Parse(issue(t, tokens))
	if err != nil || again.ID == got.ID || again.Session == got.Session {
		t.Errorf("two tokens have one id: %v", err)
	}
	if strings.Contains(token, "ann") || len(token) > 600 {
		t.Errorf("token of %d bytes", len(token))
	}
}

func TestTokens_Time(t *testing.T) {
	t.Parallel()
	token := issue(t, tokensAt(t, noon, nil))
	for offset, want := range map[time.Duration]error{
		-6 * time.Second: auth.ErrTokenInvalid, // Not yet good, by more than clocks may differ.
		-4 * time.Second: nil,
		0:                nil,
		time.Hour - 1:    nil,
		time.Hour:        auth.ErrTokenExpired,
		time.Hour + 3e9:  auth.ErrTokenExpired, // Within the library's leeway.
		time.Hour + 6e9:  auth.ErrTokenExpired,
		1e4 * time.Hour:  auth.ErrTokenExpired,
	} {
		if _, err := tokensAt(t, noon.Add(offset), nil).Parse(token); !errors.Is(err, want) {
			t.Errorf("%s after the issue: %v, want %v", offset, err, want)
		}
	}
}

func TestTokens_Rotation(t *testing.T) {
	t.Parallel()
	before := issue(t, tokensAt(t, noon, func(c *auth.TokensConfig) { c.Key = older }))
	during := tokensAt(t, noon, func(c *auth.TokensConfig) { c.PreviousKey = older })
	if _, err := during.Parse(before); err != nil {
		t.Errorf("signed by the previous key: %v", err)
	}
	after := tokensAt(t, noon, nil)
	if _, err := after.Parse(issue(t, during)); err != nil {
		t.Errorf("signed during the rotation: %v", err)
	}
	if _, err := after.Parse(before); !errors.Is(err, auth.ErrTokenInvalid) {
		t.Errorf("signed by a key that is gone: %v", err)
	}
}

func TestClaims_Check(t *testing.T) {
	t.Parallel()
	tokens := tokensAt(t, noon, nil)
	claims, err := tokens.Parse(issue(t, tokens))
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Check(user()); err != nil {
		t.Errorf("in force: %v", err)
	}
	for name, change := range map[string]func(*account.User){
		"disabled":  func(u *account.User) { u.Active = false },
		"epoch":     func(u *account.User) { u.TokenEpoch++ },
		"old epoch": func(u *account.User) { u.TokenEpoch-- },
		"other":     func(u *account.User) { u.ID = 8 },
		"recreated": func(u *account.User) { u.ID, u.TokenEpoch = 9, 4_181_120_000_000_000 },
		"id reused": func(u *account.User) { u.TokenEpoch = 4_181_120_000_000_000 },
		"nobody":    func(u *account.User) { *u = account.User{} },
	} {
		changed := user()
		change(&changed)
		if err := claims.Check(changed); !errors.Is(err, auth.ErrTokenRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	renamed := user()
	renamed.Login = "bob"
	if err := claims.Check(renamed); err != nil {
		t.Errorf("the user under another login: %v", err)
	}
	demoted := user()
	demoted.Role = account.Viewer
	if err := claims.Check(demoted); err != nil {
		t.Errorf("a changed role alone must not end a token: %v", err)
	}
}

func TestNewTokens_Refuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*auth.TokensConfig){
		"no key":          func(c *auth.TokensConfig) { c.Key = nil },
		"31 bytes":        func(c *auth.TokensConfig) { c.Key = c.Key[:31] },
		"empty previous":  func(c *auth.TokensConfig) { c.PreviousKey = []byte{} },
		"short previous":  func(c *auth.TokensConfig) { c.PreviousKey = c.Key[:31] },
		"no issuer":       func(c *auth.TokensConfig) { c.Issuer = "" },
		"no audience":     func(c *auth.TokensConfig) { c.Audience = "" },
		"no time":         func(c *auth.TokensConfig) { c.TTL = 0 },
		"a negative time": func(c *auth.TokensConfig) { c.TTL = -time.Hour },
		"parts of second": func(c *auth.TokensConfig) { c.TTL = 1500 * time.Millisecond },
	} {
		config := auth.TokensConfig{Key: key, Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour}
		change(&config)
		if tokens, err := auth.NewTokens(config); err == nil || tokens != nil || strings.Contains(err.Error(), string(key[:8])) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, login := range []string{"", " ann", "a\nb", strings.Repeat("x", 65)} {
		if token, _, err := tokensAt(t, noon, nil).Issue(account.User{Login: login}, noon); err == nil || token != "" {
			t.Errorf("issued for %q", login)
		}
	}
}

func TestTokens_PrintNoKey(t *testing.T) {
	t.Parallel()
	tokens := tokensAt(t, noon, nil)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(format, tokens); got != "tokens" {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// forge builds tokens by hand: only this package's tests sign like this.
type forge struct {
	header  map[string]any
	claims  map[string]any
	good    string
	private *rsa.PrivateKey
}

func newForge(tb testing.TB) forge {
	tb.Helper()
	good := issue(tb, tokensAt(tb, noon, nil))
	f := forge{good: good}
	parts := strings.Split(good, ".")
	for i, into := range []*map[string]any{&f.header, &f.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			tb.Fatal(err)
		}
	}
	var err error
	if f.private, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		tb.Fatal(err)
	}
	return f
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encoded(tb testing.TB, object map[string]any) string {
	tb.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}
	return b64(data)
}

func sign(text string, algorithm func() hash.Hash, key []byte) string {
	mac := hmac.New(algorithm, key)
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}

// with signs, by the right key, the good token with some names changed; a nil
// value takes the name away.
func (f forge) with(tb testing.TB, header, claims map[string]any) string {
	tb.Helper()
	return sign(encoded(tb, merged(f.header, header))+"."+encoded(tb, merged(f.claims, claims)), sha256.New, key)
}

func merged(base, changes map[string]any) map[string]any {
	out := maps.Clone(base)
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

type object = map[string]any

// forgeries are tokens that must not be accepted; the names say why.
func forgeries(tb testing.TB) map[string]string {
	tb.Helper()
	f := newForge(tb)
	parts := strings.Split(f.good, ".")
	header, claims, signature := parts[0], parts[1], parts[2]
	text := header + "." + claims
	unix := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	out := map[string]string{
		// No token at all.
		"empty": "", "one part": header, "two parts": text, "four parts": f.good + ".", "dots": "...", "two dots": "..", "bearer": "Bearer " + f.good,
		"dots flood": strings.Repeat(".", 100_000), "long": f.good + strings.Repeat("A", 5000), "not base64": "a b.c d.e f", "only letters": "a.b.c",
		"JSON form": `{"payload":"` + claims + `","signature":"` + signature + `"}`, "a JWE": f.good + "." + claims + "." + signature,
		"header not JSON": sign(b64([]byte("x"))+"."+claims, sha256.New, key), "claims not JSON": sign(header+"."+b64([]byte("x")), sha256.New, key),
		"claims null": sign(header+"."+b64([]byte("null")), sha256.New, key), "claims array": sign(header+"."+b64([]byte("[]")), sha256.New, key),
		"header null": sign(b64([]byte("null"))+"."+claims, sha256.New, key), "deep claims": sign(header+"."+b64(bytes.Repeat([]byte("["), 2500)), sha256.New, key),

		// Signature missing or of somebody else.
		"no signature": text + ".", "signature of nothing": text + "." + b64(nil), "zero signature": text + "." + b64(make([]byte, 32)),
		"empty key": sign(text, sha256.New, nil), "zero key": sign(text, sha256.New, make([]byte, 32)), "public default key": sign(text, sha256.New, []byte("default-secret-for-local-testing")),
		"half of the key": sign(text, sha256.New, key[:16]), "key and more": sign(text, sha256.New, append(bytes.Clone(key), 'x')),
		"half signature": text + "." + signature[:len(signature)/2], "signature and more": f.good + "AAAA", "hex signature": text + "." + strings.Repeat("ab", 32),
		"signature of other claims": header + "." + encoded(tb, merged(f.claims, object{"sub": "admin"})) + "." + signature,
		"signature of other header": encoded(tb, merged(f.header, object{"x": 1})) + "." + claims + "." + signature,

		// The same signature written otherwise.
		"padding": f.good + "=", "line end": f.good + "\n", "line end inside": text + "." + signature[:9] + "\r\n" + signature[9:], "space": " " + f.good,
		"NUL": f.good + "\x00", "base64 alphabet": text + "." + strings.NewReplacer("-", "+", "_", "/").Replace("-_"+signature[2:]),
		"changed tail": text + "." + signature[:len(signature)-1] + neighbour(signature[len(signature)-1]),
		"unicode dot":  strings.Replace(f.good, ".", "．", 1),

		// Other algorithms.
		"none in header, right signature": f.with(tb, object{"alg": "none"}, nil),
		"HS384":                           sign(encoded(tb, merged(f.header, object{"alg": "HS384"}))+"."+claims, sha512.New384, key),
		"HS512":                           sign(encoded(tb, merged(f.header, object{"alg": "HS512"}))+"."+claims, sha512.New, key),
		"HS384 in header only":            f.with(tb, object{"alg": "HS384"}, nil),
		"alg missing":                     f.with(tb, object{"alg": nil}, nil), "alg lower case": f.with(tb, object{"alg": "hs256"}, nil),
		"alg a number": f.with(tb, object{"alg": 256}, nil), "alg a list": f.with(tb, object{"alg": []string{"HS256"}}, nil), "alg empty": f.with(tb, object{"alg": ""}, nil),

		// Headers that lead elsewhere.
		"kid missing": f.with(tb, object{"kid": nil}, nil), "kid empty": f.with(tb, object{"kid": ""}, nil), "kid a path": f.with(tb, object{"kid": "../../dev/null"}, nil),
		"kid SQL": f.with(tb, object{"kid": "' or 1=1 --"}, nil), "kid a number": f.with(tb, object{"kid": 1}, nil), "typ missing": f.with(tb, object{"typ": nil}, nil),
		"typ of a refresh token": f.with(tb, object{"typ": "refresh+jwt"}, nil), "jku": f.with(tb, object{"jku": "https://evil.example/keys"}, nil),
		"x5u": f.with(tb, object{"x5u": "https://evil.example/cert"}, nil), "crit": f.with(tb, object{"crit": []string{"exp"}}, nil),
		"b64 false": f.with(tb, object{"b64": false}, nil), "jwk": f.with(tb, object{"jwk": object{"kty": "oct", "k": b64(key)}}, nil),

		// Claims missing, or not for us.
		"no exp": f.with(tb, nil, object{"exp": nil}), "exp zero": f.with(tb, nil, object{"exp": 0}), "exp text": f.with(tb, nil, object{"exp": "9999999999"}),
		"exp huge": f.with(tb, nil, object{"exp": 1e300}), "exp far": f.with(tb, nil, object{"exp": unix(25 * time.Hour)}), "exp negative": f.with(tb, nil, object{"exp": -1}),
		"no iat": f.with(tb, nil, object{"iat": nil}), "iat to come": f.with(tb, nil, object{"iat": unix(time.Minute)}),
		"no nbf": f.with(tb, nil, object{"nbf": nil}), "nbf to come": f.with(tb, nil, object{"nbf": unix(time.Minute)}),
		"no iss": f.with(tb, nil, object{"iss": nil}), "other iss": f.with(tb, nil, object{"iss": "pgam2"}), "iss case": f.with(tb, nil, object{"iss": "PGAM"}), "iss a list": f.with(tb, nil, object{"iss": []string{"pgam"}}),
		"no aud": f.with(tb, nil, object{"aud": nil}), "other aud": f.with(tb, nil, object{"aud": "other"}), "aud empty": f.with(tb, nil, object{"aud": []string{}}), "aud longer": f.with(tb, nil, object{"aud": "pgam-api2"}),
		"two auds": f.with(tb, nil, object{"aud": []string{"other", "pgam-api"}}), "no jti": f.with(tb, nil, object{"jti": nil}), "jti empty": f.with(tb, nil, object{"jti": ""}),
		"jti long": f.with(tb, nil, object{"jti": strings.Repeat("x", 65)}), "no sub": f.with(tb, nil, object{"sub": nil}), "sub empty": f.with(tb, nil, object{"sub": ""}),
		"sub unprintable": f.with(tb, nil, object{"sub": "ann\nadmin"}), "sub a number": f.with(tb, nil, object{"sub": 1}), "no epoch": f.with(tb, nil, object{"epoch": nil}), "epoch zero": f.with(tb, nil, object{"epoch": 0}),
		"no uid": f.with(tb, nil, object{"uid": nil}), "uid zero": f.with(tb, nil, object{"uid": 0}), "uid negative": f.with(tb, nil, object{"uid": -7}), "uid a login": f.with(tb, nil, object{"uid": "ann"}),
		"uid of another, unsigned": header + "." + encoded(tb, merged(f.claims, object{"uid": 1})) + "." + signature,
		"epoch text":               f.with(tb, nil, object{"epoch": "3"}), "epoch a fraction": f.with(tb, nil, object{"epoch": 3.5}),
		"expired for another": f.with(tb, nil, object{"exp": unix(-time.Minute), "aud": "other"}),
		"python token":        sign(encoded(tb, object{"alg": "HS256", "typ": "JWT"})+"."+encoded(tb, object{"sub": "admin", "exp": unix(time.Hour)}), sha256.New, key),
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", "null"} {
		unsigned := encoded(tb, object{"alg": none, "typ": "JWT", "kid": f.header["kid"]}) + "." + claims
		out["alg "+none], out["alg "+none+" with signature"] = unsigned+".", unsigned+"."+signature
	}
	maps.Copy(out, f.asymmetric(tb, claims))
	return out
}

// asymmetric are tokens of RSA keys, and HS256 tokens keyed with a public key.
func (f forge) asymmetric(tb testing.TB, claims string) map[string]string {
	tb.Helper()
	public, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	text := encoded(tb, f.header) + "." + claims
	out := map[string]string{
		"HS256 keyed with a public key": sign(text, sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodPS256} {
		signing := encoded(tb, merged(f.header, object{"alg": method.Alg()})) + "." + claims
		signature, err := method.Sign(signing, f.private)
		if err != nil {
			tb.Fatal(err)
		}
		out[method.Alg()] = signing + "." + b64(signature)
		out[method.Alg()+" in header only"] = f.with(tb, object{"alg": method.Alg()}, nil)
	}
	return out
}

// neighbour is the base64url character that differs in the lowest bit: of the
// last of a signature, a bit that carries nothing.
func neighbour(char byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, char)^1])
}

func TestTokens_RejectsForgeries(t *testing.T) {
	t.Parallel()
	tokens := tokensAt(t, noon, nil)
	all := forgeries(t)
	// Signed by the right key, and old: said to be so.
	expired := map[string]bool{"exp zero": true, "exp negative": true, "exp huge": true}
	for name, token := range all {
		claims, err := tokens.Parse(token)
		if !errors.Is(err, auth.ErrTokenInvalid) && (!expired[name] || !errors.Is(err, auth.ErrTokenExpired)) {
			t.Errorf("%s: %v", name, err)
		}
		if claims != (auth.Claims{}) {
			t.Errorf("%s: claims %+v", name, claims)
		}
		if err != nil && (len(err.Error()) > 300 || strings.Contains(err.Error(), string(key))) {
			t.Errorf("%s: the error says too much: %v", name, err)
		}
	}
	if len(all) < 100 {
		t.Errorf("only %d forgeries", len(all))
	}
}

// TestTokens_TheForgeCanSign shows that the forgeries fail for what is wrong
// with them, not for the way they are made.
func TestTokens_TheForgeCanSign(t *testing.T) {
	t.Parallel()
	f, tokens := newForge(t), tokensAt(t, noon, nil)
	for name, token := range map[string]string{
		"unchanged": f.with(t, nil, nil), "other login": f.with(t, nil, object{"sub": "bob"}), "other user": f.with(t, nil, object{"uid": 8}), "other epoch": f.with(t, nil, object{"epoch": 4}),
		"unknown claim": f.with(t, nil, object{"x": 1}), "aud a list": f.with(t, nil, object{"aud": []string{"pgam-api"}}),
	} {
		if _, err := tokens.Parse(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokens_RejectsEveryChangedByte(t *testing.T) {
	t.Parallel()
	tokens := tokensAt(t, noon, nil)
	good := issue(t, tokens)
	for i := range len(good) {
		// Every bit, and what a decoder may pass over.
		for _, char := range []byte{
			good[i] ^ 1, good[i] ^ 2, good[i] ^ 4, good[i] ^ 8, good[i] ^ 16, good[i] ^ 32, good[i] ^ 64, good[i] ^ 128,
			'A', '_', '=', '.', ' ', '\r', '\n', '+', '/', 0,
		} {
			if char == good[i] {
				continue
			}
			mutant := good[:i] + string([]byte{char}) + good[i+1:]
			if _, err := tokens.Parse(mutant); !errors.Is(err, auth.ErrTokenInvalid) {
				t.Fatalf("byte %d as %#x: %v", i, char, err)
			}
		}
		if _, err := tokens.Parse(good[:i] + good[i+1:]); !errors.Is(err, auth.ErrTokenInvalid) {
			t.Fatalf("without byte %d: %v", i, err)
		}
	}
}

func FuzzTokens_Parse(f *testing.F) {
	tokens := tokensAt(f, noon, nil)
	good := issue(f, tokens)
	// Not the good one itself: each fuzzing process issues its own, all of them good.
	f.Add(good[1:])
	for _, token := range forgeries(f) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if token == good {
			return
		}
		claims, err := tokens.Parse(token)
		if err == nil {
			t.Fatalf("accepted %q: %+v", token, claims)
		}
		if !errors.Is(err, auth.ErrTokenInvalid) && !errors.Is(err, auth.ErrTokenExpired) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}

func BenchmarkTokens_Parse(b *testing.B) {
	tokens := tokensAt(b, noon, nil)
	good := issue(b, tokens)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Parse(good); err != nil {
			b.Fatal(err)
		}
	}
}

// A login is renewed without its password for seven days, and no token of it
// outlives them.
func TestTokens_RenewUntilTheSessionEnds(t *testing.T) {
	t.Parallel()
	now := noon
	tokens, err := auth.NewTokens(auth.TokensConfig{
		Key: []byte(strings.Repeat("k", 32)), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := tokens.Issue(user(), now)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tokens.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	end, claims := noon.Add(7*24*time.Hour), first
	for ; now.Before(end); now = now.Add(50 * time.Minute) {
		var expires time.Time
		if token, expires, err = tokens.Renew(claims, user(), now); err != nil {
			t.Fatalf("%s after the login: %v", now.Sub(noon), err)
		}
		if claims, err = tokens.Parse(token); err != nil || claims.Session != first.Session || !claims.LoginAt.Equal(first.LoginAt) || claims.ID == first.ID {
			t.Fatalf("%s after the login: %+v, %v", now.Sub(noon), claims, err)
		}
		if expires.After(end) {
			t.Fatalf("%s after the login a token expires at %s", now.Sub(noon), expires)
		}
	}
	if _, _, err := tokens.Renew(claims, user(), now); !errors.Is(err, auth.ErrTokenExpired) {
		t.Errorf("after seven days: %v", err)
	}
	ended := user()
	ended.EndedSessions = []string{"another", first.Session}
	if err := first.Check(ended); !errors.Is(err, auth.ErrTokenRevoked) {
		t.Errorf("a session that was ended: %v", err)
	}
	if _, _, err := tokens.Renew(first, ended, noon); !errors.Is(err, auth.ErrTokenRevoked) {
		t.Errorf("renewed after it was ended: %v", err)
	}
}
