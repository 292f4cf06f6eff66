package replica

import (
	"encoding/binary"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// The encodings below are for processes of a cluster, which may be of two
// versions. Each begins with the version of its format.
const codecVersion = 2

// Sizes of the smallest encoded things, in bytes.
const (
	leastUnit  = 3*len(ulid.ULID{}) + 2
	leastEntry = 8 + 8 + 1 + 1 + 1 + 1 + 8
	leastRow   = 8 + 1 + 1
	leastPick  = 1 + 1 + 1
	leastRef   = 2
)

func begin(what string, b []byte) cursor.Cursor {
	c := cursor.New(what, b)
	if v := c.Byte(); c.Err() == nil && v != codecVersion {
		c.Fail("version %d; this process knows %d", v, codecVersion)
	}
	return c
}

func end(c *cursor.Cursor) error {
	if len(c.Rest()) > 0 {
		c.Fail("%d bytes follow the end", len(c.Rest()))
	}
	return c.Err()
}

// AppendUnits appends encoded units to dst.
func AppendUnits(dst []byte, units []Unit) []byte {
	dst = binary.AppendUvarint(append(dst, codecVersion), uint64(len(units)))
	for i := range units {
		u := &units[i]
		dst = append(append(append(dst, u.ID[:]...), u.Parent[:]...), u.Source[:]...)
		dst = binary.AppendUvarint(dst, uint64(len(u.Lineage)))
		for _, id := range u.Lineage {
			dst = append(dst, id[:]...)
		}
		dst = binary.AppendUvarint(dst, uint64(len(u.Entries)))
		for _, e := range u.Entries {
			dst = binary.BigEndian.AppendUint64(dst, e.Series.Hi)
			dst = binary.BigEndian.AppendUint64(dst, e.Series.Lo)
			dst = binary.AppendVarint(dst, e.Window)
			dst = binary.AppendUvarint(append(dst, flag(e.Counter)), e.Lineage)
			dst = binary.AppendUvarint(dst, e.Count)
			dst = binary.BigEndian.AppendUint64(dst, e.Sum)
		}
	}
	return dst
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// DecodeUnits reads what AppendUnits wrote.
func DecodeUnits(b []byte) ([]Unit, error) {
	c := begin("units", b)
	units := make([]Unit, c.Count(leastUnit))
	for i := range units {
		u := &units[i]
		copy(u.ID[:], c.Take(uint64(len(u.ID))))
		copy(u.Parent[:], c.Take(uint64(len(u.Parent))))
		copy(u.Source[:], c.Take(uint64(len(u.Source))))
		if n := c.Count(len(ulid.ULID{})); n > 0 {
			u.Lineage = make([]ulid.ULID, n)
		}
		for n := range u.Lineage {
			copy(u.Lineage[n][:], c.Take(uint64(len(ulid.ULID{}))))
		}
		u.Entries = make([]Entry, c.Count(leastEntry))
		for n := range u.Entries {
			u.Entries[n] = Entry{
				Series: Series{c.Uint64(), c.Uint64()}, Window: c.Varint(), Counter: c.Byte() != 0, Lineage: c.Uvarint(),
				Digest: Digest{Count: c.Uvarint(), Sum: c.Uint64()},
			}
		}
	}
	return units, end(&c)
}

// AppendRefs appends encoded references to dst.
func AppendRefs(dst []byte, refs []Ref) []byte {
	dst = binary.AppendUvarint(append(dst, codecVersion), uint64(len(refs)))
	for _, r := range refs {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.Unit)), uint64(r.Entry))
	}
	return dst
}

// maxIndex bounds indices of units and entries, so that they are ints anywhere.
const maxIndex = 1<<31 - 1

// DecodeRefs reads what AppendRefs wrote. The units and entries need not exist.
func DecodeRefs(b []byte) ([]Ref, error) {
	c := begin("references", b)
	refs := make([]Ref, c.Count(leastRef))
	for i := range refs {
		refs[i] = Ref{Unit: int(c.Index(maxIndex)), Entry: int(c.Index(maxIndex))}
	}
	return refs, end(&c)
}

// AppendRows appends encoded lists of rows to dst.
func AppendRows(dst []byte, lists [][]Row) []byte {
	dst = binary.AppendUvarint(append(dst, codecVersion), uint64(len(lists)))
	for _, rows := range lists {
		dst = binary.AppendUvarint(dst, uint64(len(rows)))
		last := profile.UnixMilli(0)
		for _, r := range rows {
			dst = binary.BigEndian.AppendUint64(dst, r.ID)
			dst = binary.AppendVarint(dst, int64(r.Time-last))
			dst = binary.AppendUvarint(dst, uint64(r.Total))
			last = r.Time
		}
	}
	return dst
}

// DecodeRows reads what AppendRows wrote.
func DecodeRows(b []byte) ([][]Row, error) {
	c := begin("rows", b)
	lists := make([][]Row, c.Count(1))
	for i := range lists {
		lists[i] = make([]Row, c.Count(leastRow))
		last := profile.UnixMilli(0)
		for n := range lists[i] {
			r := Row{ID: c.Uint64(), Time: last + profile.UnixMilli(c.Varint()), Total: int64(c.Uvarint())}
			lists[i][n], last = r, r.Time
		}
	}
	return lists, end(&c)
}

// AppendPicks appends encoded picks to dst.
func AppendPicks(dst []byte, picks []Pick) []byte {
	dst = binary.AppendUvarint(append(dst, codecVersion), uint64(len(picks)))
	for _, p := range picks {
		dst = append(binary.AppendUvarint(dst, uint64(p.Unit)), flag(p.All))
		dst = binary.AppendUvarint(dst, uint64(len(p.Entries)))
		for _, e := range p.Entries {
			dst = append(binary.AppendUvarint(dst, uint64(e.Entry)), flag(e.IDs != nil))
			if e.IDs == nil {
				continue
			}
			dst = binary.AppendUvarint(dst, uint64(len(e.IDs)))
			for _, id := range e.IDs {
				dst = binary.BigEndian.AppendUint64(dst, id)
			}
		}
	}
	return dst
}

// DecodePicks reads what AppendPicks wrote. The units and entries need not
// exist.
func DecodePicks(b []byte) ([]Pick, error) {
	c := begin("picks", b)
	picks := make([]Pick, c.Count(leastPick))
	for i := range picks {
		p := &picks[i]
		p.Unit, p.All = int(c.Index(maxIndex)), c.Byte() != 0
		if n := c.Count(leastRef); n > 0 {
			p.Entries = make([]EntryPick, n)
		}
		for n := range p.Entries {
			e := &p.Entries[n]
			e.Entry = int(c.Index(maxIndex))
			if c.Byte() == 0 {
				continue
			}
			e.IDs = make([]uint64, c.Count(8))
			for k := range e.IDs {
				e.IDs[k] = c.Uint64()
			}
		}
	}
	return picks, end(&c)
}
