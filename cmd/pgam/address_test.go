package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func TestParseServerURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]target.Endpoint{
		"postgres://u@h":                                  {Host: "h", User: "u"},
		"postgresql://u:p@h:5433/d":                       {Host: "h", Port: 5433, User: "u", Database: "d", Password: secret.New("p")},
		"postgres://u:a%40b%2Fc%25@h/d?sslmode=require":   {Host: "h", User: "u", Database: "d", TLS: "require", Password: secret.New("a@b/c%")},
		"postgres://u:p@[2001:db8::1]:5432/d":             {Host: "2001:db8::1", Port: 5432, User: "u", Database: "d", Password: secret.New("p")},
		"postgres:///d?host=/var/run/postgresql&user=u":   {Host: "/var/run/postgresql", User: "u", Database: "d"},
		"postgres://h/?user=u&password=a+b%20c&dbname=x":  {Host: "h", User: "u", Database: "x", Password: secret.New("a+b c")},
		"postgres://u@h:1/d?application_name=x&port=6432": {Host: "h", Port: 6432, User: "u", Database: "d"},
		"postgres://%D1%8E@h/%D0%B1%D0%B4":                {Host: "h", User: "ю", Database: "бд"},
	} {
		got, err := parseServerURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(), cmp.Comparer(secret.Value.Equal)); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestParseServerURL_bad(t *testing.T) {
	t.Parallel()
	for text, word := range map[string]string{
		"":                                    "must be a URL",
		"postgres://u:canary@%2Frun/d":        "?host=/folder",
		"host=h user=u password=canary":       "must be a URL",
		"https://u:canary@h/d":                "must be a URL",
		"postgres://u:can%ary@h/d":            "%XX",
		"postgres://u:canary/@h/d":            "",
		"postgres://u:canary@h:port/d":        "%XX",
		"postgres://u:canary@h:0/d":           "1 to 65535",
		"postgres://u:canary@h:99999/d":       "1 to 65535",
		"postgres://u:canary@h1,h2/d":         "several hosts",
		"postgres://u:canary@/d":              "names no host",
		"postgres://h/d?password=canary":      "names no user",
		"postgres://u:canary@h/d?sslcert=x":   "sslcert",
		"postgres://u:canary@h/d?port=x":      "1 to 65535",
		"postgres://u@h/d?password=canary%zz": "%XX",
	} {
		_, err := parseServerURL(text)
		if err == nil {
			t.Errorf("%q is accepted", text)

			continue
		}
		if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error is %q, want one line with %q and no password", text, err, word)
		}
	}
}

// FuzzParseServerURL proves that no address panics or shows its password.
func FuzzParseServerURL(f *testing.F) {
	for _, text := range []string{"postgres://u:p@h:1/d?sslmode=x", "postgres:///d?host=/x&user=u", "postgres://[::1]:5/", "postgres://u:%41@h"} {
		f.Add(text, "secret-word")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		e, err := parseServerURL(text)
		if err == nil && (e.Host == "" || e.User == "" || e.Port < 0 || e.Port > 65535) {
			t.Errorf("%q gives %+v", text, e)
		}
		if len(password) < 8 {
			return
		}
		// The password stands where a password does, in whatever form.
		if _, err := parseServerURL("postgres://u:" + password + "@h/d"); err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("the error shows the password: %v", err)
		}
	})
}
