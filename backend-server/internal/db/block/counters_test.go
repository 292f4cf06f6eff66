package block_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/merge"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// sinceOf lists, for each row of an input, when what it says began.
func sinceOf(t *testing.T, in query.Queryable) map[uint64]map[string]uint32 {
	t.Helper()
	out := map[uint64]map[string]uint32{}
	series, err := in.Select(context.Background())
	require.NoError(t, err)
	for _, s := range series {
		req := query.ScanRequest{Partition: s.Partition, Rows: []uint32{s.Rows}, Range: always, TotalsOnly: true, Since: true}
		require.NoError(t, in.Scan(context.Background(), req, func(r *query.Row) error {
			if out[r.ID] == nil {
				out[r.ID] = map[string]uint32{}
			}
			out[r.ID][s.Labels.String()] = r.Since
			require.Equal(t, s.IsCounter(), r.Since > 0, "%s", s.Labels)
			return nil
		}))
	}
	return out
}

// Since when running totals grew by what a row says is known of a head, of the
// block that is made of it, and of one that is made of several.
func TestSinceWhenTotalsGrew(t *testing.T) {
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(5, 6)), Start: start, Length: (3 * time.Hour).Milliseconds()}
	h := head.New(ulid.ULID{1}, memoryLog{})
	last := map[string]profile.UnixMilli{}
	want := map[uint64]uint32{}
	for i := range 300 {
		rec := gen.Counter()
		if i%3 == 0 {
			rec = gen.Record()
		} else if before, ok := last[rec.Labels.String()]; !ok || before < rec.Time {
			last[rec.Labels.String()] = rec.Time
			want[head.Key(&rec)] = uint32(rec.Time - before)
		}
		require.Nil(t, h.Append(t.Context(), []*profile.Record{&rec}))
	}
	got := sinceOf(t, h)
	n := 0
	for id, bySeries := range got {
		for _, since := range bySeries {
			if since > 0 {
				require.Equal(t, want[id], since)
				n++
			}
		}
	}
	require.Greater(t, n, 100)

	b, err := block.OpenDir(store(t, h, block.Options{}))
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, got, sinceOf(t, b))
	requireReaches(t, b)

	in, err := merge.New(t.Context(), query.Origin{Source: ulid.ULID{9}}, []query.Queryable{b})
	require.NoError(t, err)
	merged, err := block.OpenDir(store(t, in, block.Options{}))
	require.NoError(t, err)
	defer merged.Close()
	require.Equal(t, got, sinceOf(t, merged))
	requireReaches(t, merged)
}

// requireReaches holds the reach that a block states of its digests to the rows.
func requireReaches(t *testing.T, b *block.Block) {
	t.Helper()
	series, err := b.Select(t.Context())
	require.NoError(t, err)
	found := 0
	for _, s := range series {
		stated, ok, err := b.Digests(t.Context(), s.Partition, []uint32{s.Rows})
		require.NoError(t, err)
		require.True(t, ok)
		for _, d := range stated {
			var want query.Reach
			req := query.ScanRequest{Partition: s.Partition, Rows: []uint32{s.Rows}, Range: query.WindowRange(d.Window), TotalsOnly: true, Since: true}
			require.NoError(t, b.Scan(t.Context(), req, func(r *query.Row) error {
				if s.IsCounter() {
					want.Merge(query.ReachOf(r.Time, r.Since))
					found++
				}
				return nil
			}))
			require.Equal(t, want, d.Reach, "%s", s.Labels)
		}
	}
	require.NotZero(t, found)
}

// A gap that is too long for what is stored is as if nobody knew it.
func TestTotalsFarApart(t *testing.T) {
	for gap, want := range map[int64]uint32{math.MaxUint32: math.MaxUint32, math.MaxUint32 + 1: 0} {
		h := head.New(ulid.ULID{1}, memoryLog{})
		require.Nil(t, h.Append(t.Context(), []*profile.Record{allocated(1, start, 7), allocated(2, start+profile.UnixMilli(gap), 9)}))
		series, err := h.Select(t.Context())
		require.NoError(t, err)
		require.Len(t, series, 1)
		var got []query.Row
		req := query.ScanRequest{Partition: series[0].Partition, Rows: []uint32{series[0].Rows}, Range: always, TotalsOnly: true, Since: true}
		require.NoError(t, h.Scan(t.Context(), req, func(r *query.Row) error { got = append(got, *r); return nil }))
		require.Len(t, got, 1)
		require.EqualValues(t, 2, got[0].Total)
		require.Equal(t, want, got[0].Since)
	}
}

// allocated is a profile of a running total.
func allocated(id uint64, at profile.UnixMilli, total int64) *profile.Record {
	p := &profile.Profile{
		Types: []profile.ValueType{{Type: "alloc_space", Unit: "bytes"}}, Strings: []string{"", "main"}, Mappings: make([]profile.Mapping, 1),
		Functions: []profile.Function{{Name: 1}}, Lines: []profile.Line{{}}, Locations: []profile.Location{{LineEnd: 1}},
		Frames: []uint32{0}, Samples: []profile.Sample{{FrameEnd: 1}}, Values: []int64{total}, LabelSets: make([][]profile.LabelPair, 1),
	}
	return &profile.Record{ID: id, Labels: labels.FromStrings(profile.LabelName, "memory", profile.LabelServiceName, "a"), Time: at, Profile: p, SampleEnd: 1}
}

// A block that lacks what it says to have is found out by those who ask for it, and
// by nobody else.
func TestSinceIsMissing(t *testing.T) {
	h := head.New(ulid.ULID{1}, memoryLog{})
	require.Nil(t, h.Append(t.Context(), []*profile.Record{allocated(1, start, 7), allocated(2, start+1000, 9)}))
	meta, data := contents(t, store(t, h, block.Options{}))
	meta.Sections = slices.DeleteFunc(meta.Sections, func(s block.Section) bool { return s.Name == "since" })
	b, err := block.Open(t.Context(), meta, memorySource(data))
	require.NoError(t, err)
	req := query.ScanRequest{Rows: []uint32{0}, Range: always}
	n := 0
	require.NoError(t, b.Scan(t.Context(), req, func(r *query.Row) error { n++; return nil }))
	require.Equal(t, 1, n)
	req.Since = true
	requireCorrupt(t, []error{b.Scan(t.Context(), req, func(*query.Row) error { return nil })})
}
