package head

import "encoding/binary"

// arena is memory for the samples of rows. What was placed in it never moves
// and is never written again, so a reader that has the list of chunks needs no
// lock.
type arena struct {
	chunks [][]byte // each at its full length
	next   spot     // where free begins
	free   []byte   // the rest of the chunk that is being filled
	size   int      // of the last chunk made to be filled
	bytes  int64    // of all chunks
}

// spot is where something lies in an arena.
type spot struct{ chunk, offset uint32 }

const (
	firstChunk = 1 << 10
	lastChunk  = 64 << 10
)

// place copies a row's samples and spans into the arena: uvarint length of each,
// then both.
func (a *arena) place(data, spans []byte) spot {
	var lengths [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(lengths[:], uint64(len(data)))
	n += binary.PutUvarint(lengths[n:], uint64(len(spans)))
	at, b := a.room(n + len(data) + len(spans))
	b = b[copy(b, lengths[:n]):]
	copy(b[copy(b, data):], spans)
	return at
}

// room takes n bytes.
func (a *arena) room(n int) (spot, []byte) {
	if n > lastChunk/4 { // a chunk of its own; the other one goes on being filled
		return a.add(n), a.chunks[len(a.chunks)-1]
	}
	if len(a.free) < n {
		a.size = min(max(2*a.size, firstChunk, n), lastChunk)
		a.next = a.add(a.size)
		a.free = a.chunks[a.next.chunk]
	}
	at, b := a.next, a.free[:n]
	a.next.offset += uint32(n)
	a.free = a.free[n:]
	return at, b
}

func (a *arena) add(size int) spot {
	a.chunks = append(a.chunks, make([]byte, size))
	a.bytes += int64(size)
	return spot{chunk: uint32(len(a.chunks) - 1)}
}

// placed returns what place put at a spot.
func placed(chunks [][]byte, at spot) (data, spans []byte) {
	b := chunks[at.chunk][at.offset:]
	size, n := binary.Uvarint(b)
	b = b[n:]
	other, n := binary.Uvarint(b)
	b = b[n:]
	return b[:size:size], b[size : size+other : size+other]
}
