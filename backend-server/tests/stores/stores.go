package stores

import (
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
)

// Store is a running store with an empty bucket.
type Store struct {
	Name    string
	Address string        // host and port, "" of the filesystem
	Flags   []string      // with which the server uses it
	Config  bucket.Config // what the flags say
}

// BucketName is the name of the bucket or container that is there.
const BucketName = "hearth-blocks"

var starters = map[string]func(context.Context, testing.TB) Store{
	bucket.Filesystem: startFilesystem,
	bucket.S3:         startS3,
	bucket.GCS:        startGCS,
	bucket.Azure:      startAzure,
	bucket.Swift:      startSwift,
}

// chosen is the environment variable that says which stores run.
const chosen = "HEARTH_TEST_STORES"

// Each runs a test on every store that is chosen.
func Each(t *testing.T, run func(t *testing.T, s Store)) {
	t.Helper()
	for _, name := range []string{bucket.Filesystem, bucket.S3, bucket.GCS, bucket.Azure, bucket.Swift} {
		t.Run(name, func(t *testing.T) {
			if !wanted(name) {
				t.Skipf("%s does not name it", chosen)
			}
			run(t, Start(t, name))
		})
	}
}

func wanted(name string) bool {
	list := os.Getenv(chosen)
	if list == "" {
		return name == bucket.Filesystem || name == bucket.S3
	}
	return list == "all" || slices.Contains(strings.Split(list, ","), name)
}

// patience is the time there is to get a store.
const patience = 15 * time.Minute

// Start runs a store for the time of the test. Where it cannot be had it skips
// the test if nobody asked for the store, and fails it otherwise.
func Start(t testing.TB, name string) Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := starters[name]
	require.NotNil(t, start, "no store is called %q", name)
	s := start(ctx, t)
	s.Name = name
	s.Flags = append(s.Flags, "-storage.backend="+name)
	s.Config = parse(t, s.Flags)
	return s
}

// parse returns what flags of the object store say.
func parse(t testing.TB, flags []string) bucket.Config {
	t.Helper()
	var cfg bucket.Config
	set := flag.NewFlagSet("", flag.ContinueOnError)
	cfg.RegisterFlags(set)
	require.NoError(t, set.Parse(flags))
	return cfg
}

// With returns the settings with some flags changed.
func (s Store) With(t testing.TB, flags ...string) bucket.Config {
	t.Helper()
	return parse(t, append(slices.Clone(s.Flags), flags...))
}

func startFilesystem(_ context.Context, t testing.TB) Store {
	return Store{Flags: []string{"-storage.filesystem.dir=" + t.TempDir()}}
}
