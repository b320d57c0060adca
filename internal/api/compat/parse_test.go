package compat

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"
)

func TestParseForm(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"password=a%2Bb":        "a+b",
		"password=a+b":          "a b",
		"password=100%":         "100%",
		"password=%zz%4":        "%zz%4",
		"password=a=b==":        "a=b==",
		"password=a;b":          "a;b",
		"password=%c3%A9é":      "éé",
		"x&password=1&":         "1",
		"password=1&password=2": "2",
		"password":              "",
		"password=x\r\n":        "x",
		"pass%77ord=y":          "y",
	} {
		got, ok := parseForm(body)["password"]
		if !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", body, got, ok, want)
		}
	}
}

// What a browser encodes comes out as it went in.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"", "a+b", "100%", "é&=;%00", "\xff"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, user, pass string) {
		form := parseForm(url.Values{"username": {user}, "password": {pass}}.Encode())
		if form["username"] != user || form["password"] != pass {
			t.Errorf("%q, %q became %q", user, pass, form)
		}
		_ = parseForm(user)
	})
}

func FuzzParseLogin(f *testing.F) {
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nu\r\n--x--"))
	f.Add("application/x-www-form-urlencoded", []byte("username=u&password=p"))
	f.Add("", []byte("%"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		form, err := parseLogin(contentType, body)
		if err != nil {
			return
		}
		for _, field := range []string{"username", "password"} {
			if _, ok := form[field]; !ok {
				t.Errorf("accepted without %s", field)
			}
		}
	})
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          noon.Add(time.Hour),
		" ":                         noon.Add(time.Hour),
		"2026-11-22T12:00:00.000Z":  noon,
		"2026-11-22T12:00:00":       noon,
		"2026-11-22T12:00":          noon,
		"2026-11-22 12:00:00":       noon,
		"2026-11-22T15:00:00+03:00": noon,
		"2026-11-22T15:00:00 03:00": noon,
		"2026-11-22 15:00:00 03:00": noon,
		"2026-11-22T09:00:00-03:00": noon,
		"2026-11-22":                noon.Add(-12 * time.Hour),
	} {
		if got, err := parseDate("start_date", text, noon.Add(time.Hour)); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"garbage", "2026-13-01", "1700000000", "0001-01-01", "9999-12-31", "2026-11-22T25:00:00Z"} {
		if got, err := parseDate("start_date", text, noon); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("2026-11-22T12:00:00Z")
	f.Add("2026-11-22 15:00 03:00")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseDate("start_date", text, time.Unix(0, 0))
		if err == nil && (got.Location() != time.UTC || got.Year() < 1969 || got.Year() > 2200) {
			t.Errorf("%q: %s", text, got)
		}
	})
}

func TestPort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]port{`5432`: 5432, `"5999"`: 5999, `-5`: -5} {
		var p port
		if err := json.Unmarshal([]byte(text), &p); err != nil || p != want {
			t.Errorf("%s: %d, %v", text, p, err)
		}
	}
	for _, text := range []string{`"x"`, `1.5`, `{}`, `true`, `99999999999`, `""`} {
		var p port
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s: %d", text, p)
		}
	}
}

func TestISOTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 3*3600)
	for want, at := range map[string]time.Time{
		"2026-11-22T12:00:00+00:00":        time.Date(2026, 11, 22, 15, 0, 0, 999, zone),
		"2026-11-22T12:00:00.500000+00:00": time.Date(2026, 11, 22, 12, 0, 0, 500_000_000, time.UTC),
	} {
		if got := isoTime(at); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
