package deploy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The parts of nfpm.yaml and .goreleaser.yaml that are looked at.
type (
	content struct {
		Src      string `yaml:"src"`
		Dst      string `yaml:"dst"`
		Type     string `yaml:"type"`
		Packager string `yaml:"packager"`
		FileInfo struct {
			Mode int `yaml:"mode"`
		} `yaml:"file_info"`
	}
	scripts struct {
		Postinstall string `yaml:"postinstall"`
		Preremove   string `yaml:"preremove"`
		Postremove  string `yaml:"postremove"`
	}
	identity struct {
		Section     string `yaml:"section"`
		Priority    string `yaml:"priority"`
		Maintainer  string `yaml:"maintainer"`
		Vendor      string `yaml:"vendor"`
		Homepage    string `yaml:"homepage"`
		License     string `yaml:"license"`
		Description string `yaml:"description"`
		Release     string `yaml:"release"`
		Deb         struct {
			Compression string `yaml:"compression"`
		} `yaml:"deb"`
		RPM struct {
			Group       string `yaml:"group"`
			Summary     string `yaml:"summary"`
			Compression string `yaml:"compression"`
		} `yaml:"rpm"`
	}
	relations struct {
		Depends      []string `yaml:"depends"`
		Dependencies []string `yaml:"dependencies"` // GoReleaser's name for the same
		Recommends   []string `yaml:"recommends"`
		Suggests     []string `yaml:"suggests"`
	}
	// recipe is what a package is made of.
	recipe struct {
		Identity  identity             `yaml:",inline"`
		Contents  []content            `yaml:"contents"`
		Scripts   scripts              `yaml:"scripts"`
		Overrides map[string]relations `yaml:"overrides"`
	}
	release struct {
		Builds []struct {
			ID     string `yaml:"id"`
			Main   string `yaml:"main"`
			Binary string `yaml:"binary"`
			Tags   []string
			Env    []string
		} `yaml:"builds"`
		Archives []struct {
			Files []any `yaml:"files"`
		} `yaml:"archives"`
		Packages []recipe `yaml:"nfpms"`
	}
)

// TestPackages_Agree: a release's packages are those that make packages builds,
// and are the ones that scripts/check-packages.sh installs.
func TestPackages_Agree(t *testing.T) {
	t.Parallel()
	local, released := readYAML[recipe](t, "deploy/package/nfpm.yaml"), readYAML[release](t, ".goreleaser.yaml")
	if len(released.Packages) != 1 {
		t.Fatalf("a release has %d packages", len(released.Packages))
	}
	remote := released.Packages[0]

	// GoReleaser adds the programs by itself, and lays out the rest elsewhere.
	var programs []string
	local.Contents = slices.DeleteFunc(local.Contents, func(c content) bool {
		if strings.HasPrefix(c.Src, "dist/stage/bin/") {
			programs = append(programs, strings.TrimPrefix(c.Dst, "/usr/bin/"))

			return true
		}

		return false
	})
	var built []string
	for _, build := range released.Builds {
		built = append(built, build.Binary)
		if !exists(t, build.Main) || !slices.Equal(build.Tags, []string{"nomsgpack"}) || !slices.Equal(build.Env, []string{"CGO_ENABLED=0"}) {
			t.Errorf("%s is built of %s, tags %q, env %q", build.Binary, build.Main, build.Tags, build.Env)
		}
	}
	if diff := cmp.Diff(programs, built); diff != "" {
		t.Errorf("programs (-make packages +release):\n%s", diff)
	}
	for i := range remote.Contents {
		remote.Contents[i].Src = strings.Replace(remote.Contents[i].Src, "dist-docs/", "dist/stage/", 1)
	}
	if diff := cmp.Diff(local.Contents, remote.Contents); diff != "" {
		t.Errorf("contents (-make packages +release):\n%s", diff)
	}
	if diff := cmp.Diff(local.Identity, remote.Identity); diff != "" {
		t.Errorf("identity (-make packages +release):\n%s", diff)
	}
	for packager, want := range local.Overrides {
		got := remote.Overrides[packager]
		want.Dependencies, want.Depends = want.Depends, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-make packages +release):\n%s", packager, diff)
		}
	}
	if diff := cmp.Diff(local.Scripts, remote.Scripts); diff != "" || !exists(t, local.Scripts.Postinstall) || !exists(t, local.Scripts.Preremove) || !exists(t, local.Scripts.Postremove) {
		t.Errorf("scripts (-make packages +release):\n%s", diff)
	}
}

// TestPackages_Contents: what goes into packages and archives is there, and
// every file of deploy/systemd is installed.
func TestPackages_Contents(t *testing.T) {
	t.Parallel()
	local, released := readYAML[recipe](t, "deploy/package/nfpm.yaml"), readYAML[release](t, ".goreleaser.yaml")
	installed := make(map[string]bool)
	for _, c := range local.Contents {
		if c.FileInfo.Mode == 0 {
			t.Errorf("%s has the mode of the clone", c.Dst)
		}
		if c.Src != "" && !strings.HasPrefix(c.Src, "dist/stage/") && !exists(t, c.Src) {
			t.Errorf("%s does not exist", c.Src)
		}
		installed[c.Src] = true
		if strings.HasPrefix(c.Dst, "/etc/") && c.Type != "config|noreplace" && c.Type != "dir" {
			t.Errorf("%s would be replaced by an upgrade", c.Dst)
		}
	}
	for _, name := range []string{"pgam-collector.service", "pgam-api.service", "pgam.target", "pgam.sysusers", "pgam.tmpfiles", "collector.env", "api.env"} {
		if !installed["deploy/systemd/"+name] {
			t.Errorf("deploy/systemd/%s is not installed", name)
		}
	}
	for _, file := range released.Archives[0].Files {
		if name, ok := file.(string); ok && !exists(t, name) {
			t.Errorf("%s goes into archives, and does not exist", name)
		}
	}
}
