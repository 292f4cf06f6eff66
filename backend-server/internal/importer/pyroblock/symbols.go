package pyroblock

import (
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Symbols are those of a partition. Everything refers by position; what they
// refer to is there.
type Symbols struct {
	Strings   []string
	Mappings  []Mapping
	Functions []Function
	Locations []Location
	stacks    func(id uint64, dst []uint32) ([]uint32, error)
}

// Mapping is a binary.
type Mapping struct {
	Start, Limit, Offset uint64
	File, BuildID        uint32 // strings
	HasFunctions         bool
}

// Function is a function. All but StartLine are strings.
type Function struct {
	Name, SystemName, File uint32
	StartLine              int64
}

// Location is a program counter; of its lines the innermost call comes first.
type Location struct {
	Mapping uint32
	Address uint64
	Lines   []Line
}

// Line is a frame.
type Line struct {
	Function uint32
	Line     int64
}

// Stack appends the locations of a stack trace to dst, the leaf first.
func (s *Symbols) Stack(id uint64, dst []uint32) ([]uint32, error) { return s.stacks(id, dst) }

// symbolTables are the tables of all partitions.
type symbolTables struct{ locations, functions, mappings, strings *table }

// read reads the symbols of a partition: spans of each table, or all of it.
func (t *symbolTables) read(p *partition) (*Symbols, error) {
	s := new(Symbols)
	err := t.scan(t.strings, p.strings, func(v [][]parquet.Value) error {
		text := ""
		if len(v[0]) > 0 {
			text = strings.ToValidUTF8(string(v[0][0].ByteArray()), "\uFFFD")
		}
		s.Strings = append(s.Strings, text)
		return nil
	})
	if err == nil {
		err = t.scan(t.mappings, p.mappings, func(v [][]parquet.Value) error {
			s.Mappings = append(s.Mappings, Mapping{
				Start: number(v[0]), Limit: number(v[1]), Offset: number(v[2]),
				File: uint32(number(v[3])), BuildID: uint32(number(v[4])), HasFunctions: number(v[5]) != 0,
			})
			return nil
		})
	}
	if err == nil {
		err = t.scan(t.functions, p.functions, func(v [][]parquet.Value) error {
			s.Functions = append(s.Functions, Function{
				Name: uint32(number(v[0])), SystemName: uint32(number(v[1])), File: uint32(number(v[2])), StartLine: int64(number(v[3])),
			})
			return nil
		})
	}
	if err == nil {
		err = t.scan(t.locations, p.locations, func(v [][]parquet.Value) error {
			functions, lines := list(v[2]), list(v[3])
			if len(functions) != len(lines) {
				return wrong(t.locations.name, "location %d has %d functions and %d lines", len(s.Locations), len(functions), len(lines))
			}
			l := Location{Mapping: uint32(number(v[0])), Address: number(v[1])}
			for i := range functions {
				l.Lines = append(l.Lines, Line{uint32(scalar(functions[i])), int64(scalar(lines[i]))})
			}
			s.Locations = append(s.Locations, l)
			return nil
		})
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t *symbolTables) scan(from *table, spans []span, fn func([][]parquet.Value) error) error {
	if spans == nil {
		return from.rows(fn)
	}
	return from.spans(spans, fn)
}

// check looks whether everything refers to something.
func (s *Symbols) check() error {
	str := uint32(len(s.Strings))
	for i, m := range s.Mappings {
		if m.File >= str || m.BuildID >= str {
			return wrong(mappingsFile, "mapping %d refers to the strings %d and %d of %d", i, m.File, m.BuildID, str)
		}
	}
	for i, f := range s.Functions {
		if f.Name >= str || f.SystemName >= str || f.File >= str {
			return wrong(functionsFile, "function %d refers to the strings %d, %d and %d of %d", i, f.Name, f.SystemName, f.File, str)
		}
	}
	for i := range s.Locations {
		l := &s.Locations[i]
		// Where a profile has no mappings, locations refer to the first all the same.
		if l.Mapping >= uint32(len(s.Mappings)) && (l.Mapping > 0 || len(s.Mappings) > 0) {
			return wrong(locationsFile, "location %d refers to mapping %d of %d", i, l.Mapping, len(s.Mappings))
		}
		for _, line := range l.Lines {
			if line.Function >= uint32(len(s.Functions)) {
				return wrong(locationsFile, "location %d refers to function %d of %d", i, line.Function, len(s.Functions))
			}
		}
	}
	return nil
}

// trees makes the stacks of s those of some trees.
func (s *Symbols) trees(trees []tree) {
	s.stacks = func(id uint64, dst []uint32) ([]uint32, error) {
		for _, t := range trees {
			if id < t.first || id-t.first >= uint64(len(t.nodes)) {
				continue
			}
			for n := int32(id - t.first); n > 0; n = t.nodes[n].parent {
				l := t.nodes[n].location
				if l >= uint32(len(s.Locations)) {
					return dst, wrong(symdbDataFile, "node %d refers to location %d of %d", n, l, len(s.Locations))
				}
				dst = append(dst, l)
			}
			return dst, nil
		}
		return dst, wrong(symdbDataFile, "there is no stack trace %d", id)
	}
}

// tree is the stack traces with the IDs from first on.
type tree struct {
	first uint64
	nodes []node
}

// lists makes the stacks of s lists of locations.
func (s *Symbols) lists(lists [][]uint32) {
	s.stacks = func(id uint64, dst []uint32) ([]uint32, error) {
		if id >= uint64(len(lists)) {
			return dst, wrong(stacksFile, "there is no stack trace %d", id)
		}
		for _, l := range lists[id] {
			if l >= uint32(len(s.Locations)) {
				return dst, wrong(stacksFile, "stack trace %d refers to location %d of %d", id, l, len(s.Locations))
			}
		}
		return append(dst, lists[id]...), nil
	}
}
