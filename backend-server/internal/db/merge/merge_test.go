package merge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/merge"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const (
	start = profile.UnixMilli(1_700_000_000_000)
	hour  = 3_600_000
)

var always = profile.TimeRange{Start: 0, End: 2 * start}

// some returns units that hold random records, each once, and their twin. Some
// are heads, some blocks.
func some(t *testing.T, seed uint64, records int) ([]query.Queryable, *dbtest.Twin) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	gen := &dbtest.Generator{Rng: rng, Start: start, Length: 3 * hour, Varied: true}
	twin := new(dbtest.Twin)
	databases := make([]*db.DB, 1+rng.IntN(5))
	for i := range databases {
		var err error
		databases[i], err = db.Open(t.Context(), "data", db.Options{FS: vfs.NewMem()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, databases[i].Close()) })
	}
	for range records {
		rec := gen.Record()
		d := databases[rng.IntN(len(databases))]
		require.Nil(t, d.Append(t.Context(), []profile.Record{rec}))
		twin.Add(rec)
		if rng.IntN(20) == 0 {
			require.NoError(t, d.Flush(t.Context()))
		}
	}
	var units []query.Queryable
	for _, d := range databases {
		v := d.View(always)
		t.Cleanup(v.Release)
		units = append(units, v.Units...)
	}
	rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	return units, twin
}

// write makes blocks of units, and opens them.
func write(t *testing.T, units []query.Queryable, shards int, forget func()) (out []query.Queryable) {
	t.Helper()
	in, err := merge.New(t.Context(), query.Origin{Source: ulid.Make()}, units)
	require.NoError(t, err)
	if forget != nil {
		in.Forget(forget)
	}
	services := 0
	for i := range shards {
		dir := filepath.Join(t.TempDir(), "block")
		shard := in.Shard(i, shards)
		for _, s := range shard.Partitions() {
			require.Equal(t, i, merge.ShardOf(s, shards))
			services++
		}
		m, err := block.Write(t.Context(), vfs.OS{}, dir, ulid.Make(), shard, in.TimeRange())
		require.NoError(t, err)
		if m == nil {
			require.Empty(t, shard.Partitions())
			continue
		}
		b, err := block.OpenDir(dir)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		out = append(out, b)
	}
	require.Len(t, in.Partitions(), services, "each service is in one shard")
	return out
}

// What is merged answers as what it was merged of.
func TestMerge(t *testing.T) {
	for seed := range uint64(12) {
		units, twin := some(t, seed, 120)
		blocks := write(t, units, 1+int(seed%3), nil)
		for _, typ := range dbtest.Types[:4] {
			for _, change := range []func(*query.Selection){
				func(*query.Selection) {},
				func(s *query.Selection) { s.Range = profile.TimeRange{Start: start + hour/2, End: start + 2*hour} },
				func(s *query.Selection) { s.Spans = dbtest.Spans },
				func(s *query.Selection) {
					s.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "pod", "pod-1")}
				},
			} {
				sel := query.Selection{Type: typ, Range: always}
				change(&sel)
				tree, err := query.Tree(t.Context(), blocks, sel)
				require.NoError(t, err)
				require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree), "seed %d: %+v", seed, sel)
				prof, err := query.Profile(t.Context(), blocks, sel)
				require.NoError(t, err)
				require.Equal(t, twin.Profile(sel), dbtest.FlattenProfile(prof), "seed %d: %+v", seed, sel)
			}
		}
		sets := map[string]bool{}
		for _, b := range blocks {
			series, err := b.Select(t.Context())
			require.NoError(t, err)
			for _, s := range series {
				sets[s.Labels.String()] = true
			}
		}
		_, must := twin.LabelSets(nil)
		require.Equal(t, must, sets, "seed %d", seed)
	}
}

// fake is a unit of one service with a stack trace that it has twice, and two
// row series of the same labels.
type fake struct {
	symbols symbols.Table
	rows    []query.Row
}

func (f *fake) Origin() query.Origin         { return query.Origin{ID: ulid.ULID{1}} }
func (f *fake) TimeRange() profile.TimeRange { return always }

func (f *fake) Select(context.Context, ...*labels.Matcher) ([]query.Series, error) {
	typ := dbtest.Types[0]
	ls := profile.TypeLabels(labels.FromStrings(profile.LabelName, typ.Name, profile.LabelServiceName, "a"),
		profile.ValueType{Type: typ.SampleType, Unit: typ.SampleUnit}, profile.ValueType{Type: typ.PeriodType, Unit: typ.PeriodUnit})
	return []query.Series{{Labels: ls, Rows: 0}, {Labels: ls, Rows: 1}}, nil
}

func (f *fake) Symbols(context.Context, uint32) (*symbols.Table, error) { return &f.symbols, nil }

func (f *fake) Scan(_ context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	var r query.Row
	for i := range f.rows {
		if r = f.rows[i]; slices.Contains(req.Rows, r.Rows) {
			if req.TotalsOnly {
				r.Stacks, r.Values, r.Spans = nil, nil, nil
			}
			if err := fn(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// twice has the stack trace "main" as stacks 0 and 1, "other" as stack 2.
func twice() symbols.Table {
	return symbols.Table{
		Strings: []string{"", "main", "other"}, Mappings: make([]profile.Mapping, 1),
		Functions: []profile.Function{{Name: 1}, {Name: 2}},
		Lines:     []profile.Line{{Function: 0}, {Function: 1}},
		Locations: []profile.Location{{LineStart: 0, LineEnd: 1}, {LineStart: 1, LineEnd: 2}},
		Nodes:     []symbols.Node{{}, {Location: 0}, {Location: 0}, {Location: 1}},
		Stacks:    []uint32{1, 2, 3},
	}
}

func TestEqualStacksAndEqualSeries(t *testing.T) {
	f := &fake{symbols: twice(), rows: []query.Row{
		{Rows: 0, Time: start, ID: 1, Total: 111, Unit: 1, N: 3, Stacks: []uint32{0, 1, 2}, Values: []int64{1, 10, 100}},
		{Rows: 1, Time: start + 1, ID: 2, Total: 1000, Unit: 1, N: 1, Stacks: []uint32{1}, Values: []int64{1000}, Spans: []query.SpanSample{{Stack: 1, SpanID: 7, Value: 600}}},
	}}
	blocks := write(t, []query.Queryable{f, &fake{symbols: twice()}}, 1, nil)
	sel := query.Selection{Type: dbtest.Types[0], Range: always}
	tree, err := query.Tree(t.Context(), blocks, sel)
	require.NoError(t, err)
	require.Equal(t, dbtest.Stacks{"main": 1011, "other": 100}, dbtest.FlattenTree(tree))
	sel.Spans = []uint64{7}
	tree, err = query.Tree(t.Context(), blocks, sel)
	require.NoError(t, err)
	require.Equal(t, dbtest.Stacks{"main": 600}, dbtest.FlattenTree(tree))
	series, err := blocks[0].Select(t.Context())
	require.NoError(t, err)
	require.Len(t, series, 1, "one series of its labels")

	f.rows[0].Stacks[2] = 3
	in, err := merge.New(t.Context(), query.Origin{}, []query.Queryable{f})
	require.NoError(t, err)
	err = in.Scan(t.Context(), query.ScanRequest{Rows: []uint32{0}, Range: always}, func(*query.Row) error { return nil })
	require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
	require.ErrorContains(t, err, "stack 3 of 3")
	err = in.Scan(t.Context(), query.ScanRequest{Partition: 1}, nil)
	require.True(t, fault.Is(err, fault.Invalid), "%v", err)
}

// long is a fake of many rows.
func long(rows int) *fake {
	f := &fake{symbols: twice()}
	for i := range rows {
		f.rows = append(f.rows, query.Row{Time: start + profile.UnixMilli(i), ID: uint64(i), Total: 3, Unit: 1, N: 2, Stacks: []uint32{0, 2}, Values: []int64{1, 2}})
	}
	return f
}

// Rows are passed on one by one: their number costs no memory.
func TestMemoryDoesNotGrowWithRows(t *testing.T) {
	allocations := func(rows int) float64 {
		in, err := merge.New(t.Context(), query.Origin{}, []query.Queryable{long(rows)})
		require.NoError(t, err)
		return testing.AllocsPerRun(5, func() {
			seen := 0
			require.NoError(t, in.Scan(t.Context(), query.ScanRequest{Rows: []uint32{0}, Range: always}, func(*query.Row) error { seen++; return nil }))
			require.Equal(t, rows, seen)
		})
	}
	few, many := allocations(10), allocations(10_000)
	require.Less(t, many-few, 100.0, "%f, %f", few, many)
}

// Units are told to forget what they may have decoded, between partitions.
func TestForget(t *testing.T) {
	var units []query.Queryable
	for i := range 3 {
		units = append(units, named{long(20_000), fmt.Sprint(i)})
	}
	forgot := 0
	in, err := merge.New(t.Context(), query.Origin{}, units)
	require.NoError(t, err)
	in.Forget(func() { forgot++ })
	for p := range uint32(3) {
		_, err := in.Symbols(t.Context(), p)
		require.NoError(t, err)
		for range 90 {
			require.NoError(t, in.Scan(t.Context(), query.ScanRequest{Partition: p, Rows: []uint32{0}, Range: always, TotalsOnly: true}, func(*query.Row) error { return nil }))
		}
	}
	require.Equal(t, 2, forgot, "once 64 MiB may be kept")
}

// named is a fake of another service.
type named struct {
	*fake
	service string
}

func (n named) Select(ctx context.Context, ms ...*labels.Matcher) ([]query.Series, error) {
	series, err := n.fake.Select(ctx, ms...)
	for i := range series {
		series[i].Labels = labels.NewBuilder(series[i].Labels).Set(profile.LabelServiceName, n.service).Labels()
	}
	return series, err
}
