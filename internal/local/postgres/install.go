package postgres

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// packager is a distribution's way to install packages.
type packager struct {
	tool    string
	install []string // arguments that install the server
	ids     []string // ID or ID_LIKE of os-release
}

// packagers lists the ways that are known, by family.
func packagers() []packager {
	return []packager{
		{"apt-get", []string{"install", "-y", "postgresql"}, []string{"debian", "ubuntu"}},
		{"dnf", []string{"install", "-y", "postgresql-server", "postgresql-contrib"}, []string{"fedora", "rhel", "centos"}},
		{"apk", []string{"add", "postgresql", "postgresql-contrib"}, []string{"alpine"}},
		{"pacman", []string{"-Sy", "--noconfirm", "postgresql"}, []string{"arch"}},
		{"zypper", []string{"--non-interactive", "install", "postgresql-server", "postgresql-contrib"}, []string{"suse", "opensuse", "sles"}},
	}
}

// InstallCommand returns the one command that installs PostgreSQL on this
// machine, for a message to the operator.
func InstallCommand() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql"
	}
	p, ok := choosePackager(readOSRelease("/etc/os-release"))
	if !ok {
		return "your package manager (the package is called postgresql or postgresql-server)"
	}

	return "sudo " + p.tool + " " + strings.Join(p.install, " ")
}

// Install installs the server programs from the distribution. It needs root,
// starts no server and makes no cluster. Where it may not, the error names the command
// for the operator; where it fails, the error holds what the package manager said.
func Install(ctx context.Context) error {
	p, ok := choosePackager(readOSRelease("/etc/os-release"))
	if !ok || runtime.GOOS != "linux" {
		return fmt.Errorf("cannot install PostgreSQL: unknown distribution: install it with %s", InstallCommand())
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot install PostgreSQL: that needs root: run: %s", InstallCommand())
	}
	commands := [][]string{p.install}
	if p.tool == "apt-get" {
		undo, err := preventDefaultCluster("/etc/postgresql-common/createcluster.d")
		if err != nil {
			return fmt.Errorf("install PostgreSQL: %w", err)
		}
		defer undo()
		commands = [][]string{{"update"}, p.install}
	}
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, p.tool, args...) //nolint:gosec // The commands are the constants above.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("install PostgreSQL: %s %s: %w: %s", p.tool, strings.Join(args, " "), err, LastLines(string(output)))
		}
	}

	return nil
}

// preventDefaultCluster keeps Debian's packages from making and starting a
// cluster of their own while they are installed. The function it returns takes
// that back.
func preventDefaultCluster(dir string) (undo func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // A folder of the system's configuration.
		return nil, fmt.Errorf("make folder: %w", err)
	}
	path := filepath.Join(dir, "pgam-no-main-cluster.conf")
	if err := os.WriteFile(path, []byte("create_main_cluster = false\n"), 0o644); err != nil { //nolint:gosec // Read by the package's scripts.
		return nil, fmt.Errorf("write file: %w", err)
	}

	return func() { _ = os.Remove(path) }, nil
}

// choosePackager returns the way to install for the names of a distribution.
func choosePackager(ids []string) (packager, bool) {
	for _, id := range ids {
		for _, p := range packagers() {
			for _, known := range p.ids {
				if id == known || strings.HasPrefix(id, known+"-") {
					return p, true
				}
			}
		}
	}

	return packager{}, false
}

// readOSRelease returns ID and then the words of ID_LIKE.
func readOSRelease(path string) []string {
	content, err := os.ReadFile(path) //nolint:gosec // A constant path, and test files.
	if err != nil {
		return nil
	}
	var id, like []string
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		words := strings.Fields(strings.Trim(value, `"'`))
		switch key {
		case "ID":
			id = words
		case "ID_LIKE":
			like = words
		}
	}

	return append(id, like...)
}
