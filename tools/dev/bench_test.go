package dev

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchSettings(t *testing.T) {
	env := map[string]string{}
	get := func(name string) string { return env[name] }
	require.Empty(t, loadFlags(get))
	env["HEARTH_BENCH_PROFILES"], env["HEARTH_BENCH_PEER"] = "/profiles", "/bin/peer"
	env["HEARTH_BENCH_SPAN"], env["HEARTH_BENCH_QUICK"] = "6h", "1"
	require.Equal(t, []string{"-profiles=/profiles", "-peer=/bin/peer", "-span=6h", "-quick"}, loadFlags(get))
	require.NotEqual(t, benchTime(func(string) string { return "" }), benchTime(get))
}
