package head_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// headAt is a head made at a time, by what its ID says.
func headAt(t testing.TB, at time.Time, log head.Log) *head.Head {
	t.Helper()
	id, err := ulid.New(ulid.Timestamp(at), ulid.DefaultEntropy())
	require.NoError(t, err)
	return head.New(id, log)
}

// replayed is the head that its log makes.
func replayed(t testing.TB, h *head.Head, log *recordingLog) *head.Head {
	t.Helper()
	again := head.New(h.ID(), nil)
	for _, r := range log.records {
		require.NoError(t, again.Replay(r))
	}
	return again
}

// Processes come and go; what a head is told of those that are gone must not
// grow for ever. Those that live keep their totals, over restarts too.
func TestCarryForgets(t *testing.T) {
	ctx := context.Background()
	begin := time.UnixMilli(int64(start))
	var before *head.Head
	var sizes []int64
	for hour := range 30 {
		log := new(recordingLog)
		h := headAt(t, begin.Add(time.Duration(hour)*time.Hour), log)
		if before != nil {
			require.NoError(t, h.Carry(ctx, before))
		}
		sizes = append(sizes, h.Stats().Bytes)
		for _, pod := range []string{"stays", fmt.Sprint("pod-", hour)} {
			rec := heap(uint64(2*hour), start+profile.UnixMilli(hour), made{"f", 0, []int64{10 * int64(hour+1), 1}}, made{pod, 0, []int64{1, 1}})
			rec.Labels = labels.NewBuilder(rec.Labels).Set("pod", pod).Labels()
			require.Nil(t, h.Append(ctx, []*profile.Record{&rec}))
		}
		if hour > 0 {
			require.EqualValues(t, 10, allocated(t, h)["f"], "hour %d", hour)
		}
		before = replayed(t, h, log)
	}
	require.Greater(t, sizes[4], sizes[1], "for a while they are known")
	require.Equal(t, sizes[20], sizes[29])
}

// narrowLog takes no large records.
type narrowLog struct {
	recordingLog
	limit int
}

func (l *narrowLog) Enqueue(b []byte) (wal.Ticket, error) {
	if len(b) > l.limit {
		return 0, fault.New(fault.TooLarge, "record of %d bytes", len(b))
	}
	return l.recordingLog.Enqueue(b)
}

// What came in pieces may be too large for the log as a whole. It must not keep
// the head from being cut, and the others are carried.
func TestCarryOfTooMuch(t *testing.T) {
	ctx := context.Background()
	old := headAt(t, time.UnixMilli(int64(start)), new(recordingLog))
	add := func(h *head.Head, id int, pod string, n int, v int64) {
		var samples []made
		for i := range n {
			samples = append(samples, made{fmt.Sprintf("%s function number %d", pod[:1], i), 0, []int64{v, 1}})
		}
		rec := heap(uint64(id), start+profile.UnixMilli(id), samples...)
		rec.Labels = labels.NewBuilder(rec.Labels).Set("pod", pod).Labels()
		require.Nil(t, h.Append(ctx, []*profile.Record{&rec}))
	}
	add(old, 1, "a", 1, 5)
	add(old, 2, "large", 1000, 5)
	add(old, 3, "lz", 2, 5) // has some of the same stacks
	add(old, 4, "z", 2, 5)
	log := &narrowLog{limit: 4 << 10}
	h := headAt(t, time.UnixMilli(int64(start)), log)
	require.NoError(t, h.Carry(ctx, old))
	add(h, 11, "a", 1, 6)
	add(h, 12, "large", 3, 6)
	add(h, 13, "lz", 2, 7)
	add(h, 14, "z", 2, 8)
	for _, h := range []*head.Head{h, replayed(t, h, &log.recordingLog)} {
		require.Equal(t, map[string]int64{
			"a function number 0": 1, "l function number 0": 2, "l function number 1": 2, "z function number 0": 3, "z function number 1": 3,
		}, map[string]int64(allocated(t, h)))
	}
}
