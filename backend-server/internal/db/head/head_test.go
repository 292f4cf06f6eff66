package head_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const start = profile.UnixMilli(1_700_000_000_000)

// recordingLog keeps the records it is given.
type recordingLog struct{ records [][]byte }

func (l *recordingLog) Enqueue(b []byte) (wal.Ticket, error) {
	l.records = append(l.records, append([]byte(nil), b...))
	return wal.Ticket(len(l.records)), nil
}
func (*recordingLog) Wait(context.Context, wal.Ticket) error { return nil }
func (*recordingLog) Last() wal.Ticket                       { return 0 }

func fill(t testing.TB, n int) (*head.Head, *recordingLog, *dbtest.Twin) {
	t.Helper()
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(3, 4)), Start: start, Length: 3_600_000}
	log := new(recordingLog)
	h := head.New(ulid.ULID{1}, log)
	twin := new(dbtest.Twin)
	for range n {
		rec := gen.Record()
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
		twin.Add(rec)
	}
	return h, log, twin
}

func flatten(t testing.TB, h *head.Head, typ profile.Type) dbtest.Stacks {
	t.Helper()
	tree, err := query.Tree(context.Background(), []query.Queryable{h}, query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 3_600_000}})
	require.NoError(t, err)
	return dbtest.FlattenTree(tree)
}

func TestRetryIsNotAddedAgain(t *testing.T) {
	h, log, twin := fill(t, 20)
	before, records := h.Stats(), len(log.records)
	for _, rec := range twin.Records {
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	require.Equal(t, before, h.Stats())
	require.Len(t, log.records, records)
}

func TestReplay(t *testing.T) {
	h, log, _ := fill(t, 100)
	again := head.New(ulid.ULID{1}, nil)
	for _, r := range log.records {
		require.NoError(t, again.Replay(r))
	}
	require.Equal(t, h.Stats().Profiles, again.Stats().Profiles)
	require.Equal(t, h.TimeRange(), again.TimeRange())
	for _, typ := range dbtest.Types {
		require.Equal(t, flatten(t, h, typ), flatten(t, again, typ))
	}
}

// A sealed head is smaller, and the same in all else.
func TestSeal(t *testing.T) {
	h, _, twin := fill(t, 100)
	before, answer := h.Stats(), flatten(t, h, dbtest.Types[0])
	h.Seal()
	sealed := h.Stats().Bytes
	require.Less(t, sealed, before.Bytes)
	require.Equal(t, answer, flatten(t, h, dbtest.Types[0]))
	rec := twin.Records[0]
	rec.ID = 1000
	require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	require.Equal(t, before.Profiles+1, h.Stats().Profiles)
	require.Greater(t, h.Stats().Bytes, sealed)
}

// Whichever record is destroyed, the others are replayed: with their totals
// exact, and with a frame that says so where the symbols were in the record
// that is gone. Records of a series that it defined are refused.
func TestReplayWithoutOneRecord(t *testing.T) {
	_, log, twin := fill(t, 30)
	for gone := range log.records {
		h := head.New(ulid.ULID{1}, nil)
		var want dbtest.Twin
		for i, r := range log.records {
			if i == gone {
				continue
			}
			if err := h.Replay(r); err != nil {
				require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
				continue
			}
			want.Add(twin.Records[i])
		}
		for _, typ := range dbtest.Types {
			sel := query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 3_600_000}}
			require.Equal(t, total(want.Tree(sel)), total(flatten(t, h, typ)), "without record %d", gone)
		}
	}
}

func total(s dbtest.Stacks) (sum int64) {
	for _, v := range s {
		sum += v
	}
	return sum
}

func TestLostSymbolsAreNamed(t *testing.T) {
	_, log, _ := fill(t, 30)
	named := 0
	for gone := range log.records {
		h := head.New(ulid.ULID{1}, nil)
		for i, r := range log.records {
			if i != gone {
				_ = h.Replay(r) // refusals are TestReplayWithoutOneRecord's
			}
		}
		for _, typ := range dbtest.Types {
			if _, ok := flatten(t, h, typ)[symbols.LostName]; ok {
				named++
			}
		}
	}
	require.Positive(t, named)
}

// heap is a profile with running totals.
func heap(id uint64, at profile.UnixMilli, samples ...made) profile.Record {
	rec := record(id, "heap", samples...)
	rec.Labels = labels.FromStrings(profile.LabelName, "memory", profile.LabelServiceName, "heap")
	rec.Profile.Types = []profile.ValueType{{Type: "alloc_space", Unit: "bytes"}, {Type: "inuse_space", Unit: "bytes"}}
	rec.Time = at
	return rec
}

func allocated(t testing.TB, h *head.Head) dbtest.Stacks {
	return flatten(t, h, profile.Type{Name: "memory", SampleType: "alloc_space", SampleUnit: "bytes"})
}

// Totals are carried from head to head, to each from all before, in any order
// and more than once; the newest count.
func TestCarry(t *testing.T) {
	ctx := context.Background()
	var before []*head.Head
	for i := range int64(3) {
		h, log := head.New(ulid.ULID{byte(i)}, nil), new(recordingLog)
		h.SetLog(log)
		for _, j := range []int{1, 0, 1, 2} {
			if j < len(before) {
				require.NoError(t, h.Carry(ctx, before[j]))
			}
		}
		require.True(t, h.Empty())
		rec := heap(uint64(i+1), start+profile.UnixMilli(i), made{"f", 0, []int64{10 * (i + 1), 1}}, made{"g", 0, []int64{7, 1}})
		require.Nil(t, h.Append(ctx, []*profile.Record{&rec}))
		again := head.New(ulid.ULID{1}, nil)
		for _, r := range log.records {
			require.NoError(t, again.Replay(r))
		}
		for _, h := range []*head.Head{h, again} {
			if i == 0 {
				require.Empty(t, allocated(t, h))
			} else {
				require.Equal(t, dbtest.Stacks{"f": 10}, allocated(t, h))
			}
		}
		before = append(before, again)
	}
}

func FuzzReplay(f *testing.F) {
	h, log, _ := fill(f, 12)
	for i := range int64(3) {
		rec := heap(uint64(i+1), start+profile.UnixMilli(i), made{"f", 0, []int64{10 * (i + 1), 1}}, made{"g", 0, []int64{7, 1}})
		require.Nil(f, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	next := new(recordingLog)
	require.NoError(f, head.New(ulid.ULID{2}, next).Carry(context.Background(), h))
	log.records = append(log.records, next.records...)
	for i := range log.records {
		f.Add(uint8(i), log.records[i])
	}
	f.Fuzz(func(t *testing.T, before uint8, record []byte) {
		h := head.New(ulid.ULID{1}, nil)
		for _, r := range log.records[:int(before)%len(log.records)] {
			require.NoError(t, h.Replay(r))
		}
		if err := h.Replay(record); err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatal(err)
		}
		for _, typ := range dbtest.Types {
			flatten(t, h, typ)
		}
		allocated(t, h)
	})
}

// The key is on the disk: it must never change.
func TestKeyIsStable(t *testing.T) {
	rec := record(42, "api")
	require.Equal(t, uint64(0xacdd62a48a76dd3d), head.Key(&rec))
}
