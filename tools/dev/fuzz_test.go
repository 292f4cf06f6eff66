package dev

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fuzzModule makes a module with two fuzz targets, one of which fails on its
// second seed, and goes there.
func fuzzModule(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	write("go.mod", "module example.org/fuzzed\n\ngo 1.24\n")
	write("good/good_test.go", "package good\n\nimport \"testing\"\n\nfunc FuzzGood(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(*testing.T, int) {})\n}\n")
	write("bad/bad_test.go", "package bad\n\nimport \"testing\"\n\nfunc FuzzBad(f *testing.F) {\n\tf.Add(uint8(1))\n\tf.Fuzz(func(t *testing.T, n uint8) {\n\t\tif n != 1 {\n\t\t\tt.Fatal(\"not one\")\n\t\t}\n\t})\n}\n")
	write("none/none.go", "package none\n")
}

func TestFuzzTargets(t *testing.T) {
	fuzzModule(t)
	got, err := fuzzTargets(t.Context(), []string{"./..."})
	require.NoError(t, err)
	var names []string
	for _, g := range got {
		names = append(names, g.pkg+" "+g.name)
	}
	require.Equal(t, []string{"example.org/fuzzed/bad FuzzBad", "example.org/fuzzed/good FuzzGood"}, names)
	_, err = fuzzTargets(t.Context(), []string{"./none"})
	require.ErrorContains(t, err, "no fuzz targets")
}

// What the fuzzer finds fails the run; a traceless one leaves the tree as it was.
func TestFuzzFinds(t *testing.T) {
	fuzzModule(t)
	err := fuzz(t.Context(), io.Discard, fuzzing{each: 2 * time.Second, traceless: true}, "./...")
	require.ErrorContains(t, err, "FuzzBad of example.org/fuzzed/bad")
	require.NotContains(t, err.Error(), "FuzzGood")
	found, err := filepath.Glob("bad/testdata/fuzz/FuzzBad/*")
	require.NoError(t, err)
	require.Empty(t, found)

	require.Error(t, fuzz(t.Context(), io.Discard, fuzzing{each: 20 * time.Second}, "./bad"))
	found, err = filepath.Glob("bad/testdata/fuzz/FuzzBad/*")
	require.NoError(t, err)
	require.Len(t, found, 1)
}
