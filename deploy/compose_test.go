package deploy

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The parts of docker-compose.yml that are looked at.
type (
	composeFile struct {
		Services map[string]service `yaml:"services"`
		Networks map[string]any     `yaml:"networks"`
		Volumes  map[string]any     `yaml:"volumes"`
	}
	service struct {
		Image string `yaml:"image"`
		Build *struct {
			Args map[string]string `yaml:"args"`
		} `yaml:"build"`
		Command     []string          `yaml:"command"`
		Profiles    []string          `yaml:"profiles"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Networks    []string          `yaml:"networks"`
		Ports       []string          `yaml:"ports"`
		Restart     string            `yaml:"restart"`
		DependsOn   map[string]struct {
			Condition string `yaml:"condition"`
		} `yaml:"depends_on"`
		Healthcheck struct {
			Disable bool     `yaml:"disable"`
			Test    []string `yaml:"test"`
		} `yaml:"healthcheck"`
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		CapAdd      []string `yaml:"cap_add"`
		SecurityOpt []string `yaml:"security_opt"`
		PidsLimit   int      `yaml:"pids_limit"`
		Privileged  bool     `yaml:"privileged"`
	}
)

// mounts returns what a service sees, by the path where it sees it.
func (s service) mounts() map[string]string {
	seen := make(map[string]string)
	for _, volume := range s.Volumes {
		if parts := strings.Split(volume, ":"); len(parts) >= 2 {
			seen[parts[1]] = parts[0]
		}
	}

	return seen
}

// sees tells whether a path lies in one of the service's volumes.
func (s service) sees(file string) bool {
	mounts := s.mounts()
	for dir := file; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if mounts[dir] != "" {
			return true
		}
	}

	return false
}

// variable is one of Compose's own, with its default.
var variable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

func defaults(text string) string { return variable.ReplaceAllString(text, "$2") }

func TestCompose_Services(t *testing.T) {
	t.Parallel()
	file := readYAML[composeFile](t, "docker-compose.yml")
	if len(file.Services) < 8 {
		t.Fatalf("only %d services were read", len(file.Services))
	}
	used := make(map[string]bool)
	for name, s := range file.Services {
		if s.Image == "" {
			t.Errorf("%s has no image", name)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged || s.PidsLimit <= 0 || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not hardened: %+v", name, s)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(defaults(port), "127.0.0.1:") {
				t.Errorf("%s is published on %s", name, defaults(port))
			}
		}
		for _, network := range s.Networks {
			if _, known := file.Networks[network]; !known && network != "default" {
				t.Errorf("%s is in the network %s, which is not there", name, network)
			}
		}
		for _, source := range s.mounts() {
			_, known := file.Volumes[source]
			used[source] = true
			if !known && (!strings.HasPrefix(source, "./") || !exists(t, source)) {
				t.Errorf("%s mounts %s, which is not there", name, source)
			}
		}
		for _, volume := range s.Volumes {
			if strings.Contains(volume, "-secrets:") && strings.HasSuffix(volume, ":ro") == (name == "secrets") {
				t.Errorf("%s: only the service secrets may write secrets: %s", name, volume)
			}
		}
	}
	for volume := range file.Volumes {
		if !used[volume] {
			t.Errorf("nothing mounts the volume %s", volume)
		}
	}
}

// TestCompose_Order: what is waited for can happen, with the same profiles.
func TestCompose_Order(t *testing.T) {
	t.Parallel()
	services := readYAML[composeFile](t, "docker-compose.yml").Services
	waits := 0
	for name, s := range services {
		for needed, on := range s.DependsOn {
			waits++
			other, known := services[needed]
			if !known {
				t.Errorf("%s waits for %s, which is not there", name, needed)

				continue
			}
			for _, profile := range other.Profiles {
				if !slices.Contains(s.Profiles, profile) {
					t.Errorf("%s waits for %s, which needs the profile %s", name, needed, profile)
				}
			}
			switch on.Condition {
			case "service_healthy":
				if len(other.Healthcheck.Test) == 0 || other.Healthcheck.Disable {
					t.Errorf("%s waits for the health of %s, which is not asked for", name, needed)
				}
			case "service_completed_successfully":
				if other.Restart != "no" {
					t.Errorf("%s waits for the end of %s, which is started again (%q)", name, needed, other.Restart)
				}
			default:
				t.Errorf("%s waits for %s to be %q", name, needed, on.Condition)
			}
		}
	}
	if waits < 8 {
		t.Errorf("only %d dependencies were read", waits)
	}
}

// TestCompose_Settings: programs know what they are given, and no secret is
// among it; files of secrets are mounted and are made.
func TestCompose_Settings(t *testing.T) {
	t.Parallel()
	made := read(t, "deploy/docker/secrets.sh")
	secrets := 0
	for name, s := range readYAML[composeFile](t, "docker-compose.yml").Services {
		program := map[string]string{"collector": "collector", "api": "api"}[name]
		for variable, value := range s.Environment {
			if strings.HasPrefix(variable, "PGAM_") && !setting(variable, program) {
				t.Errorf("%s sets %s, which is no setting of it", name, variable)
			}
			if regexp.MustCompile(`(PASSWORD|DSN|KEY)$`).MatchString(variable) {
				t.Errorf("%s: %s is a secret in the environment", name, variable)
			}
			if strings.HasPrefix(value, "/run/pgam/") && !s.sees(value) {
				t.Errorf("%s sets %s to %s, which it does not see", name, variable, value)
			}
		}
		for _, value := range slices.Concat(slices.Collect(maps.Values(s.Environment)), s.Command) {
			if secret, ok := strings.CutPrefix(value, "/run/pgam/"); ok {
				secrets++
				if !strings.Contains(made, " "+secret) {
					t.Errorf("%s needs %s, which secrets.sh does not make", name, value)
				}
			}
		}
	}
	if secrets < 8 {
		t.Errorf("only %d files of secrets were looked at", secrets)
	}
}

// TestCompose_Documented: what .env may hold is in docs/DOCKER.md, and only that.
func TestCompose_Documented(t *testing.T) {
	t.Parallel()
	documented := regexp.MustCompile("`([A-Z][A-Z_]+)`").FindAllStringSubmatch(section(t, "docs/DOCKER.md", "## Settings"), -1)
	var told []string
	for _, match := range documented {
		told = append(told, match[1])
	}
	var asked []string
	for _, match := range variable.FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		asked = append(asked, match[1])
	}
	slices.Sort(told)
	slices.Sort(asked)
	if told, asked := slices.Compact(told), slices.Compact(asked); !slices.Equal(told, asked) {
		t.Errorf("docs/DOCKER.md tells of\n%q, docker-compose.yml reads\n%q", told, asked)
	}
}

// section returns the text below a heading, to the next of its kind.
func section(t *testing.T, file, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, file), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", file, heading)
	}
	text, _, _ := strings.Cut(after, "\n## ")

	return text
}

// TestImage: what the Dockerfile copies is there, and is sent to the builder.
func TestImage(t *testing.T) {
	t.Parallel()
	dockerfile := read(t, "Dockerfile")
	ignore := strings.Split(strings.TrimSpace(read(t, ".dockerignore")), "\n")
	sent := func(name string) bool {
		for dir := name; dir != "."; dir = path.Dir(dir) {
			if slices.Contains(ignore, "!"+dir) {
				return true
			}
		}

		return false
	}
	copied := 0
	for _, match := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(dockerfile, -1) {
		for name := range strings.FieldsSeq(match[1]) {
			copied++
			if name != "." && (!exists(t, name) || !sent(name)) {
				t.Errorf("the Dockerfile copies %s: it is there: %v, it is sent: %v", name, exists(t, name), sent(name))
			}
		}
	}
	if copied < 5 {
		t.Errorf("only %d files were looked at", copied)
	}
	// What is compiled in is sent.
	for _, dir := range []string{"cmd", "internal", "migrations"} {
		if !sent(dir) {
			t.Errorf("%s is not sent to the builder", dir)
		}
	}
	for name, s := range readYAML[composeFile](t, "docker-compose.yml").Services {
		if s.Build == nil {
			continue
		}
		for arg := range s.Build.Args {
			if !regexp.MustCompile(`(?m)^ARG ` + arg + `=`).MatchString(dockerfile) {
				t.Errorf("%s builds with %s, which the Dockerfile does not take", name, arg)
			}
		}
		program := s.Command[0]
		if script, ok := strings.CutPrefix(program, "/usr/lib/pgam/"); ok && !strings.Contains(dockerfile, "deploy/docker/"+script) {
			t.Errorf("%s runs %s, which is not in the image", name, program)
		} else if !ok && !strings.Contains(dockerfile, "-o /out/"+program+" ") {
			t.Errorf("%s runs %s, which is not in the image", name, program)
		}
	}
}
