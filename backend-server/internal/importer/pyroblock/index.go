package pyroblock

import (
	"encoding/binary"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Layout of index.tsdb: a header of 5 bytes, sections, and at the end a table of
// contents: seven offsets (symbols, series, label indices and their table,
// postings and their table, fingerprints), the times of the first and the last
// profile, a checksum.
const (
	indexMagic   = 0xBAAAD700
	indexVersion = 2
	indexHeader  = 5
	tocSize      = 9*8 + 4
	seriesAlign  = 16
	fingerprint  = 8
)

// readIndex returns the labels of the series, by the index that rows of profiles
// refer to.
func readIndex(file []byte) (map[uint32]labels.Labels, error) {
	if len(file) < indexHeader+tocSize || binary.BigEndian.Uint32(file) != indexMagic || file[4] != indexVersion {
		return nil, fault.New(fault.Corrupt, "%s: of %d bytes, it is no index of version %d", IndexFile, len(file), indexVersion)
	}
	raw, err := checked(file[len(file)-tocSize:], IndexFile+": table of contents")
	if err != nil {
		return nil, err
	}
	toc := cursor{rest: raw}
	symbolsAt, seriesAt := toc.uint64(), toc.uint64()
	end := uint64(len(file) - tocSize)
	for range 5 {
		if at := toc.uint64(); at > seriesAt {
			end = min(end, at)
		}
	}
	symbols, err := readSymbols(file, symbolsAt, seriesAt)
	if err != nil {
		return nil, err
	}
	out := map[uint32]labels.Labels{}
	for at := align(seriesAt); at < end; {
		size, n := binary.Uvarint(file[at:end])
		if n <= 0 || size == 0 {
			break // what follows is padding
		}
		next := at + uint64(n) + size + 4
		if size > end || next > end {
			return nil, fault.New(fault.Corrupt, "%s: series at byte %d: has %d bytes, beyond byte %d", IndexFile, at, size, end)
		}
		body, err := checked(file[at+uint64(n):next], IndexFile+": series")
		if err != nil {
			return nil, err
		}
		ref, ls, err := readSeries(body, symbols)
		if err != nil {
			return nil, err
		}
		if _, twice := out[ref]; twice {
			return nil, fault.New(fault.Corrupt, "%s: there are two series %d", IndexFile, ref)
		}
		out[ref] = ls
		at = align(next)
	}
	return out, nil
}

func align(at uint64) uint64 { return (at + seriesAlign - 1) / seriesAlign * seriesAlign }

func readSymbols(file []byte, from, to uint64) ([]string, error) {
	what := IndexFile + ": symbols"
	b, err := part(file, what, from, to)
	if err != nil {
		return nil, err
	}
	c := cursor{rest: b}
	size := uint64(c.uint32())
	body := c.bytes(size + 4)
	if c.bad {
		return nil, fault.New(fault.Corrupt, "%s: have %d bytes; there are %d", what, size, len(b))
	}
	if body, err = checked(body, what); err != nil {
		return nil, err
	}
	c = cursor{rest: body}
	var out []string
	for n := c.uint32(); n > 0 && !c.bad; n-- {
		out = append(out, strings.ToValidUTF8(string(c.bytes(c.uvarint())), "\uFFFD"))
	}
	if c.bad {
		return nil, fault.New(fault.Corrupt, "%s: end within symbol %d", what, len(out))
	}
	return out, nil
}

// readSeries reads a series: a fingerprint, the labels, and in the place of
// chunks one with the number of the series.
func readSeries(body []byte, symbols []string) (uint32, labels.Labels, error) {
	c := cursor{rest: body}
	c.bytes(fingerprint)
	b := labels.NewScratchBuilder(0)
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		name, value := c.uvarint(), c.uvarint()
		if name >= uint64(len(symbols)) || value >= uint64(len(symbols)) {
			return 0, labels.Labels{}, fault.New(fault.Corrupt, "%s: a label of symbols %d and %d of %d", IndexFile, name, value, len(symbols))
		}
		b.Add(symbols[name], symbols[value])
	}
	chunks := c.uvarint()
	c.uvarint() // time of the first profile
	c.uvarint() // and how much later the last one is
	c.uvarint() // a size, not used
	ref := c.uvarint()
	if c.bad || chunks == 0 || ref > 1<<32-1 {
		return 0, labels.Labels{}, fault.New(fault.Corrupt, "%s: a series of %d bytes has %d references, the first to %d", IndexFile, len(body), chunks, ref)
	}
	b.Sort()
	return uint32(ref), b.Labels(), nil
}
