package tests

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// history is profiles of some pods, each of another service, over some time in
// the past. No two have the
// same second, and no two the same value, so that points a second apart tell
// which profiles an answer counts, and how often.
type history struct {
	service string
	begin   time.Time
	span    time.Duration
	values  map[string]map[int64]int64 // by pod and time
	next    int
}

// historyPods is how many pods a history is of.
const historyPods = 3

func newHistory(service string, span time.Duration) *history {
	return &history{service: service, begin: time.Now().Add(-span - time.Hour).Truncate(time.Second), span: span, values: map[string]map[int64]int64{}}
}

// push sends n profiles, spread over all of the time, to each of some servers.
func (h *history) push(t *testing.T, n int, to ...*server) {
	t.Helper()
	for range n {
		// A step that has no factor in common with the seconds there are meets
		// each of them once.
		second := time.Duration(h.next*7919%int(h.span/time.Second)) * time.Second
		pod, at, value := fmt.Sprintf("pod-%d", h.next%historyPods), h.begin.Add(second), int64(1000+h.next)
		h.next++
		note(h.values, pod, at.UnixMilli(), value)
		for _, s := range to {
			require.NoError(t, push(t.Context(), s.pusher(), rawSeries(map[string]string{"service_name": h.service + "-" + pod, "pod": pod}, encode(t, at, value))))
		}
	}
}

// forget takes out the profiles of a pod from one time to another, both ends
// included.
func (h *history) forget(pod string, from, to time.Time) (n int) {
	before := len(h.values[pod])
	maps.DeleteFunc(h.values[pod], func(at, _ int64) bool { return at >= from.UnixMilli() && at <= to.UnixMilli() })
	n = before - len(h.values[pod])
	if len(h.values[pod]) == 0 {
		delete(h.values, pod)
	}
	return n
}

func (h *history) selector() string { return fmt.Sprintf(`{service_name=~"%s-.+"}`, h.service) }

func (h *history) end() time.Time { return h.begin.Add(h.span) }

// verify holds a server to what there is.
func (h *history) verify(t *testing.T, s *server, when string) {
	t.Helper()
	require.Equal(t, h.values, pointsEvery(t, s, h.selector(), "pod", h.begin, h.end(), time.Second), when)
	sum, _ := totals(h.values)
	res, err := s.querier().SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: h.selector(), Start: h.begin.UnixMilli(), End: h.end().UnixMilli(),
	}))
	require.NoError(t, err, when)
	require.Equal(t, sum, res.Msg.GetFlamegraph().GetTotal(), when)
}

// shelf is a bucket in a folder, looked at without a server.
type shelf struct {
	dir string
	bkt objstore.Bucket
}

func newShelf(t *testing.T, dir string) *shelf {
	t.Helper()
	bkt, err := filesystem.NewBucket(dir)
	require.NoError(t, err)
	return &shelf{dir, bkt}
}

// blocks returns the meta files of the blocks that count.
func (b *shelf) blocks(t *testing.T) []*block.Meta {
	t.Helper()
	ids, err := bucket.Blocks(t.Context(), b.bkt, tenant.Anonymous)
	require.NoError(t, err)
	set := catalog.NewSet()
	for _, id := range ids {
		if m := b.meta(t, id); m != nil {
			set.Add(m)
		}
	}
	return set.Counting()
}

// meta returns the meta file of a block, or nil.
func (b *shelf) meta(t *testing.T, id ulid.ULID) *block.Meta {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, tenant.Anonymous, "blocks", id.String(), block.MetaFile))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	m, err := block.ReadMeta(raw)
	require.NoError(t, err)
	return m
}

// rows is the number of rows of the blocks that count.
func (b *shelf) rows(t *testing.T) (n int64) {
	t.Helper()
	for _, m := range b.blocks(t) {
		n += m.Stats.Rows
	}
	return n
}

// tidy requires that there is nothing but blocks that count, their index, and
// the name that the bucket has been given.
func (b *shelf) tidy(t *testing.T) {
	t.Helper()
	want := map[string]bool{filepath.Join(tenant.Anonymous, "index.json.gz"): true, bucket.Marker: true}
	for _, m := range b.blocks(t) {
		dir := filepath.Join(tenant.Anonymous, "blocks", m.ID.String())
		want[filepath.Join(dir, block.MetaFile)] = true
		for _, f := range m.Files {
			want[filepath.Join(dir, f.Name)] = true
		}
	}
	require.Equal(t, want, files(t, b.dir))
}

// age makes everything in the bucket old enough to be taken for something that
// nobody goes on with.
func (b *shelf) age(t *testing.T) {
	t.Helper()
	long := time.Now().Add(-30 * 24 * time.Hour)
	for name := range files(t, b.dir) {
		require.NoError(t, os.Chtimes(filepath.Join(b.dir, name), long, long))
	}
}

// files lists the files below a folder, which need not exist.
func files(t *testing.T, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() {
			name, relErr := filepath.Rel(dir, path)
			require.NoError(t, relErr)
			out[name] = true
		}
		return err
	})
	require.NoError(t, err)
	return out
}
