package filelock

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyOneHolds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	first, err := Acquire(name)
	require.NoError(t, err)
	_, err = Acquire(name)
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, fmt.Sprintf("(process %d)", os.Getpid()))
	require.NoError(t, first.Release())
	second, err := Acquire(name)
	require.NoError(t, err)
	require.NoError(t, second.Release())
}

func TestNoFolder(t *testing.T) {
	_, err := Acquire(filepath.Join(t.TempDir(), "missing", "LOCK"))
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrHeld)
}
