package legacy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func testKey(tb testing.TB) Key {
	tb.Helper()
	content, err := os.ReadFile("testdata/encryption_key.key")
	if err != nil {
		tb.Fatal(err)
	}
	key, err := ParseKey(content)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// testToken is a token of tokens.json; Text is nil where it must not open.
type testToken struct {
	Token string  `json:"token"`
	Text  *string `json:"text"`
}

func testTokens(tb testing.TB) map[string]testToken {
	tb.Helper()
	content, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		tb.Fatal(err)
	}
	var tokens map[string]testToken
	if err := json.Unmarshal(content, &tokens); err != nil {
		tb.Fatal(err)
	}
	return tokens
}

func TestOpenSecret(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	opened := 0
	for name, token := range testTokens(t) {
		got, err := key.Open(token.Token)
		switch {
		case token.Text != nil && (err != nil || got.Reveal() != *token.Text):
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		case token.Text == nil && (!errors.Is(err, ErrSecret) || !got.IsZero()):
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
		if err == nil {
			opened++
		}
	}
	if opened != 6 {
		t.Errorf("%d tokens open", opened)
	}
	if _, err := (Key{}).Open(testTokens(t)["good"].Token); !errors.Is(err, ErrSecret) {
		t.Errorf("no key gives %v", err)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/encryption_key.key")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(content))
	token := testTokens(t)["good"]
	for name, form := range map[string]string{
		"bare": text, "newline": text + "\n", "windows": " " + text + "\r\n", "standard alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(text),
	} {
		key, err := ParseKey([]byte(form))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := key.Open(token.Token); err != nil || got.Reveal() != *token.Text {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
		if printed := fmt.Sprintf("%v %+v %#v %s %d", key, key, key, key, key); strings.Contains(printed, text[:8]) || strings.Contains(printed, "0x") {
			t.Errorf("a key prints as %s", printed)
		}
	}
	for _, wrong := range []string{"", "x", text[:43], text + "AAAA", text + " " + text, strings.Repeat("ab", 32)} {
		if _, err := ParseKey([]byte(wrong)); err == nil || (len(wrong) > 8 && strings.Contains(err.Error(), wrong[:8])) {
			t.Errorf("%q gives %v", wrong, err)
		}
	}
}

// FuzzOpenSecret checks that no token makes Open fail but with ErrSecret.
func FuzzOpenSecret(f *testing.F) {
	for _, token := range testTokens(f) {
		f.Add(token.Token)
	}
	key := testKey(f)
	f.Fuzz(func(t *testing.T, token string) {
		got, err := key.Open(token)
		if err != nil && (!errors.Is(err, ErrSecret) || !got.IsZero()) {
			t.Errorf("%q gives %v", token, err)
		}
	})
}
