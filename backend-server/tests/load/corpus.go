package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
	"google.golang.org/protobuf/encoding/protowire"
)

// Kinds of profiles, as the label __name__ has them.
const (
	kindCPU  = "process_cpu"
	kindHeap = "memory"
)

// leastFiles is how many profiles a program has at the least; what is missing
// are variants. A handful of files over and over would make every block tiny.
const leastFiles = 32

// corpus are the profiles to push: by kind, the programs, each a list of
// profiles that its series take in turn.
type corpus struct {
	programs map[string][]*program
	dir      string
}

type program struct {
	name  string
	files []*file
	made  int // how many of them are variants
}

// file is a profile to replay: compressed but for its end, so that a time can
// be appended without compressing it anew.
type file struct {
	head    []byte // of the gzip stream, ends at a byte
	crc     uint32 // of what it inflates to
	size    int
	samples int
	types   int // sample types
}

// loadCorpus reads the CPU and heap profiles below dir. A folder is a program.
func loadCorpus(dir string) (*corpus, error) {
	found := map[string]map[string][]*profile.Profile{kindCPU: {}, kindHeap: {}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".pb") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p, err := profile.ParseData(b)
		if err != nil || len(p.Sample) == 0 {
			return nil // not a profile that anybody takes
		}
		if kind := kindOf(p); kind != "" {
			name := filepath.Dir(path)
			found[kind][name] = append(found[kind][name], p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	out := &corpus{programs: map[string][]*program{}, dir: dir}
	for kind, programs := range found {
		if len(programs) == 0 {
			return nil, fmt.Errorf("no profiles of the kind %s below %s", kind, dir)
		}
		for name, profiles := range programs {
			p, err := makeProgram(filepath.Base(name), profiles)
			if err != nil {
				return nil, err
			}
			out.programs[kind] = append(out.programs[kind], p)
		}
		slices.SortFunc(out.programs[kind], func(a, b *program) int { return strings.Compare(a.name, b.name) })
	}
	return out, nil
}

// kindOf tells the kind by the sample types; "" is neither.
func kindOf(p *profile.Profile) string {
	for _, t := range p.SampleType {
		switch t.Type {
		case "cpu":
			return kindCPU
		case "inuse_space", "alloc_space":
			return kindHeap
		}
	}
	return ""
}

func makeProgram(name string, profiles []*profile.Profile) (*program, error) {
	out := &program{name: name, made: max(0, leastFiles-len(profiles))}
	rng := rand.New(rand.NewPCG(1, 2)) // the same variants in every run
	for i := range max(leastFiles, len(profiles)) {
		p := profiles[i%len(profiles)]
		if i >= len(profiles) {
			p = variant(p, rng)
		}
		f, err := pack(p)
		if err != nil {
			return nil, fmt.Errorf("profile of %s: %w", name, err)
		}
		out.files = append(out.files, f)
	}
	return out, nil
}

// variant returns a profile with about two thirds of p's samples, their values
// multiplied by 1 to 4.
func variant(p *profile.Profile, rng *rand.Rand) *profile.Profile {
	c := p.Copy()
	kept := c.Sample
	c.Sample = nil
	for _, s := range kept {
		if rng.IntN(3) == 0 {
			continue
		}
		k := 1 + rng.Int64N(4)
		for i := range s.Value {
			s.Value[i] *= k
		}
		c.Sample = append(c.Sample, s)
	}
	if len(c.Sample) == 0 {
		return p
	}
	return c.Compact()
}

// pack compresses a profile as Go's profiler does, without its time.
func pack(p *profile.Profile) (*file, error) {
	p.TimeNanos = 0
	var raw, packed bytes.Buffer
	if err := p.WriteUncompressed(&raw); err != nil {
		return nil, err
	}
	packed.WriteString("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff") // a gzip header without name and time
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return &file{head: packed.Bytes(), crc: crc32.ChecksumIEEE(raw.Bytes()), size: raw.Len(), samples: len(p.Sample), types: len(p.SampleType)}, nil
}

const fieldTimeNanos = 9 // of perftools.profiles.Profile

// at returns the profile with a time: the field is appended as a last, stored
// block of the gzip stream.
func (f *file) at(nanos int64) []byte {
	tail := protowire.AppendTag(nil, fieldTimeNanos, protowire.VarintType)
	tail = protowire.AppendVarint(tail, uint64(nanos))
	out := append(make([]byte, 0, len(f.head)+len(tail)+13), f.head...)
	out = append(out, 1) // the last block, stored
	out = binary.LittleEndian.AppendUint16(out, uint16(len(tail)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(tail)))
	out = append(out, tail...)
	out = binary.LittleEndian.AppendUint32(out, crc32.Update(f.crc, crc32.IEEETable, tail))
	return binary.LittleEndian.AppendUint32(out, uint32(f.size+len(tail)))
}

// notes say what was measured with.
func (c *corpus) notes(o *options) []string {
	out := []string{fmt.Sprintf("profiles: %s", c.dir)}
	for _, kind := range []string{kindCPU, kindHeap} {
		var names []string
		files, made, sent, raw, samples := 0, 0, 0, 0, 0
		for _, p := range c.programs[kind] {
			names = append(names, p.name)
			files += len(p.files)
			made += p.made
			for _, f := range p.files {
				sent += len(f.head)
				raw += f.size
				samples += f.samples
			}
		}
		out = append(out, fmt.Sprintf("%s: %d profiles of %s (%d of them variants); %.1f KiB as sent, %.1f KiB raw, %d samples on average",
			kind, files, strings.Join(names, ", "), made, float64(sent)/float64(files)/1024, float64(raw)/float64(files)/1024, samples/files))
	}
	return append(out, fmt.Sprintf("%d series of %d services; short runs: %s, a profile a series each %s; long run: %s, each %s, so that it does not take for ever",
		o.series, o.services, shortSpan(o), shortInterval, o.span, longInterval))
}
