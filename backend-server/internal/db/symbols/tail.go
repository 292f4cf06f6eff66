package symbols

import (
	"encoding/binary"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Mark is the size of every table at some moment. What was added after a mark
// is the tail, the part that a log must hold before anything may refer to it.
type Mark struct {
	Strings, Mappings, Functions, Locations, Nodes, Stacks uint32
}

// Mark returns the sizes of the tables as they stand.
func (in *Interner) Mark() Mark {
	t := &in.t
	return Mark{uint32(len(t.Strings)), uint32(len(t.Mappings)), uint32(len(t.Functions)),
		uint32(len(t.Locations)), uint32(len(t.Nodes)), uint32(len(t.Stacks))}
}

// AppendTail appends what was added since from to dst, as a log keeps it:
//
//	six tables in the order strings, mappings, functions, locations, nodes,
//	stacks, each: uvarint first index, uvarint count, entries
//	string    uvarint length, bytes
//	mapping   uvarint start, limit, offset, file, build ID, has functions
//	function  uvarint name, system name, file name, varint start line
//	location  uvarint mapping, address, number of lines; per line uvarint
//	          function, varint line
//	node      uvarint distance to the parent, uvarint location
//	stack     uvarint node
func (in *Interner) AppendTail(dst []byte, from Mark) []byte {
	t := &in.t
	u, v := binary.AppendUvarint, binary.AppendVarint
	head := func(dst []byte, first uint32, size int) []byte {
		return u(u(dst, uint64(first)), uint64(size)-uint64(first))
	}
	dst = head(dst, from.Strings, len(t.Strings))
	for _, s := range t.Strings[from.Strings:] {
		dst = append(u(dst, uint64(len(s))), s...)
	}
	dst = head(dst, from.Mappings, len(t.Mappings))
	for _, m := range t.Mappings[from.Mappings:] {
		dst = u(u(u(u(u(dst, m.Start), m.Limit), m.Offset), uint64(m.File)), uint64(m.BuildID))
		dst = u(dst, boolByte(m.HasFunctions))
	}
	dst = head(dst, from.Functions, len(t.Functions))
	for _, f := range t.Functions[from.Functions:] {
		dst = v(u(u(u(dst, uint64(f.Name)), uint64(f.SystemName)), uint64(f.Filename)), f.StartLine)
	}
	dst = head(dst, from.Locations, len(t.Locations))
	for _, l := range t.Locations[from.Locations:] {
		dst = u(u(u(dst, uint64(l.Mapping)), l.Address), uint64(l.LineEnd-l.LineStart))
		for _, line := range t.Lines[l.LineStart:l.LineEnd] {
			dst = v(u(dst, uint64(line.Function)), line.Line)
		}
	}
	dst = head(dst, from.Nodes, len(t.Nodes))
	for i, n := range t.Nodes[from.Nodes:] {
		dst = u(u(dst, uint64(from.Nodes)+uint64(i)-uint64(n.Parent)), uint64(n.Location))
	}
	dst = head(dst, from.Stacks, len(t.Stacks))
	for _, s := range t.Stacks[from.Stacks:] {
		dst = u(dst, uint64(s))
	}
	return dst
}

func boolByte(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// LostName is the name of the frame that stands for symbols whose log record
// was destroyed. Values keep their place in every total.
const LostName = "[lost symbols]"

// ReplayTail adds a tail that AppendTail wrote and returns the bytes behind
// it. Where entries before the tail are missing, because their record was
// destroyed, it fills the gap with entries named LostName. A tail that cannot
// be read is Corrupt; the tables may then hold part of it, which is harmless.
func (in *Interner) ReplayTail(b []byte) ([]byte, error) {
	in.found = nil
	r := tailReader{cursor.New("symbol tail", b)}
	first, n := r.section(len(in.t.Strings))
	in.fill(Mark{Strings: first})
	for range n {
		in.t.Strings = append(in.t.Strings, in.text.cloneBytes(r.Take(r.Uvarint())))
	}
	first, n = r.section(len(in.t.Mappings))
	in.fill(Mark{Mappings: first})
	for range n {
		m := profile.Mapping{Start: r.Uvarint(), Limit: r.Uvarint(), Offset: r.Uvarint()}
		m.File, m.BuildID = r.Index(len(in.t.Strings)), r.Index(len(in.t.Strings))
		m.HasFunctions = r.Uvarint() != 0
		in.t.Mappings = append(in.t.Mappings, m)
	}
	first, n = r.section(len(in.t.Functions))
	in.fill(Mark{Functions: first})
	for range n {
		f := profile.Function{Name: r.Index(len(in.t.Strings)), SystemName: r.Index(len(in.t.Strings)), Filename: r.Index(len(in.t.Strings)), StartLine: r.Varint()}
		in.t.Functions = append(in.t.Functions, f)
	}
	first, n = r.section(len(in.t.Locations))
	in.fill(Mark{Locations: first})
	for range n {
		in.replayLocation(&r)
	}
	first, n = r.section(len(in.t.Nodes))
	in.fill(Mark{Nodes: first})
	for range n {
		up := r.Uvarint()
		size := uint64(len(in.t.Nodes))
		if up == 0 || up > size {
			r.Fail("node %d is %d above its parent", size, up)
		}
		loc := r.Index(len(in.t.Locations))
		if r.Err() != nil {
			break
		}
		in.t.Nodes = append(in.t.Nodes, Node{Parent: uint32(size - up), Location: loc})
	}
	first, n = r.section(len(in.t.Stacks))
	in.fill(Mark{Stacks: first})
	for range n {
		node := r.Index(len(in.t.Nodes))
		if r.Err() != nil {
			break
		}
		in.t.Stacks = append(in.t.Stacks, node)
	}
	return r.Rest(), r.Err()
}

func (in *Interner) replayLocation(r *tailReader) {
	l := profile.Location{Mapping: r.Index(len(in.t.Mappings)), Address: r.Uvarint()}
	lines := r.Count(2)
	l.LineStart = uint32(len(in.t.Lines))
	for range lines {
		in.t.Lines = append(in.t.Lines, profile.Line{Function: r.Index(len(in.t.Functions)), Line: r.Varint()})
	}
	l.LineEnd = uint32(len(in.t.Lines))
	if r.Err() == nil {
		in.t.Locations = append(in.t.Locations, l)
	}
}

// fill pads each table up to the size in m with entries named LostName.
func (in *Interner) fill(m Mark) {
	t := &in.t
	for int(m.Strings) > len(t.Strings) {
		t.Strings = append(t.Strings, LostName)
	}
	for int(m.Mappings) > len(t.Mappings) {
		t.Mappings = append(t.Mappings, profile.Mapping{})
	}
	for int(m.Functions) > len(t.Functions) {
		t.Functions = append(t.Functions, t.Functions[lostFunction])
	}
	for int(m.Locations) > len(t.Locations) {
		t.Locations = append(t.Locations, t.Locations[lostLocation])
	}
	for int(m.Nodes) > len(t.Nodes) {
		t.Nodes = append(t.Nodes, Node{Parent: 0, Location: lostLocation})
	}
	for int(m.Stacks) > len(t.Stacks) {
		t.Stacks = append(t.Stacks, lostNode)
	}
}

// tailReader reads the parts of a tail.
type tailReader struct{ cursor.Cursor }

// maxGap bounds how many entries a destroyed record may be taken to have
// held, so that a wrong number cannot make the tables grow without end.
const maxGap = 1 << 20

// section reads the head of a table's part: its first index, which may lie
// behind the size entries that are there but not before their end, and the
// number of entries.
func (r *tailReader) section(size int) (uint32, int) {
	first := r.Uvarint()
	if r.Err() == nil && (first < uint64(size) || first > uint64(size)+maxGap) {
		r.Fail("part begins at %d, the table has %d", first, size)
		return 0, 0
	}
	n := r.Count(1)
	return uint32(first), n
}
