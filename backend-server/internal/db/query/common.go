package query

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// common is symbols that several tables have in common, each once. It grows
// into a profile without samples.
type common struct {
	out *profile.Profile

	strings   map[string]uint32
	functions map[profile.Function]uint32
	mappings  map[profile.Mapping]uint32
	locations map[locationKey]uint32
	lines     map[lineKey]uint32
}

// locationKey is a location of which the lines are numbered: 0 is none, others
// are made one line at a time, from the one without its last line.
type locationKey struct {
	mapping, lines uint32
	address        uint64
}

type lineKey struct {
	before uint32
	profile.Line
}

// newCommon returns what no table lacks, with room for the largest of the given
// ones: the units of a service have most of their symbols in common.
func newCommon(parts []*stackSums) *common {
	var texts, functions, locations, lines int
	for _, p := range parts {
		texts, functions = max(texts, len(p.table.Strings)), max(functions, len(p.table.Functions))
		locations, lines = max(locations, len(p.table.Locations)), max(lines, len(p.table.Lines))
	}
	c := &common{
		out: &profile.Profile{
			Strings: append(make([]string, 0, texts), ""), Mappings: []profile.Mapping{{}},
			Functions: make([]profile.Function, 0, functions), Lines: make([]profile.Line, 0, lines),
			Locations: make([]profile.Location, 0, locations), LabelSets: [][]profile.LabelPair{nil},
		},
		strings:   make(map[string]uint32, texts),
		functions: make(map[profile.Function]uint32, functions),
		mappings:  map[profile.Mapping]uint32{{}: 0},
		locations: make(map[locationKey]uint32, locations),
		lines:     make(map[lineKey]uint32, lines),
	}
	c.strings[""] = 0
	return c
}

// index returns the place of k in list, at the end of which v is put if it is
// new.
func index[K comparable, V any](known map[K]uint32, k K, list *[]V, v V) uint32 {
	i, ok := known[k]
	if !ok {
		i = uint32(len(*list))
		*list = append(*list, v)
		known[k] = i
	}
	return i
}

// bytes estimates the memory held.
func (c *common) bytes() int64 {
	return int64(len(c.strings))*64 + int64(len(c.functions))*64 + int64(len(c.mappings))*96 + int64(len(c.locations)+len(c.lines))*80
}

// adoption translates the symbols of one table into common ones.
type adoption struct {
	to   *common
	from *symbols.Table
	// Index and one more by index in the table; 0 is not yet known.
	strings, functions, mappings, locations []uint32
}

func (c *common) adopt(t *symbols.Table) *adoption {
	return &adoption{
		to: c, from: t,
		strings: make([]uint32, len(t.Strings)), functions: make([]uint32, len(t.Functions)),
		mappings: make([]uint32, len(t.Mappings)), locations: make([]uint32, len(t.Locations)),
	}
}

// once is a list of indices that are worked out when they are first asked for.
func once(list []uint32, i uint32, find func(uint32) uint32) uint32 {
	if list[i] == 0 {
		list[i] = find(i) + 1
	}
	return list[i] - 1
}

func (a *adoption) text(i uint32) uint32 {
	return once(a.strings, i, func(i uint32) uint32 {
		s := a.from.Strings[i]
		return index(a.to.strings, s, &a.to.out.Strings, s)
	})
}

func (a *adoption) function(i uint32) uint32 {
	return once(a.functions, i, func(i uint32) uint32 {
		f := a.from.Functions[i]
		f.Name, f.SystemName, f.Filename = a.text(f.Name), a.text(f.SystemName), a.text(f.Filename)
		return index(a.to.functions, f, &a.to.out.Functions, f)
	})
}

func (a *adoption) mapping(i uint32) uint32 {
	return once(a.mappings, i, func(i uint32) uint32 {
		m := a.from.Mappings[i]
		m.File, m.BuildID = a.text(m.File), a.text(m.BuildID)
		return index(a.to.mappings, m, &a.to.out.Mappings, m)
	})
}

func (a *adoption) location(i uint32) uint32 {
	return once(a.locations, i, func(i uint32) uint32 {
		l := a.from.Locations[i]
		key := locationKey{mapping: a.mapping(l.Mapping), address: l.Address}
		out := a.to.out
		start := uint32(len(out.Lines))
		for _, line := range a.from.Lines[l.LineStart:l.LineEnd] {
			line.Function = a.function(line.Function)
			out.Lines = append(out.Lines, line)
			k := lineKey{key.lines, line}
			if a.to.lines[k] == 0 {
				a.to.lines[k] = uint32(len(a.to.lines)) + 1
			}
			key.lines = a.to.lines[k]
		}
		known := len(out.Locations)
		at := index(a.to.locations, key, &out.Locations, profile.Location{
			Mapping: key.mapping, Address: l.Address, LineStart: start, LineEnd: uint32(len(out.Lines)),
		})
		if known == len(out.Locations) {
			out.Lines = out.Lines[:start] // it is there already, and so are its lines
		}
		return at
	})
}
