package query

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Every time lies in the range of its window, and windows follow each other.
func TestWindows(t *testing.T) {
	for _, at := range []profile.UnixMilli{math.MinInt64, math.MinInt64 + DigestWindow, -DigestWindow, -1, 0, 1, DigestWindow - 1, DigestWindow, math.MaxInt64} {
		w := WindowOf(at)
		r := WindowRange(w)
		require.True(t, r.Contains(at), "%d in %v", at, r)
		require.Equal(t, w, WindowOf(r.Start))
		require.Equal(t, w, WindowOf(r.End))
		if r.End < math.MaxInt64 {
			require.Equal(t, r.End+1, WindowRange(w+1).Start)
		}
	}
}

// Blocks and processes of all versions make the same digest of the same rows.
func TestDigestStaysAsItIs(t *testing.T) {
	var d Digest
	d.Add(1, 2)
	d.Add(math.MaxUint64, math.MaxInt64)
	require.Equal(t, Digest{Count: 2, Sum: 0x60fab6dc0fa7b45a}, d)
}
