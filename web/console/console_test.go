package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const root = "../.."

// What is committed is what the sources give: nobody has to trust a bundle.
func TestAssetsAreWhatTheSourcesGive(t *testing.T) {
	t.Parallel()
	want, err := bundle(filepath.Join(root, sources))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAssets(filepath.Join(root, assets))
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(want))
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(names, have) {
		t.Fatalf("%s holds %q, the sources give %q: run make console", assets, have, names)
	}
	for _, name := range names {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s is not what the sources give: run make console", name)
		}
	}
}

// The types are those of the API as it is documented.
func TestTypesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	want, err := typesOf(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, types))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what %s gives: run make console", types, document)
	}
}
