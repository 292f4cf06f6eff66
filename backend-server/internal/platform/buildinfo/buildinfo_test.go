package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGet(t *testing.T) {
	require.Equal(t, "devel", Get().Version)
	require.Equal(t, runtime.Version(), Get().GoVersion)
}

func TestFill(t *testing.T) {
	info := Info{}
	fill(&info, &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.modified", Value: "true"},
			{Key: "vcs.revision", Value: "abc"},
			{Key: "vcs.time", Value: "2026-01-01T00:00:00Z"},
		},
	})
	require.Equal(t, Info{Version: "v1.2.3", Revision: "abc-modified", BuildDate: "2026-01-01T00:00:00Z"}, info)
}
