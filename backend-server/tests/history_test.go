package tests

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/tests/stores"
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

// newHistory returns one of yesterday, which is over whenever the test runs.
func newHistory(service string, span time.Duration) *history {
	begin := time.Now().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	return &history{service: service, begin: begin, span: span, values: map[string]map[int64]int64{}}
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

// shelf is a bucket, looked at without a server.
type shelf struct {
	dir   string // where it is; "" of one that is no folder
	flags []string
	bkt   objstore.Bucket
}

// newShelf returns an empty bucket in a folder.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir := t.TempDir()
	bkt, err := filesystem.NewBucket(dir)
	require.NoError(t, err)
	return &shelf{dir, []string{"-storage.filesystem.dir=" + dir}, bkt}
}

// storeShelf returns the bucket of a store.
func storeShelf(t *testing.T, s stores.Store) *shelf {
	t.Helper()
	bkt, err := bucket.Open(s.Config, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return &shelf{"", s.Flags, bkt}
}

// blocks returns the meta files of the blocks that count and of which something
// is left.
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
	return slices.DeleteFunc(set.Counting(), func(m *block.Meta) bool {
		mark, err := catalog.ReadMark(t.Context(), b.bkt, tenant.Anonymous, m.ID)
		return err == nil && mark.Gone
	})
}

// meta returns the meta file of a block, or nil.
func (b *shelf) meta(t *testing.T, id ulid.ULID) *block.Meta {
	t.Helper()
	raw, err := bucket.Meta(t.Context(), b.bkt, tenant.Anonymous, id)
	if fault.Is(err, fault.NotFound) {
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

// list tells of the blocks, for people.
func (b *shelf) list(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, m := range b.blocks(t) {
		fmt.Fprintf(&out, "\n%s from %s: %d rows, %+v", m.ID, time.UnixMilli(int64(m.MinTime)).UTC(), m.Stats.Rows, m.Compaction)
	}
	return out.String()
}

// tidy requires that there is nothing but blocks that count, their index, and
// the name that the bucket has been given.
func (b *shelf) tidy(t *testing.T) {
	t.Helper()
	if b.dir == "" {
		return
	}
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
// nobody goes on with. It does so in a folder only, and so does tidy.
func (b *shelf) age(t *testing.T) {
	t.Helper()
	if b.dir == "" {
		return
	}
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

// everywhere holds a server to what there is in every kind of answer.
func (h *history) everywhere(t *testing.T, s *server, when string) {
	t.Helper()
	h.verify(t, s, when)
	ctx, from, to := t.Context(), h.begin.UnixMilli(), h.end().UnixMilli()
	pods, sum := slices.Sorted(maps.Keys(h.values)), int64(0)
	for _, m := range h.values {
		for _, v := range m {
			sum += v
		}
	}
	values, err := s.querier().LabelValues(ctx, connect.NewRequest(&typesv1.LabelValuesRequest{Name: "pod", Matchers: []string{h.selector()}, Start: from, End: to}))
	require.NoError(t, err, when)
	require.Equal(t, pods, values.Msg.Names, when)
	series, err := s.querier().Series(ctx, connect.NewRequest(&querierv1.SeriesRequest{Matchers: []string{h.selector()}, LabelNames: []string{"pod"}, Start: from, End: to}))
	require.NoError(t, err, when)
	require.Len(t, series.Msg.LabelsSet, len(pods), when)
	merged, err := s.querier().SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: cpuType, LabelSelector: h.selector(), Start: from, End: to}))
	require.NoError(t, err, when)
	total := int64(0)
	for _, sample := range merged.Msg.Sample {
		total += sample.Value[0]
	}
	require.Equal(t, sum, total, when)
	side := &querierv1.SelectMergeStacktracesRequest{ProfileTypeID: cpuType, LabelSelector: h.selector(), Start: from, End: to}
	diff, err := s.querier().Diff(ctx, connect.NewRequest(&querierv1.DiffRequest{Left: side, Right: side}))
	require.NoError(t, err, when)
	require.Equal(t, 2*sum, diff.Msg.GetFlamegraph().GetTotal(), when)
}
