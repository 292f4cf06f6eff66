package block_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var wide = profile.Type{Name: "wide", SampleType: "v", SampleUnit: "count", PeriodType: "p", PeriodUnit: "count"}

// flat returns a profile with one sample for each name, its values to be filled
// in.
func flat(names []string) profile.Profile {
	p := profile.Profile{
		Types:      []profile.ValueType{{Type: wide.SampleType, Unit: wide.SampleUnit}},
		PeriodType: profile.ValueType{Type: wide.PeriodType, Unit: wide.PeriodUnit},
		Strings:    []string{""}, Mappings: []profile.Mapping{{}}, LabelSets: [][]profile.LabelPair{nil},
	}
	for i, name := range names {
		n := uint32(i)
		p.Strings = append(p.Strings, name)
		p.Functions = append(p.Functions, profile.Function{Name: n + 1})
		p.Lines = append(p.Lines, profile.Line{Function: n})
		p.Locations = append(p.Locations, profile.Location{LineStart: n, LineEnd: n + 1})
		p.Frames = append(p.Frames, n)
		p.Samples = append(p.Samples, profile.Sample{FrameStart: n, FrameEnd: n + 1})
	}
	return p
}

// written makes a block of records in a directory.
func written(t *testing.T, recs []profile.Record) (b *block.Block, dir string) {
	t.Helper()
	h := head.New(ulid.ULID{1}, memoryLog{})
	for i := range recs {
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&recs[i]}))
	}
	dir = filepath.Join(t.TempDir(), "block")
	_, err := block.Write(context.Background(), vfs.OS{}, dir, ulid.ULID{2}, h, everything)
	require.NoError(t, err)
	b, err = block.OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b, dir
}

func record(id int, service string, p *profile.Profile) profile.Record {
	return profile.Record{
		ID: uint64(id), Labels: labels.FromStrings(profile.LabelName, wide.Name, profile.LabelServiceName, service),
		Time: start + profile.UnixMilli(id), Profile: p, SampleEnd: len(p.Samples),
	}
}

// More values than a dictionary or a page holds, and more samples than a row
// group: whatever is asked for is exact.
func TestLargeBlock(t *testing.T) {
	const records, samples = 240, 10_000
	names := make([]string, samples)
	for i := range names {
		names[i] = fmt.Sprint("fn", i)
	}
	whole := flat(names)
	services := []string{"a", "b"}
	value := func(rec, i int) int64 { return int64(rec*samples+i)*1_000_003 + 1 }
	recs := make([]profile.Record, records)
	for r := range recs {
		p := whole
		for i := range samples {
			p.Values = append(p.Values, value(r, i))
		}
		recs[r] = record(r, services[r%2], &p)
	}
	b, _ := written(t, recs)
	require.Equal(t, int64(records*samples), b.Meta().Stats.Samples)
	for _, c := range []struct {
		from, to int
		service  string
	}{{0, records, ""}, {0, records, "a"}, {0, records, "b"}, {37, 38, ""}, {101, 101, "b"}, {records - 1, records, ""}, {0, 0, ""}} {
		sel := query.Selection{Type: wide, Range: profile.TimeRange{Start: start + profile.UnixMilli(c.from), End: start + profile.UnixMilli(c.to)}}
		if c.service != "" {
			sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, c.service))
		}
		want := make(dbtest.Stacks, samples)
		for r := c.from; r <= min(c.to, records-1); r++ {
			if c.service == "" || services[r%2] == c.service {
				for i, name := range names {
					want[name] += value(r, i)
				}
			}
		}
		tree, err := query.Tree(context.Background(), []query.Queryable{b}, sel)
		require.NoError(t, err)
		require.True(t, mapsEqual(want, dbtest.FlattenTree(tree)), "%+v", c)
	}
}

func mapsEqual(a, b dbtest.Stacks) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// Names may be empty, or longer than a page.
func TestLongAndEmptyStrings(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprint(i)+strings.Repeat("x", i*100_000))
	}
	names = append(names, "")
	p := flat(names)
	want := dbtest.Stacks{}
	for i, name := range names {
		p.Values = append(p.Values, int64(i+1))
		want[name] = 2 * int64(i+1)
	}
	b, _ := written(t, []profile.Record{record(1, "", &p), record(2, "s", &p)})
	tree, err := query.Tree(context.Background(), []query.Queryable{b}, query.Selection{Type: wide, Range: everything})
	require.NoError(t, err)
	require.True(t, mapsEqual(want, dbtest.FlattenTree(tree)))
	services, err := b.Partitions(context.Background())
	require.NoError(t, err)
	require.Equal(t, []string{"", "s"}, services)
}

// stuckSource answers the first reader only when its context ends.
type stuckSource struct {
	block.Source
	stuck chan struct{}
}

func (s stuckSource) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	select {
	case s.stuck <- struct{}{}:
		<-ctx.Done()
		return ctx.Err()
	default:
		return s.Source.ReadAt(ctx, name, p, off)
	}
}

// Whoever waits for what another is loading waits no longer than its own
// context lasts, and gets an answer if the other gives up.
func TestLoadingIsSharedButNotGivingUp(t *testing.T) {
	p := flat([]string{"f"})
	p.Values = []int64{1}
	whole, dir := written(t, []profile.Record{record(1, "s", &p)})
	data, err := os.ReadFile(filepath.Join(dir, block.DataFile))
	require.NoError(t, err)
	source := stuckSource{memorySource(data), make(chan struct{}, 1)}
	b, err := block.Open(context.Background(), whole.Meta(), source)
	require.NoError(t, err)
	first, giveUp := context.WithCancel(context.Background())
	errs := make(chan error, 2)
	go func() {
		_, err := b.Select(first)
		errs <- err
	}()
	require.Eventually(t, func() bool { return len(source.stuck) == 1 }, time.Minute, time.Millisecond)
	second, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = b.Select(second)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	go func() {
		_, err := b.Select(context.Background())
		errs <- err
	}()
	giveUp()
	a, c := <-errs, <-errs
	require.True(t, (a == nil) != (c == nil), "one gave up, one has its answer: %v, %v", a, c)
}
