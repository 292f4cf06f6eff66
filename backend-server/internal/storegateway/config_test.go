package storegateway

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfig(t *testing.T) {
	var c Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlags(f)
	require.Positive(t, c.MemoryBytes)
	require.Positive(t, c.DiskBytes)
	require.Empty(t, c.Validate())
	require.NoError(t, f.Parse([]string{"-store-gateway.cache.memory-bytes=0", "-store-gateway.cache.disk-bytes=2GiB"}))
	require.Equal(t, Config{DiskBytes: 2 << 30}, c)
	require.Len(t, (&Config{MemoryBytes: -1, DiskBytes: -1}).Validate(), 2)
}
