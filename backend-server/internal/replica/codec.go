package replica

import (
	"encoding/binary"
	"math"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Encoding is a version of the encodings below. They are for processes of a
// cluster, which may be of two versions: a process reads all of them, and of units
// and rows writes the one that whoever asks can read. Each begins with its number.
type Encoding byte

// The encodings that this process knows.
const (
	// Encoding2 says nothing of when running totals began to grow by what a row
	// says; it had databases in this place, which nobody reads any more.
	Encoding2 Encoding = 2
	Encoding3 Encoding = 3

	Newest = Encoding3
)

// Sizes of the smallest encoded things, in bytes.
const (
	leastUnit  = 3*len(ulid.ULID{}) + 1
	leastEntry = 8 + 8 + 1 + 1 + 1 + 8
	leastRow   = 8 + 1 + 1
	leastPick  = 1 + 1 + 1
	leastRef   = 2
)

func begin(what string, b []byte, newest Encoding) (cursor.Cursor, Encoding) {
	c := cursor.New(what, b)
	v := Encoding(c.Byte())
	if c.Err() == nil && (v < Encoding2 || v > newest) {
		c.Fail("encoding %d; this process knows %d to %d", v, Encoding2, newest)
	}
	return c, v
}

func end(c *cursor.Cursor) error {
	if len(c.Rest()) > 0 {
		c.Fail("%d bytes follow the end", len(c.Rest()))
	}
	return c.Err()
}

// AppendUnits appends encoded units to dst.
func AppendUnits(dst []byte, e Encoding, units []Unit) []byte {
	dst = binary.AppendUvarint(append(dst, byte(e)), uint64(len(units)))
	for i := range units {
		u := &units[i]
		dst = append(append(append(dst, u.ID[:]...), u.Parent[:]...), u.Source[:]...)
		if e == Encoding2 {
			dst = append(dst, 0)
		}
		dst = binary.AppendUvarint(dst, uint64(len(u.Entries)))
		for i := range u.Entries {
			dst = u.Entries[i].append(dst, e)
		}
	}
	return dst
}

func (e *Entry) append(dst []byte, encoding Encoding) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Series.Hi)
	dst = binary.BigEndian.AppendUint64(dst, e.Series.Lo)
	dst = append(binary.AppendVarint(dst, e.Window), flag(e.Counter))
	switch {
	case encoding == Encoding2:
		dst = append(dst, 0)
	case e.Counter:
		dst = binary.AppendVarint(binary.AppendVarint(dst, int64(e.Reach.Begin)), int64(e.Reach.End))
	}
	return binary.BigEndian.AppendUint64(binary.AppendUvarint(dst, e.Count), e.Sum)
}

func (e *Entry) read(c *cursor.Cursor, encoding Encoding) {
	*e = Entry{Series: Series{c.Uint64(), c.Uint64()}, Window: c.Varint(), Counter: c.Byte() != 0}
	switch {
	case encoding == Encoding2:
		if c.Uvarint(); e.Counter {
			e.Reach = unknownReach(e.Window)
		}
	case e.Counter:
		e.Reach = query.Reach{Begin: profile.UnixMilli(c.Varint()), End: profile.UnixMilli(c.Varint())}
	}
	e.Digest = Digest{Count: c.Uvarint(), Sum: c.Uint64()}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// DecodeUnits reads what AppendUnits wrote.
func DecodeUnits(b []byte) ([]Unit, error) {
	c, encoding := begin("units", b, Newest)
	units := make([]Unit, c.Count(leastUnit))
	for i := range units {
		u := &units[i]
		copy(u.ID[:], c.Take(uint64(len(u.ID))))
		copy(u.Parent[:], c.Take(uint64(len(u.Parent))))
		copy(u.Source[:], c.Take(uint64(len(u.Source))))
		if encoding == Encoding2 {
			for range c.Count(len(ulid.ULID{})) {
				c.Take(uint64(len(ulid.ULID{})))
			}
		}
		u.Entries = make([]Entry, c.Count(leastEntry))
		for n := range u.Entries {
			u.Entries[n].read(&c, encoding)
		}
	}
	return units, end(&c)
}

// AppendRefs appends encoded references to dst.
func AppendRefs(dst []byte, refs []Ref) []byte {
	dst = binary.AppendUvarint(append(dst, byte(Encoding2)), uint64(len(refs)))
	for _, r := range refs {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.Unit)), uint64(r.Entry))
	}
	return dst
}

// maxIndex bounds indices of units and entries, so that they are ints anywhere.
const maxIndex = 1<<31 - 1

// DecodeRefs reads what AppendRefs wrote. The units and entries need not exist.
func DecodeRefs(b []byte) ([]Ref, error) {
	c, _ := begin("references", b, Encoding2)
	refs := make([]Ref, c.Count(leastRef))
	for i := range refs {
		refs[i] = Ref{Unit: int(c.Index(maxIndex)), Entry: int(c.Index(maxIndex))}
	}
	return refs, end(&c)
}

// AppendRows appends encoded lists of rows to dst.
func AppendRows(dst []byte, e Encoding, lists [][]Row) []byte {
	dst = binary.AppendUvarint(append(dst, byte(e)), uint64(len(lists)))
	for _, rows := range lists {
		dst = binary.AppendUvarint(dst, uint64(len(rows)))
		last := profile.UnixMilli(0)
		for _, r := range rows {
			dst = binary.BigEndian.AppendUint64(dst, r.ID)
			dst = binary.AppendVarint(dst, int64(r.Time-last))
			dst = binary.AppendUvarint(dst, uint64(r.Total))
			if e >= Encoding3 {
				dst = binary.AppendUvarint(dst, uint64(r.Since))
			}
			last = r.Time
		}
	}
	return dst
}

// DecodeRows reads what AppendRows wrote.
func DecodeRows(b []byte) ([][]Row, error) {
	c, encoding := begin("rows", b, Newest)
	lists := make([][]Row, c.Count(1))
	for i := range lists {
		lists[i] = make([]Row, c.Count(leastRow))
		last := profile.UnixMilli(0)
		for n := range lists[i] {
			r := Row{ID: c.Uint64(), Time: last + profile.UnixMilli(c.Varint()), Total: int64(c.Uvarint())}
			if encoding >= Encoding3 {
				since := c.Uvarint()
				if since > math.MaxUint32 {
					c.Fail("a running total grew since %d ms; the limit is %d", since, uint32(math.MaxUint32))
				}
				r.Since = uint32(since)
			}
			lists[i][n], last = r, r.Time
		}
	}
	return lists, end(&c)
}

// AppendPicks appends encoded picks to dst.
func AppendPicks(dst []byte, picks []Pick) []byte {
	dst = binary.AppendUvarint(append(dst, byte(Encoding2)), uint64(len(picks)))
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
	c, _ := begin("picks", b, Encoding2)
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
