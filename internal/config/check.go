package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pgam/pgam/internal/secret"
)

// minTokenKeyBytes is the least size of a key for HS256 (RFC 7518, 3.2).
const minTokenKeyBytes = 32

// check applies the limits in the tags of a field to its value. Its errors
// never hold the value.
func (f field) check() error {
	if err := f.checkLimits(); err != nil {
		return err
	}
	switch f.tags.Get("check") {
	case "path":
		if !filepath.IsAbs(f.value.String()) {
			return errors.New("must be an absolute path")
		}
	case "address":
		return checkAddress(f.value.String())
	case "origins":
		return checkEach(f.value, checkOrigin)
	case "proxies":
		return checkEach(f.value, checkNetwork)
	case "dsn":
		return checkDSN(reveal(f.value))
	case "tokenkey":
		return checkTokenKey(reveal(f.value))
	}
	return nil
}

func reveal(value reflect.Value) string {
	held, ok := reflect.TypeAssert[secret.Value](value)
	if !ok {
		return ""
	}
	return held.Reveal()
}

func checkEach(list reflect.Value, check func(string) error) error {
	for i := range list.Len() {
		if err := check(list.Index(i).String()); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}

// checkLimits compares numbers with min, max and step, and any value with
// oneof.
func (f field) checkLimits() error {
	if choices := f.tags.Get("oneof"); choices != "" && !f.isOneOf(strings.Split(choices, ",")) {
		return fmt.Errorf("must be %s", f.limits())
	}
	if f.tags.Get("min") == "" {
		return nil
	}
	value, least, most := f.value.Int(), f.limit("min"), f.limit("max")
	if value < least || value > most {
		return fmt.Errorf("must be %s", f.limits())
	}
	if f.tags.Get("step") != "" && value%f.limit("step") != 0 {
		return fmt.Errorf("must be %s", f.limits())
	}
	return nil
}

// limit reads a tag as a value of the field's own type.
func (f field) limit(tag string) int64 {
	limit := reflect.New(f.value.Type()).Elem()
	if err := convert(limit, f.tags.Get(tag)); err != nil {
		return 0 // A test sees to it that every limit can be read.
	}
	return limit.Int()
}

func (f field) isOneOf(choices []string) bool {
	return slices.ContainsFunc(choices, func(choice string) bool {
		allowed := reflect.New(f.value.Type()).Elem()
		return convert(allowed, choice) == nil && allowed.Equal(f.value)
	})
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("must be host:port")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(number, 10) != port {
		return errors.New("must be host:port with a port from 0 to 65535")
	}
	if strings.ContainsAny(host, " /@") {
		return errors.New("must be host:port with a plain host name or address")
	}
	return nil
}

func checkOrigin(origin string) error {
	if origin == "*" {
		return errors.New("must name each origin; * would let every web page in")
	}
	parsed, err := url.Parse(origin)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Hostname() == "" ||
		parsed.Scheme+"://"+parsed.Host != origin || strings.Contains(origin, "*") {
		return errors.New("must be http:// or https:// with a host and perhaps a port, and nothing after it")
	}
	return nil
}

func checkNetwork(network string) error {
	if _, err := netip.ParseAddr(network); err == nil {
		return nil
	}
	if _, err := netip.ParsePrefix(network); err != nil {
		return errors.New("must be an IP address or a network such as 10.0.0.0/8")
	}
	return nil
}

func checkTokenKey(key string) error {
	if len(key) < minTokenKeyBytes {
		return fmt.Errorf("must be at least %d random bytes", minTokenKeyBytes)
	}
	squeezed := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(key))
	for _, known := range []string{
		"defaultsecret", "secret", "changeme", "changethis", "replaceme", "yoursecret", "supersecret", "mysecret", "testsecret",
		"devsecret", "insecure", "password", "example", "django", "none", "null", "undefined",
	} {
		if strings.HasPrefix(squeezed, known) {
			return errors.New("is a default that anyone can guess")
		}
	}
	if repeats([]byte(key)) {
		return errors.New("repeats itself: it must be random")
	}
	return nil
}

// repeats reports whether key is one shorter piece over and over, or made of
// very few different bytes.
func repeats(key []byte) bool {
	seen := make(map[byte]bool)
	for _, char := range key {
		seen[char] = true
	}
	if len(seen) <= 4 {
		return true
	}
	// A text of period p equals itself moved by p.
	for period := 1; period <= len(key)/2; period++ {
		if bytes.Equal(key[period:], key[:len(key)-period]) {
			return true
		}
	}
	return false
}

// checkDSN accepts what libpq takes: a URL or keywords, with a database. The
// driver reads it again, and more strictly.
func checkDSN(dsn string) error {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return checkDSNURL(dsn)
	}
	if scheme, _, found := strings.Cut(dsn, "://"); found && !strings.ContainsAny(scheme, "= ") {
		return errors.New("must be a URL that begins with postgres://")
	}
	keywords, err := parseKeywords(dsn)
	if err != nil {
		return err
	}
	if keywords["dbname"] == "" && keywords["service"] == "" {
		return errors.New("names no database: add dbname=")
	}
	return nil
}

func checkDSNURL(dsn string) error {
	parsed, err := url.Parse(dsn)
	if err != nil {
		return errors.New("is not a valid URL: write special characters of the password as %XX")
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return errors.New("is not a valid URL: write special characters after the ? as %XX")
	}
	if strings.Trim(parsed.Path, "/") == "" && query.Get("dbname") == "" && query.Get("service") == "" {
		return errors.New("names no database: add /stats_db after the host")
	}
	if parsed.Fragment != "" || strings.HasSuffix(dsn, "#") {
		return errors.New("holds a bare #: write it as %23")
	}
	return nil
}

// parseKeywords reads keyword=value pairs as libpq does: values may be quoted
// with ', and \ takes the next byte as it is.
func parseKeywords(dsn string) (map[string]string, error) {
	fault := errors.New("must be a URL that begins with postgres://, or pairs such as host=127.0.0.1 dbname=stats_db")
	const spaces = " \t\n\r\f\v"
	keywords := make(map[string]string)
	for rest := strings.TrimLeft(dsn, spaces); rest != ""; rest = strings.TrimLeft(rest, spaces) {
		name, after, found := strings.Cut(rest, "=")
		name = strings.TrimRight(name, spaces)
		if !found || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return nil, fault
		}
		value, left, ok := cutValue(strings.TrimLeft(after, spaces), spaces)
		if !ok {
			return nil, errors.New("holds a quote without its end: write ' in a value as \\'")
		}
		keywords[name], rest = value, left
	}
	return keywords, nil
}

// cutValue takes one value off the front of text; ok is false where a quote is
// not closed.
func cutValue(text, spaces string) (value, rest string, ok bool) {
	var out strings.Builder
	quoted := strings.HasPrefix(text, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(text); i++ {
		switch char := text[i]; {
		case char == '\\' && i+1 < len(text):
			i++
			out.WriteByte(text[i])
		case quoted && char == '\'':
			return out.String(), text[i+1:], true
		case !quoted && strings.IndexByte(spaces, char) >= 0:
			return out.String(), text[i:], true
		default:
			out.WriteByte(char)
		}
	}
	return out.String(), "", !quoted
}
