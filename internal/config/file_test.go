package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	fileDSN = "PGAM_STATS_DSN=postgres://pgam@127.0.0.1/stats_db"
	fileKey = "PGAM_TOKEN_KEY=Zq3v8xN1kT7wPbR5yLm2Jd9HsGf4Ce6A"
)

// envFileOf writes a file of settings and returns the environment that names it.
func envFileOf(t *testing.T, content string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{envFile + "=" + path, fileDSN, fileKey}
}

func TestLoad_EnvFile(t *testing.T) {
	t.Parallel()
	environ := envFileOf(t, "# comment\n; another\r\n\n PGAM_LISTEN = \"127.0.0.1:1\" \nPGAM_TOKEN_ISSUER='a # b'\nPGAM_LOG_LEVEL=debug\nPGAM_TOKEN_AUDIENCE=\n")
	got, err := LoadAPI(append(environ, "PGAM_LOG_LEVEL=error"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:1" || got.TokenIssuer != "a # b" || got.TokenAudience != "pgam-api" || got.LogLevel.Level().String() != "ERROR" {
		t.Errorf("%+v", got)
	}
	before, err := LoadAPI(environ)
	if err != nil {
		t.Fatal(err)
	}
	before.TokenKeyPrevious = got.TokenKey
	if diff := Changes(before, got); !slices.Equal(diff, []string{"PGAM_LOG_LEVEL", "PGAM_TOKEN_KEY_PREVIOUS"}) {
		t.Errorf("changes: %q", diff)
	}
	if diff := Changes(got, got); diff != nil {
		t.Errorf("changes of nothing: %q", diff)
	}
}

func TestLoad_EnvFileFaults(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"PGAM_LISTEN":                      "line 1: must be NAME=value",
		"\nHOME=canary":                    "line 2: only settings whose names begin with PGAM_",
		"export PGAM_LISTEN=canary:1":      "line 1: only settings",
		"PGAM_LISTEN=\"canary":             "a quote without its end",
		"PGAM_LISTEN='":                    "a quote without its end",
		"PGAM_LISTEN=:1\nPGAM_LISTEN=:2":   "line 2: PGAM_LISTEN stands in it twice",
		"PGAM_ENV_FILE=/x":                 "cannot name another",
		"PGAM_LISTEM=canary:1":             "did you mean PGAM_LISTEN?",
		"PGAM_LISTEN=canary":               "PGAM_LISTEN: must be host:port",
		"PGAM_LISTEN=\x00":                 "not a file of settings",
		"PGAM_STATS_DSN_FILE=/nowhere/dsn": "PGAM_STATS_DSN_FILE",
	} {
		_, err := LoadAPI(envFileOf(t, content))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q gives %v, want %q", content, err, want)
		}
	}
	for path, want := range map[string]string{"/nowhere/api.env": "no such file", "api.env": "absolute", "/": "regular"} {
		if _, err := LoadAPI([]string{envFile + "=" + path, fileDSN, fileKey}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", path, err, want)
		}
	}
}

// TestEnvironmentFile_IsInDeploy keeps the installed files in step with the code.
func TestEnvironmentFile_IsInDeploy(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"collector", "api"} {
		want := EnvironmentFile(program)
		path := filepath.Join("..", "..", "deploy", "systemd", program+".env")
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run go test ./internal/config -update", path)
		}
		// With the comments taken off, all of it is accepted.
		var open strings.Builder
		for line := range strings.Lines(want) {
			if strings.HasPrefix(line, "#PGAM_") && !strings.HasPrefix(line, "#PGAM_STATS_DSN") && !strings.HasPrefix(line, "#PGAM_TOKEN_KEY") {
				line = line[1:]
			}
			open.WriteString(line)
		}
		environ := envFileOf(t, open.String())
		if program == "api" {
			_, err = LoadAPI(environ)
		} else {
			_, err = LoadCollector(environ)
		}
		if err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"", "# x", "PGAM_A=b", ` PGAM_A = "b c" `, "PGAM_A='", "A=b", "PGAM_A"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		name, value, err := parseLine(line)
		if err != nil && (name != "" || value != "") {
			t.Errorf("%q gives %q, %q and %v", line, name, value, err)
		}
		if err == nil && name != "" && (!strings.HasPrefix(name, prefix) || !strings.Contains(line, value)) {
			t.Errorf("%q gives %q, %q", line, name, value)
		}
	})
}
