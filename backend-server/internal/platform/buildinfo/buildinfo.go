// Package buildinfo tells what this binary is: version, revision, Go version.
//
// Release builds set Version with the linker (-X …/buildinfo.Version=1.2.3);
// everything else comes from what the Go toolchain records by itself, so a
// plain `go run` has a usable answer too.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// Version is set by the linker in release builds.
var Version string

// Info describes the running binary.
type Info struct {
	Application string `json:"application"` // "hearth": tells the plugin who listens on a port
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	BuildDate   string `json:"buildDate"`
	GoVersion   string `json:"goVersion"`
}

// Get returns what is known about the running binary.
func Get() Info {
	info := Info{Application: "hearth", Version: Version, GoVersion: runtime.Version()}
	if b, ok := debug.ReadBuildInfo(); ok {
		fill(&info, b)
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = "devel"
	}
	return info
}

func fill(info *Info, b *debug.BuildInfo) {
	if info.Version == "" {
		info.Version = b.Main.Version
	}
	dirty := false
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.time":
			info.BuildDate = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && info.Revision != "" {
		info.Revision += "-modified"
	}
}
