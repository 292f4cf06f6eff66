package block_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
)

// What a block says that it holds is about what it lets go of.
func TestMemoryBytes(t *testing.T) {
	b := open(t, store(t, fleet(t, 20, 2, 60), block.Options{}))
	require.Zero(t, b.MemoryBytes())
	askAll := func() {
		t.Helper()
		_, err := query.Profile(t.Context(), []query.Queryable{b}, query.Selection{Type: goCPU, Range: always})
		require.NoError(t, err)
		_, err = b.Has(t.Context(), 1)
		require.NoError(t, err)
	}
	for range 2 {
		askAll()
		says, with := b.MemoryBytes(), liveBytes()
		askAll()
		require.Equal(t, says, b.MemoryBytes(), "nothing is decoded twice")
		b.Forget()
		require.Zero(t, b.MemoryBytes())
		held := with - liveBytes()
		t.Logf("%d bytes, says %d", held, says)
		require.Greater(t, says, held*2/3)
		require.Less(t, says, held*3)
	}
}

func liveBytes() int64 {
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
