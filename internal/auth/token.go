package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pgam/pgam/internal/account"
)

const (
	minKeyBytes   = 32      // RFC 7518, 3.2: no shorter than the hash
	maxTokenBytes = 4 << 10 // refused unread beyond
	maxIDBytes    = 64
	// maxSession is how long a login may be renewed before it takes the password
	// again, as the refresh tokens of the Python version did.
	maxSession = 7 * 24 * time.Hour
	clockSkew  = 5 * time.Second // how far the clocks of two hosts may be apart
	keyIDBytes = 8
)

var (
	// ErrTokenInvalid reports a token that was never good here.
	ErrTokenInvalid = errors.New("invalid token")
	// ErrTokenExpired reports a token that was good, and whose time is over.
	ErrTokenExpired = errors.New("token expired")
	// ErrTokenRevoked reports a token whose user was since disabled, removed or
	// logged out.
	ErrTokenRevoked = errors.New("token revoked")
)

// TokensConfig is what Tokens needs.
type TokensConfig struct {
	Key         []byte           // signs and checks; at least 32 random bytes
	PreviousKey []byte           // only checks, during a rotation; nil for none
	Issuer      string           // iss
	Audience    string           // aud
	TTL         time.Duration    // from issue to expiry; whole seconds
	Now         func() time.Time // the clock of Parse; nil is time.Now
}

// Tokens issues and checks tokens. It is safe for concurrent use.
type Tokens struct {
	keys     map[string][]byte // by key id
	keyID    string            // of the key that signs
	issuer   string
	audience string
	ttl      time.Duration
	now      func() time.Time
	parser   *jwt.Parser
	verified verified
}

// Claims is what a good token says.
type Claims struct {
	ID        string       // jti, unique
	Session   string       // sid; the login that the token and its renewals come from
	LoginAt   time.Time    // auth_time, UTC; when that was
	UserID    int64        // uid; who the token is of
	Login     string       // sub: as it was when issued, to show
	Role      account.Role // likewise, never to decide by
	Epoch     int64        // must equal User.TokenEpoch
	IssuedAt  time.Time    // UTC
	ExpiresAt time.Time    // UTC
}

// Check returns ErrTokenRevoked unless the token is in force for user, as just
// looked up by its UserID. A login may come to stand for somebody else.
func (c Claims) Check(user account.User) error {
	if !user.Active || user.ID != c.UserID || user.TokenEpoch != c.Epoch || slices.Contains(user.EndedSessions, c.Session) {
		return ErrTokenRevoked
	}
	return nil
}

// wireClaims is the form of the claims in a token.
type wireClaims struct {
	jwt.RegisteredClaims
	UserID  int64            `json:"uid"`
	Role    account.Role     `json:"role,omitempty"`
	Epoch   int64            `json:"epoch"`
	Session string           `json:"sid"`
	LoginAt *jwt.NumericDate `json:"auth_time"`
}

// NewTokens validates config.
func NewTokens(config TokensConfig) (*Tokens, error) {
	switch {
	case len(config.Key) < minKeyBytes:
		return nil, fmt.Errorf("token key of %d bytes: at least %d are needed", len(config.Key), minKeyBytes)
	case config.PreviousKey != nil && len(config.PreviousKey) < minKeyBytes:
		return nil, fmt.Errorf("previous token key of %d bytes: at least %d are needed", len(config.PreviousKey), minKeyBytes)
	case config.Issuer == "" || config.Audience == "":
		return nil, errors.New("tokens without an issuer or an audience")
	case config.TTL < time.Second || config.TTL%time.Second != 0:
		return nil, fmt.Errorf("time to live of tokens %s: whole seconds are needed", config.TTL)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	tokens := &Tokens{
		keys: make(map[string][]byte), keyID: keyID(config.Key), issuer: config.Issuer, audience: config.Audience,
		ttl: config.TTL, now: config.Now,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithIssuer(config.Issuer),
			jwt.WithAudience(config.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithNotBeforeRequired(),
			jwt.WithIssuedAt(),
			jwt.WithStrictDecoding(),
			jwt.WithLeeway(clockSkew),
			jwt.WithTimeFunc(config.Now),
		),
	}
	if config.PreviousKey != nil {
		tokens.keys[keyID(config.PreviousKey)] = append([]byte(nil), config.PreviousKey...)
	}
	tokens.keys[tokens.keyID] = append([]byte(nil), config.Key...)
	return tokens, nil
}

// keyID names a key without telling anything of it.
func keyID(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("pgam key id"))
	return hex.EncodeToString(mac.Sum(nil)[:keyIDBytes])
}

// Issue returns the token of a new session of user, who has just logged in,
// good from now until expires (UTC, whole seconds).
func (t *Tokens) Issue(user account.User, now time.Time) (token string, expires time.Time, err error) {
	return t.issue(user, rand.Text(), now, now)
}

// Renew returns a new token for the session of an old one that is in force for
// user. A session ends seven days after the login: the error is then
// ErrTokenExpired.
func (t *Tokens) Renew(old Claims, user account.User, now time.Time) (token string, expires time.Time, err error) {
	if err := old.Check(user); err != nil {
		return "", time.Time{}, err
	}
	if !now.Before(old.SessionEnd()) {
		return "", time.Time{}, ErrTokenExpired
	}
	return t.issue(user, old.Session, old.LoginAt, now)
}

// SessionEnd is when the last token of the session expires, at the latest.
func (c Claims) SessionEnd() time.Time { return c.LoginAt.Add(maxSession) }

func (t *Tokens) issue(user account.User, session string, loginAt, now time.Time) (token string, expires time.Time, err error) {
	if err := account.ValidateLogin(user.Login); err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	if user.ID <= 0 || user.TokenEpoch <= 0 {
		return "", time.Time{}, errors.New("issue token: the user has no id or no epoch")
	}
	issued := now.UTC().Truncate(time.Second)
	loginAt = loginAt.UTC().Truncate(time.Second)
	expires = issued.Add(t.ttl)
	if end := loginAt.Add(maxSession); expires.After(end) {
		expires = end
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, wireClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.issuer, Subject: user.Login, Audience: jwt.ClaimStrings{t.audience}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(expires),
		},
		UserID: user.ID, Role: user.Role, Epoch: user.TokenEpoch, Session: session, LoginAt: jwt.NewNumericDate(loginAt),
	})
	unsigned.Header["kid"] = t.keyID
	token, err = unsigned.SignedString(t.keys[t.keyID])
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	return token, expires, nil
}

// Parse returns what a good token says. Otherwise the error matches
// ErrTokenExpired, if nothing but its age is wrong, or ErrTokenInvalid; it says
// why, for the log. Whether the token was revoked is for Claims.Check.
func (t *Tokens) Parse(token string) (Claims, error) {
	if len(token) > maxTokenBytes {
		return Claims{}, invalid("longer than 4 KiB")
	}
	key := sha256.Sum256([]byte(token))
	claims, ok := t.verified.get(key)
	if !ok {
		var err error
		if claims, err = t.verify(token); err != nil {
			return Claims{}, err
		}
		t.verified.put(key, claims)
	}
	if claims.expired(t.now()) {
		// The library's leeway is meant for the start of a token's time.
		return Claims{}, ErrTokenExpired
	}
	return claims, nil
}

// verify checks everything about a token but that its time may be over by less
// than the clocks' skew.
func (t *Tokens) verify(token string) (Claims, error) {
	if err := checkShape(token); err != nil {
		return Claims{}, err
	}
	var claims wireClaims
	parsed, err := t.parser.ParseWithClaims(token, &claims, t.keyFor)
	if err != nil {
		return Claims{}, classify(err)
	}
	if err := checkHeader(parsed.Header); err != nil {
		return Claims{}, err
	}
	switch {
	case claims.ID == "" || len(claims.ID) > maxIDBytes:
		return Claims{}, invalid("no id (jti)")
	case claims.IssuedAt == nil:
		return Claims{}, invalid("no time of issue (iat)")
	case claims.UserID <= 0:
		return Claims{}, invalid("no user (uid)")
	case claims.Epoch <= 0:
		return Claims{}, invalid("no epoch")
	case claims.Session == "" || len(claims.Session) > maxIDBytes:
		return Claims{}, invalid("no session (sid)")
	case claims.LoginAt == nil || claims.LoginAt.After(claims.IssuedAt.Time):
		return Claims{}, invalid("no time of the login (auth_time)")
	case len(claims.Audience) != 1:
		return Claims{}, invalid("more than one audience (aud)")
	case account.ValidateLogin(claims.Subject) != nil:
		return Claims{}, invalid("no login (sub)")
	case claims.ExpiresAt.Sub(claims.IssuedAt.Time) > t.maxLife():
		return Claims{}, invalid("good for longer than any token issued here")
	}
	return Claims{
		ID: claims.ID, UserID: claims.UserID, Login: claims.Subject, Role: claims.Role, Epoch: claims.Epoch,
		Session: claims.Session, LoginAt: claims.LoginAt.UTC(), IssuedAt: claims.IssuedAt.UTC(), ExpiresAt: claims.ExpiresAt.UTC(),
	}, nil
}

// maxLife is the longest time between issue and expiry that is believed. The
// setting may have been lowered since the token was issued.
func (t *Tokens) maxLife() time.Duration { return max(t.ttl, 24*time.Hour) }

// Format implements fmt.Formatter: no verb prints a key.
func (t *Tokens) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "tokens") }

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrTokenInvalid, why) }

// checkShape refuses, before anything is decoded, what no token of ours looks
// like. The decoder skips line ends even when strict, so that a token could be
// changed without breaking its signature.
func checkShape(token string) error {
	if strings.Count(token, ".") != 2 {
		return invalid("not of three parts")
	}
	for _, char := range []byte(token) {
		switch {
		case 'a' <= char && char <= 'z', 'A' <= char && char <= 'Z', '0' <= char && char <= '9', char == '-', char == '_', char == '.':
		default:
			return invalid("a character outside base64url")
		}
	}
	return nil
}

// checkHeader accepts the header that Issue writes and no other: no address of
// a key, no extension that must be understood.
func checkHeader(header map[string]any) error {
	if len(header) != 3 || header["typ"] != "JWT" {
		return invalid("an unknown header")
	}
	return nil
}

// keyFor returns the key a token names.
func (t *Tokens) keyFor(token *jwt.Token) (any, error) {
	id, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("no key id (kid)")
	}
	key, ok := t.keys[id]
	if !ok {
		return nil, errors.New("signed by an unknown key (kid)")
	}
	return key, nil
}

// classify maps the library's errors to ours.
func classify(err error) error {
	if errors.Is(err, jwt.ErrTokenExpired) {
		for _, other := range []error{
			jwt.ErrTokenSignatureInvalid, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer,
			jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenNotValidYet,
		} {
			if errors.Is(err, other) {
				return fmt.Errorf("%w: %w", ErrTokenInvalid, other)
			}
		}
		return ErrTokenExpired
	}
	return fmt.Errorf("%w: %w", ErrTokenInvalid, err)
}
