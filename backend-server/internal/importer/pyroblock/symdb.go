package pyroblock

import (
	"encoding/binary"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Layout of symbols/index.symdb: a header of 16 bytes (magic, version), then the
// place of the partitions' headers as size and offset, the headers, a checksum.
const (
	symdbMagic   = "sym1"
	symdbHeader  = 16
	chunkSize    = 64
	groupVarints = 1 // the encoding of trees
	allNodes     = 1<<32 - 1
)

// chunk is where a tree of stack traces lies in symbols/stacktraces.symdb. Its
// stacks have the IDs from number*maxNodes on.
type chunk struct {
	offset, size    uint64
	number          uint16
	nodes, maxNodes uint32
	sum             uint32 // CRC-32C of the tree
}

// partition is where the symbols of a partition are.
type partition struct {
	chunks []chunk
	// Rows of the tables; all are nil where the tables have no partitions.
	locations, mappings, functions, strings []span
}

// readSymdbIndex returns the partitions by their IDs.
func readSymdbIndex(file []byte) (map[uint64]*partition, error) {
	if len(file) < symdbHeader+16 || string(file[:4]) != symdbMagic {
		return nil, wrong(symdbIndexFile, "of %d bytes, it does not begin with %q", len(file), symdbMagic)
	}
	version := binary.BigEndian.Uint32(file[4:])
	if version != 1 && version != 2 {
		return nil, wrong(symdbIndexFile, "version %d; this program reads 1 and 2", version)
	}
	if _, err := checked(file, symdbIndexFile); err != nil {
		return nil, err
	}
	size, offset := binary.BigEndian.Uint64(file[symdbHeader:]), binary.BigEndian.Uint64(file[symdbHeader+8:])
	if size > uint64(len(file)) || offset > uint64(len(file))-size {
		return nil, wrong(symdbIndexFile, "headers of %d bytes at %d in a file of %d", size, offset, len(file))
	}
	c := &cursor{rest: file[offset : offset+size]}
	out := map[uint64]*partition{}
	if version == 1 {
		for len(c.rest) >= chunkSize {
			id, ch, err := readChunk(c.bytes(chunkSize))
			if err != nil {
				return nil, err
			}
			if out[id] == nil {
				out[id] = new(partition)
			}
			out[id].chunks = append(out[id].chunks, ch)
		}
		return out, nil
	}
	for n := c.uint32(); n > 0; n-- {
		id, p, err := readPartition(c)
		if err != nil {
			return nil, err
		}
		out[id] = p
	}
	return out, nil
}

func readPartition(c *cursor) (uint64, *partition, error) {
	id := c.uint64()
	var counts [5]uint32 // trees, spans of locations, mappings, functions, strings
	need := uint64(0)
	for i := range counts {
		counts[i] = c.uint32()
		if i == 0 {
			need += uint64(counts[i]) * chunkSize
		} else {
			need += uint64(counts[i]) * 12
		}
	}
	if c.bad || need > uint64(len(c.rest)) {
		return 0, nil, wrong(symdbIndexFile, "the header of partition %016x needs %d bytes; there are %d", id, need, len(c.rest))
	}
	p := new(partition)
	for range counts[0] {
		_, ch, err := readChunk(c.bytes(chunkSize))
		if err != nil {
			return 0, nil, err
		}
		p.chunks = append(p.chunks, ch)
	}
	for i, to := range []*[]span{&p.locations, &p.mappings, &p.functions, &p.strings} {
		*to = []span{}
		for range counts[i+1] {
			*to = append(*to, span{c.uint32(), c.uint32(), c.uint32()})
		}
	}
	return id, p, nil
}

func readChunk(b []byte) (id uint64, ch chunk, err error) {
	if encoding := b[27]; encoding != groupVarints {
		return 0, ch, wrong(symdbIndexFile, "stack traces in the encoding %d; this program reads %d", encoding, groupVarints)
	}
	be := binary.BigEndian
	ch = chunk{
		offset: be.Uint64(b), size: be.Uint64(b[8:]), number: be.Uint16(b[24:]),
		nodes: be.Uint32(b[36:]), maxNodes: be.Uint32(b[44:]), sum: be.Uint32(b[60:]),
	}
	return be.Uint64(b[16:]), ch, nil
}

// node is a node of a tree of stack traces: a location called from parent.
type node struct {
	parent   int32 // -1 for the root, which is node 0
	location uint32
}

// readTree decodes a tree: pairs of numbers, two pairs a group of varints.
func readTree(b []byte, nodes uint32) ([]node, error) {
	// A pair takes two bytes at the least.
	if uint64(nodes) > uint64(len(b)) {
		return nil, wrong(symdbDataFile, "%d nodes in %d bytes", nodes, len(b))
	}
	out := make([]node, 0, nodes)
	parent := int32(0)
	var group [4]uint32
	for i := uint32(0); i < nodes; i++ {
		if i%2 == 0 {
			n := readGroup(b, &group)
			if n == 0 {
				return nil, wrong(symdbDataFile, "ends within node %d of %d", i, nodes)
			}
			b = b[n:]
		}
		change, location := group[2*(i%2)], group[2*(i%2)+1]
		parent += int32(change>>1) ^ -int32(change&1)
		if parent >= int32(i) || parent < 0 && i > 0 {
			return nil, wrong(symdbDataFile, "the parent of node %d is %d", i, parent)
		}
		out = append(out, node{parent, location})
	}
	return out, nil
}

// readGroup reads four numbers: a byte with their lengths, the first one's in the
// low bits, then the numbers, low bytes first. It returns how many bytes that
// took, 0 if there are too few.
func readGroup(b []byte, to *[4]uint32) int {
	if len(b) == 0 {
		return 0
	}
	at := 1
	for i := range to {
		size := int(b[0]>>(2*i)&3) + 1
		if at+size > len(b) {
			return 0
		}
		to[i] = 0
		for j := range size {
			to[i] |= uint32(b[at+j]) << (8 * j)
		}
		at += size
	}
	return at
}

var errNoSymdb3 = fault.New(fault.Unimplemented, "the symbols are in one file, %s, which this program does not read", symdbOneFile)
