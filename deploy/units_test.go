package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// directives returns the values of a unit's lines by their names, in order.
func directives(t *testing.T, unit string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for line := range strings.Lines(read(t, "deploy/systemd/"+unit)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found[name] = append(found[name], value)
		}
	}

	return found
}

// TestUnits_Settings: what a unit sets and hands over is what its program reads.
func TestUnits_Settings(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"collector", "api"} {
		lines := directives(t, "pgam-"+program+".service")
		if want := []string{"/usr/bin/pgam-" + program}; !slices.Equal(lines["ExecStart"], want) {
			t.Errorf("pgam-%s starts %q", program, lines["ExecStart"])
		}
		for _, assignment := range lines["Environment"] {
			name, value, _ := strings.Cut(assignment, "=")
			if name != "GOMEMLIMIT" && !setting(name, program) { // Go's own
				t.Errorf("pgam-%s sets %s, which it does not read", program, name)
			}
			if name == "PGAM_ENV_FILE" && !exists(t, strings.Replace(value, "/etc/pgam", "deploy/systemd", 1)) {
				t.Errorf("pgam-%s reads %s, which is not installed", program, value)
			}
		}
		var handed []string
		for _, credential := range lines["LoadCredential"] {
			name, path, _ := strings.Cut(credential, ":")
			handed = append(handed, path)
			// The keyring has a setting of its own that names its file.
			if name != "pgam_keyring" && !setting(strings.ToUpper(name)+"_FILE", program) {
				t.Errorf("pgam-%s is handed the credential %s, which it does not read", program, name)
			}
		}
		if !slices.Equal(handed, lines["ConditionPathExists"]) {
			t.Errorf("pgam-%s is handed %q, but asks for %q to be there", program, handed, lines["ConditionPathExists"])
		}
		if !slices.Contains(lines["Environment"], "PGAM_KEY_FILE=%d/pgam_keyring") {
			t.Errorf("pgam-%s does not find its keyring: %q", program, lines["Environment"])
		}
	}
}

// Memory is bounded, and garbage is collected before the bound is met.
func TestUnits_Memory(t *testing.T) {
	t.Parallel()
	compose, image := read(t, "docker-compose.yml"), read(t, "Dockerfile")
	for program, most := range map[string]int{"collector": 128, "api": 256} {
		lines := directives(t, "pgam-"+program+".service")
		var soft, hard int
		for _, assignment := range lines["Environment"] {
			_, _ = fmt.Sscanf(assignment, "GOMEMLIMIT=%dMiB", &soft)
		}
		if len(lines["MemoryMax"]) == 1 {
			_, _ = fmt.Sscanf(lines["MemoryMax"][0], "%dM", &hard)
		}
		if soft <= 0 || soft > most || hard <= soft {
			t.Errorf("pgam-%s has GOMEMLIMIT %d MiB of at most %d, and MemoryMax %d M", program, soft, most, hard)
		}
		if line := fmt.Sprintf("ENV GOMEMLIMIT=%dMiB\n", soft); program == "api" && !strings.Contains(image, line) {
			t.Errorf("the Dockerfile, whose image runs pgam-api, has not the same as its unit: %s", line)
		}
		name := strings.ToUpper(program)
		for _, line := range []string{fmt.Sprintf("GOMEMLIMIT: \"${PGAM_%s_GOMEMLIMIT:-%dMiB}\"", name, soft), fmt.Sprintf("mem_limit: \"${PGAM_%s_MEMORY:-%dm}\"", name, hard)} {
			if !strings.Contains(compose, line) {
				t.Errorf("docker-compose.yml has not the same as pgam-%s.service: %s", program, line)
			}
		}
	}
}

// systemdTool returns the path of one of systemd's programs, of version 250 or
// later; without it the test is skipped.
func systemdTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").Output()
	var version int
	if _, scanErr := fmt.Sscanf(string(out), "systemd %d", &version); err != nil || scanErr != nil || version < 250 {
		t.Skipf("%s is older than systemd 250: %.20q", name, out)
	}

	return path
}

// unitsToVerify copies the units, with a program in them that every machine has.
func unitsToVerify(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var paths []string
	for _, unit := range []string{"pgam-collector.service", "pgam-api.service", "pgam.target"} {
		content := read(t, "deploy/systemd/"+unit)
		for _, program := range []string{"/usr/bin/pgam-collector", "/usr/bin/pgam-api"} {
			content = strings.ReplaceAll(content, "ExecStart="+program+"\n", "ExecStart="+self+"\n")
		}
		path := filepath.Join(dir, unit)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}

	return paths
}

func TestUnits_Verify(t *testing.T) {
	t.Parallel()
	analyze := systemdTool(t, "systemd-analyze")
	units := unitsToVerify(t)
	verify := func(units []string) (string, error) {
		cmd := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
		out, err := cmd.CombinedOutput()

		return string(out), err
	}
	if out, err := verify(units); err != nil || out != "" {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, unit := range units[:2] {
		// At most 2.0 of 10: whatever is loosened shows.
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--no-pager", "--offline=true", "--threshold=20", unit).CombinedOutput()
		if err != nil {
			t.Errorf("security of %s: %v\n%s", filepath.Base(unit), err, out)
		}
	}
	// What is wrong is seen.
	if err := os.WriteFile(units[0], []byte("[Service]\nExecStart=/nowhere\nProtectSystme=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := verify(units[:1]); !strings.Contains(out, "ProtectSystme") || !strings.Contains(out, "/nowhere") {
		t.Errorf("a wrong unit is verified: %s", out)
	}
}

// TestUser: the user and the folders are made as the packages promise.
func TestUser(t *testing.T) {
	t.Parallel()
	sysusers := systemdTool(t, "systemd-sysusers")
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf, err := filepath.Abs("systemd/pgam.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), sysusers, "--root="+root, conf).CombinedOutput(); err != nil {
		t.Fatalf("sysusers: %v\n%s", err, out)
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc", "passwd"))
	if err != nil || !strings.Contains(string(passwd), "\npgam:") && !strings.HasPrefix(string(passwd), "pgam:") || !strings.Contains(string(passwd), ":/var/lib/pgam:/usr/sbin/nologin") {
		t.Errorf("%v: %s", err, passwd)
	}
}
