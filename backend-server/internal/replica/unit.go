package replica

import (
	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Window is the length of the windows that profiles are compared by, in
// milliseconds. They begin at its multiples, like the blocks of a database, so
// that a block mostly lies in one.
const Window = query.DigestWindow

func windowOf(t profile.UnixMilli) int64 { return query.WindowOf(t) }

// Series stands for a series of one profile type: a hash of its labels.
type Series struct{ Hi, Lo uint64 }

// SeriesOf returns what stands for labels, those of the profile type included.
// It is the same in all processes and versions.
func SeriesOf(ls labels.Labels) Series {
	var h xxhash.Digest
	h.ResetWithSeed(seriesSeed)
	ls.Range(func(l labels.Label) {
		_, _ = h.WriteString(l.Name) // never fails
		_, _ = h.Write(separator)
		_, _ = h.WriteString(l.Value)
		_, _ = h.Write(separator)
	})
	return Series{h.Sum64(), labels.StableHash(ls)}
}

const seriesSeed = 0x6865617274680a

var separator = []byte{0xff} // no byte of UTF-8

// Digest stands for a set of profiles of one series.
type Digest query.Digest

// add puts a row into the set.
func (d *Digest) add(id uint64, total int64) { (*query.Digest)(d).Add(id, total) }

// merge puts another set, which has nothing in common with it, into the set.
func (d *Digest) merge(o Digest) {
	d.Count += o.Count
	d.Sum += o.Sum
}

func mix(x uint64) uint64 { return query.Mix(x) }

// Unit is what a store says of a head or a block that a question concerns.
type Unit struct {
	query.Origin
	Entries []Entry
}

// Entry is what a unit has of a series in a window.
type Entry struct {
	Series  Series
	Window  int64
	Counter bool        // see profile.IsCounter
	Reach   query.Reach // of a counter
	Digest
}

// Ref names an entry of a store: the index of the unit, and that of the entry
// in it.
type Ref struct{ Unit, Entry int }

// Row is one profile of an entry.
type Row struct {
	ID    uint64
	Time  profile.UnixMilli
	Total int64
	Since uint32 // of a counter, see query.Row
}

// Pick is what was chosen of a unit.
type Pick struct {
	Unit int
	// All says that it was everything; then Entries is empty.
	All     bool
	Entries []EntryPick
}

// EntryPick is what was chosen of an entry.
type EntryPick struct {
	Entry int
	IDs   []uint64 // ascending; nil stands for the whole entry
}
