package importer_test

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/buckettest"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock/pyroblocktest"
)

// real are blocks that Pyroscope has written: two of ingesters, the one that its
// compactor made of them, and one more.
const (
	real       = "testdata/pyroscope"
	realTenant = "anonymous"
)

func importBlocks(t *testing.T, from objstore.BucketReader, to objstore.Bucket) (importer.BlockResult, []string) {
	t.Helper()
	var complaints bad
	res, err := importer.Blocks(t.Context(), from, to, importer.BlockOptions{MaxStackDepth: 4096, Log: complaints.logf})
	require.NoError(t, err)
	return res, complaints.files
}

// realSums is what the profiles that were pushed to Pyroscope come to: six of a
// CPU and five of a heap.
var realSums = map[string]int64{cpuType: 6 * 1_990_000_000, allocType: 5 * 4_591_428, inuseType: 5 * 8_434}

func requireReal(t *testing.T, bkt objstore.BucketReader) {
	t.Helper()
	for typeID, want := range realSums {
		require.Equal(t, want, sum(t, bkt, realTenant, typeID), typeID)
	}
	requireSound(t, bkt)
}

func TestBlocks(t *testing.T) {
	from, to := folder(t, real), objstore.NewInMemBucket()
	res, complaints := importBlocks(t, from, to)
	require.Empty(t, complaints)
	require.Equal(t, []int{4, 2, 2, 0, 0}, []int{res.Found, res.Imported, res.Marked, res.Before, res.Bad})
	requireReal(t, to)
	before := maps.Clone(to.Objects())

	res, _ = importBlocks(t, from, to)
	require.Equal(t, []int{0, 2}, []int{res.Imported, res.Before})
	require.Equal(t, before, to.Objects(), "what is done is not done again")

	// What the compactor has read holds the same profiles, as replicas do.
	for name := range from.Objects() {
		if path.Base(name) == "deletion-mark.json" {
			require.NoError(t, from.Delete(t.Context(), name))
		}
	}
	res, _ = importBlocks(t, from, to)
	require.Equal(t, []int{2, 2}, []int{res.Imported, res.Before})
	requireReal(t, to)
}

// TestBlocksInterrupted stops the import before, within and after each object
// that it writes, and begins anew.
func TestBlocksInterrupted(t *testing.T) {
	dir, at := t.TempDir(), longAgo.UnixMilli()
	cpu := labels.FromStrings("__profile_type__", cpuType, "service_name", "shop")
	id := ulid.MustParse("01ARZ3NDEKTSV4RRFFQ69G5FAV")
	pyroblocktest.Write(t, path.Join(dir, tenantID, "phlaredb", id.String()), id, 3, []pyroblocktest.Profile{
		{UUID: 1, Series: cpu, Millis: at, Samples: map[string]int64{"main;a": 10}},
		{UUID: 2, Series: cpu, Millis: at + 3600*1000, Samples: map[string]int64{"main;b": 20}},
	})
	from := folder(t, dir)
	buckettest.EveryCrash(t, func(t *testing.T, to *buckettest.Bucket) {
		var complaints bad
		o := importer.BlockOptions{MaxStackDepth: 4096, Log: complaints.logf}
		_, err := importer.Blocks(t.Context(), from, to, o)
		if to.Crashed() {
			require.True(t, err != nil || len(complaints.files) > 0)
			to.Restart()
			res, err := importer.Blocks(t.Context(), from, to, o)
			require.NoError(t, err)
			require.Zero(t, res.Bad)
		}
		require.EqualValues(t, 30, sum(t, to, tenantID, cpuType))
		requireSound(t, to)
		res, err := importer.Blocks(t.Context(), from, to, o)
		require.NoError(t, err)
		require.Equal(t, 1, res.Before)
	})
}

// TestBlocksThatAreBad damages each file of a block in turn.
func TestBlocksThatAreBad(t *testing.T) {
	whole := folder(t, real)
	var victim string
	for name := range whole.Objects() {
		if path.Base(name) == "index.tsdb" {
			if marked, _ := whole.Exists(t.Context(), path.Join(path.Dir(name), "deletion-mark.json")); !marked {
				victim = path.Dir(name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(whole.Objects())) {
		if !strings.HasPrefix(name, victim+"/") {
			continue
		}
		for _, damage := range []string{"cut", "changed", "removed"} {
			from, to := folder(t, real), objstore.NewInMemBucket()
			content := bytes.Clone(whole.Objects()[name])
			switch damage {
			case "cut":
				content = content[:len(content)/2]
			case "changed":
				content[len(content)/2] ^= 0x10
			}
			require.NoError(t, from.Delete(t.Context(), name))
			if damage != "removed" {
				require.NoError(t, from.Upload(t.Context(), name, bytes.NewReader(content)))
			}
			res, complaints := importBlocks(t, from, to)
			requireSound(t, to)
			if damage == "changed" && !strings.HasSuffix(name, ".symdb") || path.Base(name) == "meta.json" && damage == "removed" {
				continue // it has no checksum of all of it, or is not whole
			}
			require.Equal(t, []int{1, 1}, []int{res.Imported, res.Bad}, "%s %s", name, damage)
			require.Len(t, complaints, 1)
			require.Contains(t, complaints[0], path.Base(victim))
		}
	}
}

// TestReplicas imports what three ingesters have of the same profiles: not all
// have all, and one has something that no other has.
func TestReplicas(t *testing.T) {
	cpu := labels.FromStrings("__profile_type__", cpuType, "service_name", "shop", "pod", "1", "__session_id__", "x")
	alloc := labels.FromStrings("__profile_type__", allocType, "__service_name__", "shop", "service_name", "shop")
	at := longAgo.UnixMilli()
	all := []pyroblocktest.Profile{
		{UUID: 1, Series: cpu, Millis: at, Samples: map[string]int64{"main;a": 10, "main;b": 1}},
		{UUID: 2, Series: cpu, Millis: at + 1000, Samples: map[string]int64{"main;a": 20}},
		{UUID: 3, Series: cpu, Millis: at + 1000, Samples: map[string]int64{"main;a": 20}},
		{UUID: 4, Series: alloc, Millis: at, Samples: map[string]int64{"main;0x12": 5}},
		{UUID: 5, Series: alloc, Millis: at + 2*3600*1000, Samples: map[string]int64{"main;0x12": 6, "main": -3}},
	}
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	for i, part := range [][]pyroblocktest.Profile{all[:4], all[1:], {all[0], all[2], all[4]}} {
		id := ulid.MustNew(uint64(at), strings.NewReader(fmt.Sprintf("%010d", i)))
		pyroblocktest.Write(t, path.Join(dir, tenantID, "local", id.String()), id, pyroblocktest.Versions[i], part)
	}
	res, complaints := importBlocks(t, folder(t, dir), bkt)
	require.Equal(t, 3, res.Imported, "%v", complaints)
	require.Len(t, complaints, 2, "of the sample that is negative")
	require.EqualValues(t, 10+1+20+20, sum(t, bkt, tenantID, cpuType))
	require.EqualValues(t, 5+6, sum(t, bkt, tenantID, allocType), "differences are not taken a second time")
	requireSound(t, bkt)
}
