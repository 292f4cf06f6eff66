package pyroblock

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Names of a block's files.
const (
	MetaFile     = "meta.json"
	IndexFile    = "index.tsdb"
	ProfilesFile = "profiles.parquet"

	symbolsDir     = "symbols"
	stacksFile     = "stacktraces.parquet"
	locationsFile  = "locations.parquet"
	functionsFile  = "functions.parquet"
	mappingsFile   = "mappings.parquet"
	stringsFile    = "strings.parquet"
	symdbIndexFile = "symbols/index.symdb"
	symdbDataFile  = "symbols/stacktraces.symdb"
	symdbOneFile   = "symbols.symdb"
)

// newest is the highest version of meta files that is read.
const newest = 3

// Meta is what a block says of itself.
type Meta struct {
	ID      ulid.ULID `json:"ulid"`
	Version int       `json:"version"`
	Stats   struct {
		Samples  uint64 `json:"numSamples"`
		Series   uint64 `json:"numSeries"`
		Profiles uint64 `json:"numProfiles"`
	} `json:"stats"`
	Files      []File `json:"files"`
	Compaction struct {
		Level   int         `json:"level"`
		Sources []ulid.ULID `json:"sources"`
	} `json:"compaction"`
	// Downsample is set for blocks of which every profile is a sum of others.
	Downsample struct {
		Resolution int64 `json:"resolution"`
	} `json:"downsample"`
}

// File is a file of a block.
type File struct {
	Path string `json:"relPath"`
	Size int64  `json:"sizeBytes"`
}

// ReadMeta parses and checks a meta file.
func ReadMeta(raw []byte) (*Meta, error) {
	m := new(Meta)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %w", MetaFile, err)
	}
	if m.Version < 1 || m.Version > newest {
		return nil, fault.New(fault.Corrupt, "%s: version %d; this program reads 1 to %d", MetaFile, m.Version, newest)
	}
	if m.Downsample.Resolution != 0 {
		return nil, fault.New(fault.Invalid, "%s: the block holds downsampled profiles only, of a resolution of %d", MetaFile, m.Downsample.Resolution)
	}
	for _, f := range m.Files {
		if f.Path == "" || f.Path != path.Clean(f.Path) || path.IsAbs(f.Path) || strings.HasPrefix(f.Path, "..") || strings.Contains(f.Path, `\`) || f.Size < 0 {
			return nil, fault.New(fault.Corrupt, "%s: file %q of %d bytes", MetaFile, f.Path, f.Size)
		}
	}
	return m, nil
}

// Needed returns the files that have to be there to read the block.
func (m *Meta) Needed() []File {
	var out []File
	for _, f := range m.Files {
		if f.Path == IndexFile || f.Path == ProfilesFile || isSymbols(f.Path) {
			out = append(out, f)
		}
	}
	return out
}

func isSymbols(name string) bool {
	switch name {
	case symdbOneFile, symdbIndexFile, symdbDataFile:
		return true
	}
	switch strings.TrimPrefix(name, symbolsDir+"/") {
	case stacksFile, locationsFile, functionsFile, mappingsFile, stringsFile:
		return true
	}
	return false
}
