package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pgam/pgam/internal/account"
)

// sessionBytes is how much of a session's token is random.
const sessionBytes = 32

// SessionToken is the secret of a browser's session. Nothing else is known of it
// but its hash, which stats_db keeps.
type SessionToken string

// NewSessionToken draws a token.
func NewSessionToken() SessionToken {
	token := make([]byte, sessionBytes)
	_, _ = rand.Read(token) // it never fails
	return SessionToken(base64.RawURLEncoding.EncodeToString(token))
}

// Hash gives what the token is stored as; ok is false for what no token of ours
// looks like, which need not be looked for.
func (t SessionToken) Hash() (hash [sha256.Size]byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(t))
	if err != nil || len(raw) != sessionBytes {
		return hash, false
	}
	return sha256.Sum256(raw), true
}

// CSRF gives the token that a page of the session sends with each change: who can
// only make a browser send its cookie does not know it.
func (t SessionToken) CSRF() string {
	mac := hmac.New(sha256.New, []byte(t))
	mac.Write([]byte("pgam csrf"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CheckCSRF reports whether sent is the session's CSRF, in a time that does not
// tell how much of it is.
func (t SessionToken) CheckCSRF(sent string) bool { return hmac.Equal([]byte(sent), []byte(t.CSRF())) }

// Format implements fmt.Formatter: no verb prints it.
func (t SessionToken) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "session token") }

// Lifetimes are how long sessions live.
type Lifetimes struct {
	Idle     time.Duration // without a request
	Absolute time.Duration // in all
}

// The lifetimes where none are set.
const (
	DefaultIdle     = 12 * time.Hour
	DefaultAbsolute = 7 * 24 * time.Hour
)

// End is when a session ends if nothing more is asked in it.
func (l Lifetimes) End(s account.Session) time.Time {
	end := s.CreatedAt.Add(l.Absolute)
	if idle := s.UsedAt.Add(l.Idle); idle.Before(end) {
		return idle
	}
	return end
}

// Check returns ErrTokenRevoked unless the session is in force for user, as just
// looked up by its account, and ErrTokenExpired if its time is over.
func (l Lifetimes) Check(s account.Session, user account.User, now time.Time) error {
	switch {
	case !user.Active || user.ID != s.UserID || user.TokenEpoch != s.Epoch:
		return ErrTokenRevoked
	case !now.Before(l.End(s)):
		return ErrTokenExpired
	}
	return nil
}

// Complete fills in what is not set. The error says what does not fit.
func (l Lifetimes) Complete() (Lifetimes, error) {
	if l.Idle == 0 {
		l.Idle = DefaultIdle
	}
	if l.Absolute == 0 {
		l.Absolute = DefaultAbsolute
	}
	if l.Idle < 0 || l.Absolute < 0 {
		return l, errors.New("lifetimes of sessions below zero")
	}
	return l, nil
}
