package symbols

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
)

// digest is the fingerprint of a string, function, mapping, location or stack
// trace. It is made from contents alone, so equal things of two profiles have
// one digest. The two lanes know nothing of each other.
type digest struct{ a, b uint64 }

// hasher makes digests. Those of two hashers have nothing to do with each
// other.
type hasher struct {
	a, b lane
	mask uint64 // of the digests of strings: all ones, but for tests that want collisions
}

type lane struct {
	seed maphash.Seed
	key  [8]uint64
}

// common is the hasher that interners begin with, so that what is computed for
// a profile serves wherever the profile goes.
var common = newHasher()

func newHasher() *hasher { return &hasher{newLane(), newLane(), math.MaxUint64} }

func newLane() lane {
	l := lane{seed: maphash.MakeSeed()}
	for i := range l.key {
		l.key[i] = rand.Uint64() | 1 // odd, so that to multiply by it loses nothing
	}
	return l
}

// fold is a 64×64→128 bit multiplication whose halves are xored.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

func (h *hasher) text(s string) digest {
	return digest{maphash.String(h.a.seed, s) & h.mask, maphash.String(h.b.seed, s) & h.mask}
}

func (h *hasher) function(name, system, file digest, start int64) digest {
	return digest{h.a.function(name.a, system.a, file.a, start), h.b.function(name.b, system.b, file.b, start)}
}

func (l *lane) function(name, system, file uint64, start int64) uint64 {
	return fold(fold(name^l.key[0], system^l.key[1])^file, uint64(start)^l.key[2])
}

func (h *hasher) mapping(file, build digest, has bool) digest {
	return digest{h.a.mapping(file.a, build.a, boolByte(has)), h.b.mapping(file.b, build.b, boolByte(has))}
}

func (l *lane) mapping(file, build, has uint64) uint64 {
	return fold(fold(file^l.key[3], build^l.key[4]), has^l.key[5])
}

// address begins the digest of a location, to which line adds the frames.
func (h *hasher) address(mapping digest, address uint64) digest {
	return digest{fold(mapping.a, address^h.a.key[6]), fold(mapping.b, address^h.b.key[6])}
}

func (h *hasher) line(d, function digest, line int64) digest {
	return digest{h.a.line(d.a, function.a, line), h.b.line(d.b, function.b, line)}
}

func (l *lane) line(d, function uint64, line int64) uint64 {
	return fold(d^function, uint64(line)^l.key[6])
}

// frame adds a location to the digest of a stack trace. It is a bijection of h:
// stacks that differ somewhere cannot become equal by what they share after.
func (l *lane) frame(h, location uint64) uint64 {
	return bits.RotateLeft64((h^location)*l.key[7], 32)
}

func (l *lane) finish(h uint64) uint64 { return fold(h^l.key[1], l.key[2]) }

// digests are those of the contents of a profile or a table, by index.
type digests struct{ strings, functions, mappings, locations []digest }

// compute fills in d: one pass over each array, without any look-up.
func (d *digests) compute(h *hasher, t *Table) {
	d.strings = sized(d.strings, len(t.Strings))
	for i, s := range t.Strings {
		d.strings[i] = h.text(s)
	}
	d.functions = sized(d.functions, len(t.Functions))
	for i := range t.Functions {
		f := &t.Functions[i]
		d.functions[i] = h.function(d.strings[f.Name], d.strings[f.SystemName], d.strings[f.Filename], f.StartLine)
	}
	d.mappings = sized(d.mappings, len(t.Mappings))
	for i := range t.Mappings {
		m := &t.Mappings[i]
		d.mappings[i] = h.mapping(d.strings[m.File], d.strings[m.BuildID], m.HasFunctions)
	}
	d.locations = sized(d.locations, len(t.Locations))
	for i := range t.Locations {
		l := &t.Locations[i]
		out := h.address(d.mappings[l.Mapping], l.Address)
		for _, line := range t.Lines[l.LineStart:l.LineEnd] {
			out = h.line(out, d.functions[line.Function], line.Line)
		}
		d.locations[i] = out
	}
}

// location returns the digest of one location.
func (h *hasher) location(t *Table, i uint32) digest {
	l := &t.Locations[i]
	m := &t.Mappings[l.Mapping]
	out := h.address(h.mapping(h.text(t.Strings[m.File]), h.text(t.Strings[m.BuildID]), m.HasFunctions), l.Address)
	for _, line := range t.Lines[l.LineStart:l.LineEnd] {
		f := &t.Functions[line.Function]
		name, system, file := h.text(t.Strings[f.Name]), h.text(t.Strings[f.SystemName]), h.text(t.Strings[f.Filename])
		out = h.line(out, h.function(name, system, file, f.StartLine), line.Line)
	}
	return out
}

// stack returns the digest of a stack trace, given as the indices of its
// locations, the leaf first. It begins at the root, so that the digests of all
// stacks of a tree take one step a node.
func (h *hasher) stack(locations []digest, frames []uint32) digest {
	a, b := h.root()
	ka, kb := h.a.key[7], h.b.key[7]
	for i := len(frames) - 1; i >= 0; i-- { // frame, written out: it is most of the work
		l := &locations[frames[i]]
		a = bits.RotateLeft64((a^l.a)*ka, 32)
		b = bits.RotateLeft64((b^l.b)*kb, 32)
	}
	return digest{h.a.finish(a), h.b.finish(b)}
}

func (h *hasher) root() (a, b uint64) { return h.a.key[0], h.b.key[0] }

// nodes returns the unfinished digests of the nodes of a table.
func (h *hasher) nodes(locations []digest, nodes []Node) []digest {
	out := make([]digest, len(nodes))
	out[0].a, out[0].b = h.root()
	for i := 1; i < len(nodes); i++ {
		up, l := out[nodes[i].Parent], locations[nodes[i].Location]
		out[i] = digest{h.a.frame(up.a, l.a), h.b.frame(up.b, l.b)}
	}
	return out
}

func (h *hasher) finish(d digest) digest { return digest{h.a.finish(d.a), h.b.finish(d.b)} }

// sized returns a slice of n elements that mean nothing, s if it is large
// enough.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
