package dev

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSoakKnowsAllSeeds finds the flags of seeds in the tests: each is on the
// list, for the package that has it.
func TestSoakKnowsAllSeeds(t *testing.T) {
	flags := regexp.MustCompile(`flag\.Uint64\("(\w+\.seed)"`)
	var found, listed []string
	require.NoError(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range flags.FindAllSubmatch(source, -1) {
			pkg, err := filepath.Rel(top, filepath.Dir(path))
			require.NoError(t, err)
			found = append(found, "./"+filepath.ToSlash(pkg)+" "+string(m[1]))
		}
		return nil
	}))
	for _, s := range soaked {
		listed = append(listed, s.pkg+" "+s.seed)
	}
	slices.Sort(found)
	slices.Sort(listed)
	require.Equal(t, found, listed)
}

func TestDurations(t *testing.T) {
	const name = "HEARTH_SOAK_TIME"
	t.Setenv(name, "")
	got, err := durationOf(name, time.Minute)
	require.NoError(t, err)
	require.Equal(t, time.Minute, got)
	t.Setenv(name, "90s")
	got, err = durationOf(name, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, got)
	for _, text := range []string{"long", "0s", "-1m"} {
		t.Setenv(name, text)
		_, err = durationOf(name, time.Minute)
		require.ErrorContains(t, err, "want a duration")
	}
}
