package importer_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const tenantID = "team-a"

func limits() distributor.Limits {
	return distributor.Limits{
		MaxLabelNameLength: 1024, MaxLabelValueLength: 2048, MaxLabelNames: 30, MaxProfileSize: config.Bytes(64 << 20),
		MaxStackDepth: 4096, MaxSampleLabelSets: 100, RejectOlderThan: time.Hour, RejectNewerThan: time.Minute,
	}
}

// bad notes what an import complains of.
type bad struct{ files []string }

func (b *bad) note(file string, err error) {
	b.files = append(b.files, filepath.Base(file)+": "+err.Error())
}
func (b *bad) logf(format string, args ...any) {
	b.files = append(b.files, fmt.Sprintf(format, args...))
}

// folder copies a folder of the tree into a bucket, so that a test can change it.
func folder(t *testing.T, root string) *objstore.InMemBucket {
	t.Helper()
	bkt := objstore.NewInMemBucket()
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		return bkt.Upload(t.Context(), path.Clean(name), bytes.NewReader(raw))
	}))
	return bkt
}

// sum is what all profiles of a type in a bucket come to, each counted once.
func sum(t *testing.T, bkt objstore.BucketReader, tenant, typeID string) int64 {
	t.Helper()
	typ, err := profile.ParseType(typeID)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, blocktool.ExportMerged(t.Context(), blocktool.Bucket{BucketReader: bkt}, blocktool.Selection{Tenant: tenant, Range: blocktool.AllTimes}, typ, &out))
	p, err := google.Parse(&out)
	require.NoError(t, err)
	n := int64(0)
	for _, s := range p.Sample {
		n += s.Value[0]
	}
	return n
}

// requireSound verifies all blocks of a bucket.
func requireSound(t *testing.T, bkt objstore.BucketReader) {
	t.Helper()
	place := blocktool.Bucket{BucketReader: bkt}
	blocks, err := blocktool.Find(t.Context(), place, "", nil)
	require.NoError(t, err)
	for _, b := range blocks {
		v, err := blocktool.Verify(t.Context(), place, b, nil)
		require.NoError(t, err)
		require.Empty(t, v.Problems, b.String())
	}
}

// write writes a profile into a file.
func write(t *testing.T, p *google.Profile, name string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	f, err := os.Create(name)
	require.NoError(t, err)
	require.NoError(t, p.Write(f))
	require.NoError(t, f.Close())
}

func importFolder(ctx context.Context, bkt objstore.Bucket, dir string, complaints *bad, change func(*importer.ProfileOptions)) (importer.ProfileResult, error) {
	o := importer.ProfileOptions{Tenant: tenantID, Limits: limits(), MaxMemory: 64 << 20, Bad: complaints.note}
	if change != nil {
		change(&o)
	}
	return importer.Profiles(ctx, bkt, o, dir)
}
