package symbols

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
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

func (l *lane) function(name, system, file, line uint64) uint64 {
	return fold(fold(name^l.key[0], system^l.key[1])^file, line^l.key[2])
}

func (l *lane) mapping(file, build, has uint64) uint64 {
	return fold(fold(file^l.key[3], build^l.key[4]), has^l.key[5])
}

// line adds a frame to the digest of a location, which begins as that of its
// mapping and takes the address as the first.
func (l *lane) line(h, function, line uint64) uint64 { return fold(h^function, line^l.key[6]) }

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
		name, system, file := d.strings[f.Name], d.strings[f.SystemName], d.strings[f.Filename]
		d.functions[i] = digest{
			h.a.function(name.a, system.a, file.a, uint64(f.StartLine)),
			h.b.function(name.b, system.b, file.b, uint64(f.StartLine)),
		}
	}
	d.mappings = sized(d.mappings, len(t.Mappings))
	for i := range t.Mappings {
		m := &t.Mappings[i]
		file, build, has := d.strings[m.File], d.strings[m.BuildID], boolByte(m.HasFunctions)
		d.mappings[i] = digest{h.a.mapping(file.a, build.a, has), h.b.mapping(file.b, build.b, has)}
	}
	d.locations = sized(d.locations, len(t.Locations))
	for i := range t.Locations {
		d.locations[i] = d.location(h, &t.Locations[i], t.Lines)
	}
}

func (d *digests) location(h *hasher, l *profile.Location, lines []profile.Line) digest {
	out := d.mappings[l.Mapping]
	out.a, out.b = h.a.line(out.a, 0, l.Address), h.b.line(out.b, 0, l.Address)
	for _, line := range lines[l.LineStart:l.LineEnd] {
		f := d.functions[line.Function]
		out.a, out.b = h.a.line(out.a, f.a, uint64(line.Line)), h.b.line(out.b, f.b, uint64(line.Line))
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
