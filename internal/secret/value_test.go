package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/secret"
)

const canary = "canary-hunter2"

// holders are the shapes a secret travels in.
func holders() map[string]any {
	value := secret.New(canary)
	type exported struct{ Password secret.Value }
	type hidden struct{ password secret.Value }
	return map[string]any{
		"value":             value,
		"pointer":           &value,
		"exported field":    exported{value},
		"unexported field":  hidden{value},
		"pointer to hidden": &hidden{value},
		"nested hidden":     struct{ inner hidden }{hidden{value}},
		"slice":             []secret.Value{value},
		"map":               map[string]secret.Value{"password": value},
		"any":               []any{value, &value},
	}
}

// spellings are the ways in which the canary could show in printed text.
func spellings() []string {
	return []string{
		canary, fmt.Sprintf("%q", canary), fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary),
		strings.Trim(fmt.Sprintf("%d", []byte(canary)), "[]"), "hunter2",
	}
}

func TestValue_NeverPrints(t *testing.T) {
	t.Parallel()
	for name, holder := range holders() {
		var out strings.Builder
		for _, verb := range "vsqxXdUobcgeftTpw!" {
			for _, flags := range []string{"", "+", "#", " ", "-40", "040", ".3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", holder)
			}
		}
		fmt.Fprintln(&out, holder)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", holder))
		for _, log := range []*slog.Logger{
			slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil)),
		} {
			log.Info("logged", "holder", holder, slog.Group("group", "inner", holder))
		}
		if text, err := json.Marshal(holder); err == nil {
			out.Write(text)
		}
		if text, err := xml.Marshal(holder); err == nil {
			out.Write(text)
		}
		var binary bytes.Buffer
		if err := gob.NewEncoder(&binary).Encode(holder); err == nil {
			out.Write(binary.Bytes())
		}
		for _, spelling := range spellings() {
			if strings.Contains(out.String(), spelling) {
				t.Errorf("%s: printed as %q", name, spelling)
			}
		}
		if !strings.Contains(out.String(), "[redacted]") && !strings.Contains(name, "hidden") && !strings.Contains(name, "unexported") {
			t.Errorf("%s: no placeholder either: %s", name, out.String())
		}
	}
}

func TestValue_EveryVerbGivesThePlaceholder(t *testing.T) {
	t.Parallel()
	for _, verb := range "vsqxXdUobcgeft" {
		for _, flags := range []string{"", "+", "#", "20"} {
			if got := fmt.Sprintf("%"+flags+string(verb), secret.New(canary)); got != "[redacted]" {
				t.Errorf("%%%s%c: %s", flags, verb, got)
			}
		}
	}
}

func TestValue_Reveal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{canary, " ", "a\x00b", "\xff"} {
		value := secret.New(text)
		if value.Reveal() != text || value.IsZero() {
			t.Errorf("New(%q) reveals %q, zero %t", text, value.Reveal(), value.IsZero())
		}
		if !value.Equal(secret.New(text)) || value.Equal(secret.New(text+"x")) || value.Equal(secret.Value{}) {
			t.Errorf("Equal is wrong for %q", text)
		}
	}
	if zero := secret.New(""); !zero.IsZero() || zero.Reveal() != "" || !zero.Equal(secret.Value{}) {
		t.Error("New of nothing is not zero")
	}
}

func TestValue_Unmarshal(t *testing.T) {
	t.Parallel()
	var got struct {
		A secret.Value `json:"a"`
		B secret.Value `json:"b"`
		C secret.Value `json:"c"`
		D secret.Value `json:"d"`
	}
	got.B = secret.New("before")
	if err := json.Unmarshal([]byte(`{"a":"canary\n\u0416","b":null,"c":""}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.A.Reveal() != "canary\nЖ" || !got.B.IsZero() || !got.C.IsZero() || !got.D.IsZero() {
		t.Errorf("got %q %q %q %q", got.A.Reveal(), got.B.Reveal(), got.C.Reveal(), got.D.Reveal())
	}
	for _, bad := range []string{`123456789`, `{"canary":1}`, `["canary"]`, `true`, `"[redacted]"`} {
		var value secret.Value
		err := json.Unmarshal([]byte(bad), &value)
		if err == nil || !value.IsZero() {
			t.Errorf("%s: accepted", bad)
		} else if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "123456789") {
			t.Errorf("%s: echoed by %v", bad, err)
		}
	}
	var value secret.Value
	if err := value.UnmarshalText([]byte(canary)); err != nil || value.Reveal() != canary {
		t.Errorf("text: %q, %v", value.Reveal(), err)
	}
	if err := value.Decode("other"); err != nil || value.Reveal() != "other" {
		t.Errorf("decode: %q, %v", value.Reveal(), err)
	}
	text, err := value.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := value.UnmarshalText(text); err == nil {
		t.Error("a printed value came back as a secret")
	}
}

func TestValue_OmittedWhenZero(t *testing.T) {
	t.Parallel()
	type row struct {
		Password secret.Value `json:"password,omitzero"`
	}
	for want, held := range map[string]row{`{}`: {}, `{"password":"[redacted]"}`: {secret.New("x")}} {
		if got, err := json.Marshal(held); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestErrSealBroken_SaysWhatItMeans(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"moved", "host", "key", "set the secret again"} {
		if !strings.Contains(secret.ErrSealBroken.Error(), part) {
			t.Errorf("%q is missing from: %v", part, secret.ErrSealBroken)
		}
	}
	if !errors.Is(fmt.Errorf("row: %w", secret.ErrSealBroken), secret.ErrSealBroken) {
		t.Error("sentinel lost by wrapping")
	}
}
