package memory

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemTotal(t *testing.T) {
	n, ok := memTotal("MemFree: 3 kB\nMemTotal:       24576 kB\n")
	require.True(t, ok)
	require.EqualValues(t, 24<<20, n)
	_, ok = memTotal("nothing")
	require.False(t, ok)
}

func TestNumber(t *testing.T) {
	_, ok := number("max\n")
	require.False(t, ok)
	n, ok := number("4096\n")
	require.True(t, ok)
	require.EqualValues(t, 4096, n)
}

func TestLimit(t *testing.T) {
	require.Greater(t, Limit(), int64(0))
	require.Less(t, Limit(), int64(math.MaxInt64))
}
