package importer

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// found is a file that may be a profile.
type found struct {
	path   string
	labels []profile.LabelPair // those that its folders give
	size   int64
	mtime  profile.UnixMilli
	time   profile.UnixMilli // by which files are ordered
}

// find lists the regular files below folders, or the files that are named
// themselves. Hidden ones do not count, nor does what an export says of its files.
func find(ctx context.Context, roots, levels []string) ([]found, error) {
	var out []found
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case err != nil:
				return err
			case path != root && strings.HasPrefix(d.Name(), "."):
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case d.IsDir(), path != root && d.Name() == blocktool.IndexFile:
				return nil
			}
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			out = append(out, found{path: path, labels: pathLabels(root, path, levels), size: info.Size(), mtime: profile.UnixMilli(info.ModTime().UnixMilli())})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("files to import: %w", err)
		}
	}
	return out, nil
}

// pathLabels names the folders between root and a file, the outermost first. An
// empty name leaves a folder out.
func pathLabels(root, path string, levels []string) []profile.LabelPair {
	rel, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil || rel == "." {
		return nil
	}
	var out []profile.LabelPair
	for i, folder := range strings.Split(filepath.ToSlash(rel), "/") {
		if i < len(levels) && levels[i] != "" {
			out = append(out, profile.LabelPair{Name: levels[i], Value: folder})
		}
	}
	return out
}

// firstPlausible is the start of 1971 in nanoseconds, below which the
// distributor takes a profile's time for that of a clock that was never set.
const firstPlausible = 365 * 24 * 3600 * 1e9

// read reads a file and finds out its time.
func (f *found) read(dec *pprof.Decoder, opts pprof.Options) ([]byte, error) {
	if limit := cmp.Or(opts.MaxSize, pprof.DefaultMaxSize); f.size > limit {
		return nil, fault.New(fault.TooLarge, "the file has %d bytes; limit %d", f.size, limit)
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	p, err := dec.Decode(raw, opts)
	if err != nil {
		return nil, err
	}
	f.time = f.mtime
	if p.TimeNanos >= firstPlausible {
		f.time = profile.UnixMilli(p.TimeNanos / 1e6)
	}
	return raw, nil
}

// byTime orders files by time; those of the same time by their name.
func byTime(files []found) {
	slices.SortFunc(files, func(a, b found) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.path, b.path)) })
}
