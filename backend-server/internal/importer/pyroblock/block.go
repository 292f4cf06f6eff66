package pyroblock

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Block is an open block. It may be used by one goroutine at a time.
type Block struct {
	Meta *Meta
	// Series are the labels of the series, by their index.
	Series map[uint32]labels.Labels

	profiles   *table
	tables     symbolTables
	stacks     *table // of version 1, else nil
	partitions map[uint64]*partition
	treeData   *os.File

	// The symbols that were read last. Version 1 has those of all partitions in one.
	lastID uint64
	last   *Symbols
}

// Open opens the block in a folder. The caller must Close it.
func Open(dir string) (b *Block, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, MetaFile))
	if err != nil {
		return nil, err
	}
	b = new(Block)
	if b.Meta, err = ReadMeta(raw); err != nil {
		return nil, err
	}
	if err := b.open(dir); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Block) open(dir string) (err error) {
	raw, err := os.ReadFile(filepath.Join(dir, IndexFile))
	if err != nil {
		return missing(err)
	}
	if b.Series, err = readIndex(raw); err != nil {
		return err
	}
	b.profiles, err = openTable(ProfilesFile, filepath.Join(dir, ProfilesFile),
		[]string{"SeriesIndex", "TimeNanos", "Samples.StacktraceID", "Samples.Value"},
		[]string{"ID", "StacktracePartition", "TotalValue", "Samples.SpanID", "Samples.TraceID"})
	if err != nil {
		return err
	}
	return b.openSymbols(dir)
}

func missing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fault.Mark(fault.Corrupt, err)
	}
	return err
}

// openSymbols opens the tables, in the folder of the block or in that for
// symbols, and what there is of stack traces.
func (b *Block) openSymbols(dir string) (err error) {
	if exists(dir, symdbOneFile) {
		return errNoSymdb3
	}
	in := dir
	if exists(dir, symbolsDir+"/"+stringsFile) {
		in = filepath.Join(dir, symbolsDir)
	}
	for _, t := range []struct {
		to      **table
		name    string
		columns []string
	}{
		{&b.tables.strings, stringsFile, []string{"String"}},
		{&b.tables.mappings, mappingsFile, []string{"MemoryStart", "MemoryLimit", "FileOffset", "Filename", "BuildId", "HasFunctions"}},
		{&b.tables.functions, functionsFile, []string{"Name", "SystemName", "Filename", "StartLine"}},
		{&b.tables.locations, locationsFile, []string{"MappingId", "Address", "Line.FunctionId", "Line.Line"}},
	} {
		if *t.to, err = openTable(t.name, filepath.Join(in, t.name), t.columns, nil); err != nil {
			return err
		}
	}
	if !exists(dir, symdbIndexFile) {
		b.stacks, err = openTable(stacksFile, filepath.Join(dir, stacksFile), []string{"LocationIDs"}, nil)
		return err
	}
	raw, err := os.ReadFile(filepath.Join(dir, symdbIndexFile))
	if err != nil {
		return err
	}
	if b.partitions, err = readSymdbIndex(raw); err != nil {
		return err
	}
	b.treeData, err = os.Open(filepath.Join(dir, symdbDataFile))
	return missing(err)
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// Close closes the files.
func (b *Block) Close() error {
	var errs []error
	for _, t := range []*table{b.profiles, b.tables.strings, b.tables.mappings, b.tables.functions, b.tables.locations, b.stacks} {
		if t != nil {
			errs = append(errs, t.close())
		}
	}
	if b.treeData != nil {
		errs = append(errs, b.treeData.Close())
	}
	return errors.Join(errs...)
}

// Symbols returns the symbols of a partition.
func (b *Block) Symbols(id uint64) (*Symbols, error) {
	if b.last != nil && (b.lastID == id || b.stacks != nil) {
		return b.last, nil
	}
	p := new(partition)
	if b.stacks == nil {
		if p = b.partitions[id]; p == nil {
			return nil, wrong(symdbIndexFile, "there is no partition %016x", id)
		}
	}
	s, err := b.tables.read(p)
	if err != nil {
		return nil, err
	}
	if b.stacks != nil {
		err = b.readLists(s)
	} else {
		err = b.readTrees(s, p)
	}
	if err != nil {
		return nil, err
	}
	b.lastID, b.last = id, s
	return s, nil
}

func (b *Block) readLists(s *Symbols) error {
	var lists [][]uint32
	err := b.stacks.rows(func(v [][]parquet.Value) error {
		var locations []uint32
		for _, l := range list(v[0]) {
			locations = append(locations, uint32(scalar(l)))
		}
		lists = append(lists, locations)
		return nil
	})
	s.lists(lists)
	return err
}

// maxTree bounds the memory for one tree: a damaged index may state any size.
const maxTree = 1 << 30

func (b *Block) readTrees(s *Symbols, p *partition) error {
	info, err := b.treeData.Stat()
	if err != nil {
		return err
	}
	var trees []tree
	for _, c := range p.chunks {
		if c.size > maxTree || c.offset > uint64(info.Size()) || c.size > uint64(info.Size())-c.offset {
			return wrong(symdbDataFile, "%d bytes of stack traces at %d in a file of %d", c.size, c.offset, info.Size())
		}
		raw := make([]byte, c.size)
		if _, err := b.treeData.ReadAt(raw, int64(c.offset)); err != nil {
			return fmt.Errorf("%s: %w", symdbDataFile, err)
		}
		if sum := crc32.Checksum(raw, castagnoli); sum != c.sum {
			return wrong(symdbDataFile, "the stack traces at %d have the checksum %08x; written was %08x", c.offset, sum, c.sum)
		}
		nodes, err := readTree(raw, c.nodes)
		if err != nil {
			return err
		}
		t := tree{nodes: nodes}
		if c.maxNodes != allNodes {
			t.first = uint64(c.number) * uint64(c.maxNodes)
		}
		trees = append(trees, t)
	}
	s.trees(trees)
	return nil
}
