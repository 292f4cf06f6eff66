package replica_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// fuzz holds a decoder to three things: nothing makes it panic, what it refuses
// is Corrupt, and what it takes is the same after another round.
func fuzz[T any](f *testing.F, decode func([]byte) (T, error), encode func([]byte, T) []byte, seeds ...T) {
	for _, s := range seeds {
		f.Add(encode(nil, s))
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{2, 0})
	f.Add([]byte{3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		require.LessOrEqual(t, taken(func() { _, _ = decode(b) }), uint64(100*len(b)+1<<20), "memory for %d bytes", len(b))
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
			return
		}
		again, err := decode(encode(nil, v))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

// taken returns how many bytes f allocates. What is counted is what the whole
// process allocates; since others do too, at times, the least of some tries is
// taken.
func taken(f func()) uint64 {
	var before, after runtime.MemStats
	least := uint64(math.MaxUint64)
	for range 4 {
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least < 1<<20 {
			break
		}
	}
	return least
}

func FuzzDecodeUnits(f *testing.F) {
	fuzz(f, replica.DecodeUnits, appendUnits, nil, of(1, 1, 2, 4000).units, show(3, true, rows(5)).units)
}

func FuzzDecodeRefs(f *testing.F) {
	fuzz(f, replica.DecodeRefs, replica.AppendRefs, nil, []replica.Ref{{Unit: 1, Entry: 300}, {}})
}

func FuzzDecodeRows(f *testing.F) {
	fuzz(f, replica.DecodeRows, appendRows, nil, [][]replica.Row{rows(1, 2), nil, {{ID: 1, Time: profile.UnixMilli(-1 << 63), Total: 1<<63 - 1, Since: 1<<32 - 1}, {Time: 1<<63 - 1, Total: -1}}})
}

func FuzzDecodePicks(f *testing.F) {
	fuzz(f, replica.DecodePicks, replica.AppendPicks, nil, []replica.Pick{
		{Unit: 3, All: true}, {Unit: 4, Entries: []replica.EntryPick{{Entry: 1}, {Entry: 2, IDs: []uint64{7, 1 << 63}}, {Entry: 3, IDs: []uint64{}}}},
	})
}

func appendUnits(dst []byte, units []replica.Unit) []byte {
	return replica.AppendUnits(dst, replica.Newest, units)
}

func appendRows(dst []byte, rows [][]replica.Row) []byte {
	return replica.AppendRows(dst, replica.Newest, rows)
}

// TestOlderProcesses get, and send, all but when running totals began to grow.
func TestOlderProcesses(t *testing.T) {
	s := show(3, true, []replica.Row{{ID: 1, Time: replica.Window + 7, Total: 3, Since: 9}})
	units, err := replica.DecodeUnits(replica.AppendUnits(nil, replica.Encoding2, s.units))
	require.NoError(t, err)
	want := show(3, true, []replica.Row{{ID: 1, Time: replica.Window + 7, Total: 3}}).units
	want[0].Entries[0].Reach.End = 2*replica.Window - 1
	require.Equal(t, want, units)
	lists, err := replica.DecodeRows(replica.AppendRows(nil, replica.Encoding2, s.rows))
	require.NoError(t, err)
	require.Equal(t, [][]replica.Row{{{ID: 1, Time: replica.Window + 7, Total: 3}}}, lists)
}

// TestRefusals have messages that say what is wrong.
func TestRefusals(t *testing.T) {
	_, err := replica.DecodeUnits([]byte{4, 0})
	require.EqualError(t, err, "units: encoding 4; this process knows 2 to 3")
	_, err = replica.DecodeRefs([]byte{3, 0})
	require.EqualError(t, err, "references: encoding 3; this process knows 2 to 2")
	_, err = replica.DecodeRows([]byte{3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0x80, 0x80, 0x80, 0x80, 0x10})
	require.EqualError(t, err, "rows: a running total grew since 4294967296 ms; the limit is 4294967295")
	_, err = replica.DecodePicks(append(replica.AppendPicks(nil, nil), 0))
	require.EqualError(t, err, "picks: 1 bytes follow the end")
	_, err = replica.DecodeRefs([]byte{2, 9, 0, 0})
	require.EqualError(t, err, "references: 9 entries in 2 bytes")
}
