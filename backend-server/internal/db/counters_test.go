package db_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// heapColumns are the sample types of Go's heap profiles. The first two are
// running totals.
var heapColumns = []profile.ValueType{
	{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"},
	{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"},
}

// process is something that allocates and is profiled.
type process struct {
	labels labels.Labels
	now    profile.UnixMilli
	totals map[string][2]int64 // by stack
}

// heapGenerator makes heap profiles of some processes.
type heapGenerator struct {
	rng       *rand.Rand
	processes []*process
	nextID    uint64
}

func newHeapGenerator(seed uint64) *heapGenerator {
	g := &heapGenerator{rng: rand.New(rand.NewPCG(seed, 5))}
	for i := range 4 {
		ls := []string{profile.LabelName, "memory", profile.LabelServiceName, fmt.Sprint("svc-", i%2), "pod", fmt.Sprint("pod-", i)}
		if i == 3 {
			ls = append(ls, profile.LabelDelta, "false")
		}
		g.processes = append(g.processes, &process{labels: labels.FromStrings(ls...), now: start, totals: map[string][2]int64{}})
	}
	return g
}

// record profiles one of the processes, after something has happened to it.
func (g *heapGenerator) record() profile.Record {
	g.nextID++
	p := g.processes[g.rng.IntN(len(g.processes))]
	at := p.now
	switch n := g.rng.IntN(12); {
	case n < 8:
		p.now += 15_000
		at = p.now
		g.allocate(p)
	case n < 9: // begins anew
		p.now += 15_000
		at = p.now
		clear(p.totals)
		g.allocate(p)
	case n < 10: // a stack is gone, or all are
		p.now += 15_000
		at = p.now
		maps.DeleteFunc(p.totals, func(string, [2]int64) bool { return g.rng.IntN(3) == 0 })
	case n < 11: // late, or of the same time
		at -= profile.UnixMilli(g.rng.IntN(3) * 10_000)
		g.allocate(p)
	default: // nothing was allocated
		p.now += 15_000
		at = p.now
	}
	prof := g.profile(p)
	return profile.Record{ID: g.nextID, Labels: p.labels, Time: at, Profile: prof, SampleEnd: len(prof.Samples)}
}

func (g *heapGenerator) allocate(p *process) {
	for range 1 + g.rng.IntN(5) {
		stack := fmt.Sprintf("main;f%d;g%d", g.rng.IntN(3), g.rng.IntN(4))
		t := p.totals[stack]
		t[0] += g.rng.Int64N(3)
		t[1] += g.rng.Int64N(1000)
		p.totals[stack] = t
	}
}

// profile has every stack in one or two samples, in any order.
func (g *heapGenerator) profile(p *process) *profile.Profile {
	out := &profile.Profile{
		Types: heapColumns, PeriodType: profile.ValueType{Type: "space", Unit: "bytes"},
		Strings: []string{""}, Mappings: []profile.Mapping{{}}, LabelSets: [][]profile.LabelPair{nil},
	}
	stacks := slices.Sorted(maps.Keys(p.totals))
	g.rng.Shuffle(len(stacks), func(i, j int) { stacks[i], stacks[j] = stacks[j], stacks[i] })
	for _, stack := range stacks {
		t := p.totals[stack]
		part := [2]int64{g.rng.Int64N(t[0] + 1), g.rng.Int64N(t[1] + 1)}
		g.sample(out, stack, part[0], part[1])
		g.sample(out, stack, t[0]-part[0], t[1]-part[1])
	}
	g.sample(out, "main", 0, 0) // in use, but never allocated
	return out
}

func (g *heapGenerator) sample(out *profile.Profile, stack string, objects, space int64) {
	from := uint32(len(out.Frames))
	names := strings.Split(stack, ";")
	slices.Reverse(names)
	for _, name := range names {
		at := uint32(slices.Index(out.Strings, name))
		if int32(at) < 0 {
			at = uint32(len(out.Strings))
			out.Strings = append(out.Strings, name)
			out.Functions = append(out.Functions, profile.Function{Name: at})
			out.Lines = append(out.Lines, profile.Line{Function: at - 1, Line: 3})
			out.Locations = append(out.Locations, profile.Location{LineStart: at - 1, LineEnd: at})
		}
		out.Frames = append(out.Frames, at-1)
	}
	out.Samples = append(out.Samples, profile.Sample{FrameStart: from, FrameEnd: uint32(len(out.Frames))})
	out.Values = append(out.Values, objects, space, 1+g.rng.Int64N(9), 1+g.rng.Int64N(9))
}

// compareHeap holds the answers of a database to those of its twin.
func compareHeap(t *testing.T, twin *dbtest.Twin, d *db.DB, done *progress, about string) {
	t.Helper()
	view := d.View(profile.TimeRange{})
	defer view.Release()
	units := done.units(t, view)
	for _, column := range heapColumns {
		sel := query.Selection{
			Type:  profile.Type{Name: "memory", SampleType: column.Type, SampleUnit: column.Unit, PeriodType: "space", PeriodUnit: "bytes"},
			Range: profile.TimeRange{Start: start, End: start + 100_000_000},
		}
		tree, err := query.Tree(context.Background(), units, sel)
		require.NoError(t, err, about)
		require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree), "%s: %s", about, column.Type)
	}
}

func TestCountersAsTheTwin(t *testing.T) {
	seeds := uint64(5)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		ctx := context.Background()
		gen, rng, mem := newHeapGenerator(seed), rand.New(rand.NewPCG(seed, 9)), vfs.NewMem()
		d, err := openTenant(mem)
		require.NoError(t, err)
		var twin dbtest.Twin
		var sent []profile.Record
		for step := range 200 {
			about := fmt.Sprintf("seed %d, step %d", seed, step)
			switch n := rng.IntN(20); {
			case n < 14:
				rec := gen.record()
				if rng.IntN(6) == 0 && len(sent) > 0 {
					rec = sent[rng.IntN(len(sent))] // a retry
				}
				sent = append(sent, rec)
				require.Nil(t, d.Append(ctx, []profile.Record{rec}))
				twin.Add(rec)
			case n < 16:
				require.NoError(t, d.Flush(ctx))
			case n < 17:
				require.NoError(t, d.Close())
				d, err = openTenant(mem)
				require.NoError(t, err)
			case n < 18:
				mem = mem.CrashClone(rng)
				d, err = openTenant(mem)
				require.NoError(t, err)
			default:
				compareHeap(t, &twin, d, new(progress), about)
			}
		}
		compareHeap(t, &twin, d, new(progress), "at the end")
		require.NotEmpty(t, twin.Tree(query.Selection{
			Type:  profile.Type{Name: "memory", SampleType: "alloc_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"},
			Range: profile.TimeRange{Start: start, End: start + 100_000_000},
		}))
	}
}

func heapScript(batches int) *script {
	gen, s := newHeapGenerator(3), new(script)
	for range batches {
		s.batches = append(s.batches, []profile.Record{gen.record(), gen.record(), gen.record()})
	}
	return s
}

// checkCounters is as script.check, for profiles with running totals.
func checkCounters(t *testing.T, s *script, fsys vfs.FS, done *progress, about string) {
	t.Helper()
	ctx := context.Background()
	done = done.note()
	d, err := openTenant(fsys)
	require.NoError(t, err, about)
	defer d.Close()
	var twin dbtest.Twin
	for i, batch := range s.batches {
		if i >= done.acked {
			require.Nil(t, d.Append(ctx, batch), about)
		}
		twin.Add(batch...)
		if i == done.acked {
			compareHeap(t, &twin, d, done, about)
		}
	}
	require.NoError(t, d.Flush(ctx), about)
	compareHeap(t, &twin, d, done, about+", flushed")
}

func TestCountersOverPowerCuts(t *testing.T) {
	s := heapScript(6)
	var done progress
	w := vfstest.Watch(vfs.NewMem(), 1, done.note)
	require.NoError(t, s.run(w.FS(), &done))
	cuts := w.Cuts()
	require.Greater(t, len(cuts), 50)
	for _, cut := range inShort(cuts) {
		checkCounters(t, s, cut.FS, cut.Note, cut.Step)
	}
}

func TestCountersOverDiskFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine at a time: nothing for the race detector")
	}
	s := heapScript(4)
	vfstest.EveryFault(t, errDisk, func(t *testing.T, mem *vfs.Mem, fsys vfs.FS, f *vfstest.Fault) {
		var done progress
		if err := s.run(fsys, &done); f.Hit() && err != nil {
			require.ErrorIs(t, err, errDisk, f.Step())
		}
		checkCounters(t, s, mem, &done, f.Step())
	})
}

// The head is cut again and again while profiles of one process come in.
func TestCountersWhileHeadsAreCut(t *testing.T) {
	ctx := context.Background()
	gen := newHeapGenerator(4)
	d, err := db.Open(ctx, t.TempDir(), db.Options{MaxBlockDuration: time.Hour})
	require.NoError(t, err)
	defer d.Close()
	stop, flushed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				flushed <- nil
				return
			default:
				if err := d.Flush(ctx); err != nil {
					flushed <- err
					return
				}
			}
		}
	}()
	var twin dbtest.Twin
	for range 200 {
		rec := gen.record()
		require.Nil(t, d.Append(ctx, []profile.Record{rec}))
		twin.Add(rec)
	}
	close(stop)
	require.NoError(t, <-flushed)
	compareHeap(t, &twin, d, new(progress), "at the end")
}
