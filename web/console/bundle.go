package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle makes the files that are served below /ui/assets/, and index.html, from
// the sources in a folder. The names of the former hold a hash of their content.
func bundle(dir string) (map[string][]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	result := api.Build(api.BuildOptions{
		// Paths go into hashes: those from here are the same everywhere.
		AbsWorkingDir: abs, EntryPoints: []string{"src/main.tsx"}, Outdir: "out", EntryNames: "console-[hash]",
		NodePaths: []string{filepath.Join(abs, "vendor")}, TsconfigRaw: "{}",
		JSX: api.JSXAutomatic, JSXImportSource: "preact",
		Bundle: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, LogLevel: api.LogLevelSilent,
	})
	if len(result.Errors)+len(result.Warnings) > 0 {
		said := append(api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage}),
			api.FormatMessages(result.Warnings, api.FormatMessagesOptions{Kind: api.WarningMessage})...)
		return nil, errors.New(strings.Join(said, "\n"))
	}
	files, refer := make(map[string][]byte), []string{}
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		files[name] = f.Contents
		refer = append(refer, "{{"+strings.TrimPrefix(filepath.Ext(name), ".")+"}}", "/ui/assets/"+name)
	}
	index, err := os.ReadFile(filepath.Join(dir, "src", "index.html"))
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	files["index.html"] = []byte(strings.NewReplacer(refer...).Replace(string(index)))
	if files["licences.txt"], err = licences(filepath.Join(dir, "vendor")); err != nil {
		return nil, err
	}
	return files, nil
}

// licences joins the texts that must go along with the libraries.
func licences(dir string) ([]byte, error) {
	var all bytes.Buffer
	for _, l := range served() {
		text, err := os.ReadFile(filepath.Join(dir, l.name, "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("read licence: %w", err)
		}
		fmt.Fprintf(&all, "==> %s %s <==\n\n%s\n", l.name, l.version, bytes.TrimSpace(text))
	}
	return all.Bytes(), nil
}

func pack(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return content, nil
}
