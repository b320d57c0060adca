package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// library is a package of npm, of which some files are kept.
type library struct {
	name, version string
	sha512        string // of the package, as npm's registry and lock files have it
	keep          string // files beside package.json and LICENSE, as a regular expression
}

// served are those that the console is made with.
func served() []library {
	return []library{
		{
			"preact", "11.2.0", "/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
			`(hooks/|jsx-runtime/|)(dist/[a-zA-Z]*\.mjs|src/[a-z]*\.d\.ts|package\.json)`,
		},
		{
			"@preact/signals", "2.11.4", "Rb+5RPo9gWSaHtzJeauhHxiC8KP/IF2DEPkHPEOGOnuy2wnJzRqyeLRankUCYd6ADqtxS6GnWGv6Ie343d8aYw==",
			`dist/signals\.(module\.js|mjs|d\.ts)`,
		},
		{
			"@preact/signals-core", "1.14.5", "vcRv7Ityz5JVmeiVqIluLFzT/PDS/AlhHUpw3/aUWqcVUs6bDGIPXE/6RSC4evBNWYvnniozg5Syfj33al3gkg==",
			`dist/signals-core\.(module\.js|mjs|d\.ts)`,
		},
		{
			"uplot", "1.6.32", "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
			`dist/uPlot\.(esm\.js|d\.ts|min\.css)`,
		},
	}
}

// tested are those that look at it in tests, and are never served.
func tested() []library {
	return []library{{
		"axe-core", "4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
		`axe\.min\.js|LICENSE-3RD-PARTY\.txt`,
	}}
}

// vendor fetches libraries into a folder, which it empties first.
func vendor(dir string, libraries []library) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty vendor: %w", err)
	}
	for _, l := range libraries {
		packed, err := l.fetch()
		if err == nil {
			err = l.unpack(packed, filepath.Join(dir, filepath.FromSlash(l.name)))
		}
		if err != nil {
			return fmt.Errorf("fetch %s %s: %w", l.name, l.version, err)
		}
	}
	return nil
}

// fetch gives the package, if it is the right one.
func (l *library) fetch() ([]byte, error) {
	dir, err := os.MkdirTemp("", "pgam-console-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.Command("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, l.name+"@"+l.version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("npm pack left %q", found)
	}
	packed, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	if sum := sha512.Sum512(packed); base64.StdEncoding.EncodeToString(sum[:]) != l.sha512 {
		return nil, errors.New("it has another checksum than the table's")
	}
	return packed, nil
}

func (l *library) unpack(packed []byte, dir string) error {
	keep, err := regexp.Compile("^(package.json|LICENSE|" + l.keep + ")$")
	if err != nil {
		return err
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(header.Name, "package/")
		if header.Typeflag != tar.TypeReg || !keep.MatchString(name) {
			continue
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		// What the line refers to is not kept.
		content = regexp.MustCompile(`(?m)^//# sourceMappingURL=.*\n?`).ReplaceAll(content, nil)
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), content); err != nil {
			return err
		}
	}
}
