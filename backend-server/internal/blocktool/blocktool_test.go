package blocktool_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	google "github.com/google/pprof/profile"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const start = profile.UnixMilli(1_700_000_000_000)

// database makes a database with two hours of profiles, flushed, and returns its
// folder of blocks and the sums by profile type.
func database(t *testing.T) (string, map[profile.Type]int64) {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), dir, db.Options{})
	require.NoError(t, err)
	g := &dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 2)), Start: start, Length: 2 * 3600 * 1000}
	var recs []profile.Record
	for range 300 {
		recs = append(recs, g.Record())
	}
	require.Nil(t, d.Append(t.Context(), recs))
	require.NoError(t, d.Flush(t.Context()))
	sums := map[profile.Type]int64{}
	view := d.View(blocktool.AllTimes)
	for _, typ := range dbtest.Types {
		p, err := query.Profile(t.Context(), view.Units, query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 3*3600*1000}})
		require.NoError(t, err)
		for _, v := range p.Values {
			sums[typ] += v
		}
	}
	view.Release()
	require.NoError(t, d.Close())
	return filepath.Join(dir, "local"), sums
}

func find(t *testing.T, p blocktool.Place) []blocktool.Named {
	t.Helper()
	blocks, err := blocktool.Find(t.Context(), p, "", nil)
	require.NoError(t, err)
	return blocks
}

func TestListAndInspect(t *testing.T) {
	dir, _ := database(t)
	place := blocktool.Dir(dir)
	blocks := find(t, place)
	require.Greater(t, len(blocks), 1)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ulid.Make().String()), 0o755))
	list, err := blocktool.List(t.Context(), place, find(t, place), true, nil)
	require.NoError(t, err)
	require.Len(t, list, len(blocks)+1)
	whole := 0
	for _, l := range list {
		if l.Meta == nil {
			require.Equal(t, blocktool.Incomplete, l.Problem)
			continue
		}
		whole++
		require.NotEmpty(t, l.Services)
		found, err := blocktool.Inspect(t.Context(), place, l.Named)
		require.NoError(t, err)
		rows, samples, series := int64(0), int64(0), int64(0)
		for _, s := range found.Services {
			rows, samples, series = rows+s.Rows, samples+s.Samples, series+s.Series
			require.Positive(t, s.Symbols.Bytes)
			require.LessOrEqual(t, s.Profiles, s.Rows)
		}
		require.Equal(t, l.Meta.Stats, block.Stats{Partitions: int64(len(found.Services)), Series: series, Rows: rows, Samples: samples})
	}
	require.Equal(t, len(blocks), whole)
	_, err = blocktool.Find(t.Context(), place, "", []ulid.ULID{ulid.Make()})
	require.True(t, fault.Is(err, fault.NotFound))
}

func verify(t *testing.T, p blocktool.Place, n blocktool.Named) []string {
	t.Helper()
	v, err := blocktool.Verify(t.Context(), p, n, nil)
	require.NoError(t, err)
	return v.Problems
}

// TestVerifyFindsEveryByte changes bytes all over the file of a block.
func TestVerifyFindsEveryByte(t *testing.T) {
	dir, _ := database(t)
	place := blocktool.Dir(dir)
	one := find(t, place)[0]
	name := filepath.Join(dir, one.ID.String(), block.DataFile)
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Empty(t, verify(t, place, one))
	for at := 0; at < len(whole); at += 1 + len(whole)/60 {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		require.NoError(t, os.WriteFile(name, bad, 0o644))
		require.Contains(t, strings.Join(verify(t, place, one), "\n"), "checksum", "byte %d", at)
	}
	require.NoError(t, os.WriteFile(name, whole[:len(whole)/2], 0o644))
	require.NotEmpty(t, verify(t, place, one))
	require.NoError(t, os.Remove(filepath.Join(dir, one.ID.String(), block.MetaFile)))
	require.Equal(t, []string{blocktool.Incomplete}, verify(t, place, one))
}

// liar is the content of a block that looks different when it is read again: what
// a fault of the writer would come to.
type liar struct {
	*block.Block
	services []string
	lie      func(*query.Row)
	scans    int
	from     int // the first scan that lies
}

func (l *liar) Partitions() []string { return l.services }

func (l *liar) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	if l.scans++; l.scans < l.from || req.TotalsOnly {
		return l.Block.Scan(ctx, req, fn)
	}
	return l.Block.Scan(ctx, req, func(r *query.Row) error {
		l.lie(r)
		return fn(r)
	})
}

// TestVerifyFindsFaultsOfTheWriter is about blocks of which all checksums are
// right.
func TestVerifyFindsFaultsOfTheWriter(t *testing.T) {
	for _, c := range []struct {
		want string
		from int
		lie  func(*query.Row)
	}{
		{"", 1 << 30, nil},
		{"are not those of the rows", 1 << 20, func(r *query.Row) { r.Values[0]++; r.Total++ }},
		{"that come to", 0, func(r *query.Row) { r.Total++ }},
		{"follows that", 0, func(r *query.Row) { r.ID, r.Time = 7, start+100*1000 }},
	} {
		dir := sums(t)
		in, err := block.OpenDir(dir)
		require.NoError(t, err)
		services, err := in.Partitions(t.Context())
		require.NoError(t, err)
		l := &liar{Block: in, services: services, lie: c.lie, from: c.from}
		if c.from == 1<<20 { // once the sums are made
			l.from = 3
		}
		out, id := t.TempDir(), ulid.Make()
		_, err = block.Write(t.Context(), vfs.OS{}, filepath.Join(out, id.String()), id, l, blocktool.AllTimes)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		got := verify(t, blocktool.Dir(out), blocktool.Named{ID: id})
		if c.want == "" {
			require.Empty(t, got)
			continue
		}
		require.Contains(t, strings.Join(got, "\n"), c.want)
	}
}

// sums makes a block that is certain to have sums: many equal profiles.
func sums(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), dir, db.Options{})
	require.NoError(t, err)
	g := &dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 2)), Start: start, Length: 1}
	one := g.Record()
	for i := range 100 {
		rec := one
		rec.ID, rec.Time = uint64(i+1), start+profile.UnixMilli(i)*1000
		require.Nil(t, d.Append(t.Context(), []profile.Record{rec}))
	}
	require.NoError(t, d.Flush(t.Context()))
	blocks := d.Blocks()
	require.Len(t, blocks, 1)
	require.NoError(t, d.Close())
	return blocks[0].Dir
}

func total(t *testing.T, raw []byte) (n int64) {
	t.Helper()
	p, err := google.ParseData(raw)
	require.NoError(t, err)
	for _, s := range p.Sample {
		n += s.Value[0]
	}
	return n
}

func TestExport(t *testing.T) {
	dir, want := database(t)
	place, sel := blocktool.Dir(dir), blocktool.Selection{Range: blocktool.AllTimes}
	for typ, n := range want {
		var out bytes.Buffer
		err := blocktool.ExportMerged(t.Context(), place, sel, typ, &out)
		if n == 0 {
			require.True(t, fault.Is(err, fault.NotFound))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, n, total(t, out.Bytes()), typ)
	}

	each := t.TempDir()
	n, err := blocktool.ExportEach(t.Context(), place, sel, each, nil)
	require.NoError(t, err)
	index, err := os.ReadFile(filepath.Join(each, blocktool.IndexFile))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(index)), "\n")
	require.Len(t, lines, n)
	got := map[string]int64{}
	for _, line := range lines {
		name, ls, _ := strings.Cut(line, "\t")
		require.Contains(t, ls, `service_name="`+strings.Split(name, "/")[0])
		raw, err := os.ReadFile(filepath.Join(each, filepath.FromSlash(name)))
		require.NoError(t, err)
		p, err := google.ParseData(raw)
		require.NoError(t, err)
		require.NoError(t, p.CheckValid())
		for _, s := range p.Sample {
			for i, typ := range p.SampleType {
				got[typ.Type] += s.Value[i]
			}
		}
	}
	for typ, n := range want {
		require.Equal(t, n, got[typ.SampleType], typ)
	}

	sel.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, "none")}
	n, err = blocktool.ExportEach(t.Context(), place, sel, t.TempDir(), nil)
	require.NoError(t, err)
	require.Zero(t, n)
}
