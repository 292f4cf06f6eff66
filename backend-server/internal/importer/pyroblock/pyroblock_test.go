package pyroblock_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock/pyroblocktest"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var id = ulid.MustParse("01ARZ3NDEKTSV4RRFFQ69G5FAV")

func cpu(service string) labels.Labels {
	return labels.FromStrings("__name__", "process_cpu", "__profile_type__", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "service_name", service)
}

func profiles() []pyroblocktest.Profile {
	return []pyroblocktest.Profile{
		{UUID: 1, Series: cpu("a"), Millis: 1000, Samples: map[string]int64{"main;work": 5, "main;work;deep": 7, "main": 1}},
		{UUID: 2, Series: cpu("a"), Millis: 2000, Samples: map[string]int64{"main;work": 6}},
		{UUID: 3, Series: cpu("b"), Millis: 1500, Samples: map[string]int64{"main;0x1234": 9}},
		{UUID: 4, Series: cpu("b"), Millis: 1600},
	}
}

// read returns everything in a block, as text.
func read(dir string) (out []pyroblocktest.Profile, err error) {
	b, err := pyroblock.Open(dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	err = b.Profiles(func(p *pyroblock.Profile) error {
		one := pyroblocktest.Profile{UUID: p.ID[15], Series: b.Series[p.Series], Millis: p.TimeNanos / 1e6}
		s, err := b.Symbols(p.Partition)
		if err != nil {
			return err
		}
		for i, stack := range p.Stacks {
			locations, err := s.Stack(stack, nil)
			if err != nil {
				return err
			}
			var names []string
			for _, l := range locations {
				name := fmt.Sprintf("0x%x", s.Locations[l].Address)
				for _, line := range s.Locations[l].Lines {
					name = s.Strings[s.Functions[line.Function].Name]
				}
				names = append([]string{name}, names...)
			}
			if one.Samples == nil {
				one.Samples = map[string]int64{}
			}
			one.Samples[strings.Join(names, ";")] += p.Values[i]
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

func TestEveryVersion(t *testing.T) {
	for _, version := range pyroblocktest.Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			dir := t.TempDir()
			pyroblocktest.Write(t, dir, id, version, profiles())
			got, err := read(dir)
			require.NoError(t, err)
			require.Equal(t, profiles(), got)
		})
	}
}

// TestRealBlocks reads blocks that Pyroscope has written.
func TestRealBlocks(t *testing.T) {
	dirs, err := filepath.Glob("../testdata/pyroscope/anonymous/phlaredb/*")
	require.NoError(t, err)
	require.Len(t, dirs, 4)
	for _, dir := range dirs {
		b, err := pyroblock.Open(dir)
		require.NoError(t, err)
		require.Len(t, b.Series, int(b.Meta.Stats.Series))
		samples, count := uint64(0), uint64(0)
		require.NoError(t, b.Profiles(func(p *pyroblock.Profile) error {
			sum := uint64(0)
			s, err := b.Symbols(p.Partition)
			require.NoError(t, err)
			for i := range p.Stacks {
				sum += uint64(p.Values[i])
				frames, err := s.Stack(p.Stacks[i], nil)
				require.NoError(t, err)
				require.NotEmpty(t, frames)
			}
			require.Equal(t, p.Stated, sum)
			samples += uint64(len(p.Stacks))
			count++
			return nil
		}))
		require.Equal(t, b.Meta.Stats.Profiles, count)
		require.Equal(t, b.Meta.Stats.Samples, samples)
		require.NoError(t, b.Close())
	}
}

// TestDamage cuts and changes every file of blocks of every version. Whatever
// comes of it, it is no panic, and an error is Corrupt.
func TestDamage(t *testing.T) {
	found := 0
	for _, version := range pyroblocktest.Versions {
		dir := t.TempDir()
		pyroblocktest.Write(t, dir, id, version, profiles())
		files := map[string][]byte{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != pyroblock.MetaFile {
				files[path], err = os.ReadFile(path)
			}
			return err
		}))
		require.NotEmpty(t, files)
		for path, content := range maps.All(files) {
			for at := 0; at < len(content); at += 1 + len(content)/20 {
				changed := append([]byte(nil), content...)
				changed[at] ^= 0x55
				for _, bad := range [][]byte{content[:at], changed} {
					require.NoError(t, os.WriteFile(path, bad, 0o644))
					if _, err := read(dir); err != nil {
						require.True(t, fault.Is(err, fault.Corrupt), "version %d, %s at %d: %v", version, filepath.Base(path), at, err)
						found++
					}
				}
			}
			require.NoError(t, os.Remove(path))
			_, err := read(dir)
			require.True(t, fault.Is(err, fault.Corrupt), "version %d without %s: %v", version, filepath.Base(path), err)
			require.NoError(t, os.WriteFile(path, content, 0o644))
		}
	}
	require.Greater(t, found, 250)
}

func TestReadMeta(t *testing.T) {
	for raw, want := range map[string]string{
		`{`:             "unexpected end",
		`{"version":4}`: "version 4; this program reads 1 to 3",
		`{"version":0}`: "version 0",
		`{"version":3,"downsample":{"resolution":300}}`:                            "downsampled",
		`{"version":3,"files":[{"relPath":"../../etc/passwd","sizeBytes":1}]}`:     `file "../../etc/passwd"`,
		`{"version":3,"files":[{"relPath":"symbols/../x.parquet","sizeBytes":1}]}`: `file "symbols/../x.parquet"`,
	} {
		_, err := pyroblock.ReadMeta([]byte(raw))
		require.ErrorContains(t, err, want)
	}
	m, err := pyroblock.ReadMeta([]byte(`{"version":3,"files":[{"relPath":"profiles.parquet"},{"relPath":"profiles_5m_sum.parquet"},{"relPath":"symbols/strings.parquet"}]}`))
	require.NoError(t, err)
	require.Equal(t, []pyroblock.File{{Path: "profiles.parquet"}, {Path: "symbols/strings.parquet"}}, m.Needed())
}
