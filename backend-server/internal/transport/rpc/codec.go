package rpc

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Written is a message whose bytes exist already. Write gives them away: gRPC
// frees them when they are on the wire, or cannot be sent.
type Written interface {
	Write() mem.BufferSlice
}

// Received is a message that is read in place. Read may keep b until it calls
// free, which it does once, also if it fails.
type Received interface {
	Read(b []byte, free func()) error
}

// codec is the protobuf codec with memory that suits messages of this size:
// gRPC's own has buffers of 32 KiB and then of 1 MiB, and clears all of one each
// time. It also sends what is Written, and reads what is Received.
type codec struct{ buffers *Buffers }

var _ encoding.CodecV2 = codec{}

func newCodec() codec { return codec{new(Buffers)} }

// Name is what the other side knows the codec by.
func (codec) Name() string { return "proto" }

// Marshal encodes a message.
func (c codec) Marshal(message any) (mem.BufferSlice, error) {
	if w, ok := message.(Written); ok {
		return w.Write(), nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	size := proto.Size(m)
	b := c.buffers.Get(size)
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*b)[:0], m)
	if err != nil {
		c.buffers.Put(b)
		return nil, err
	}
	*b = out
	return mem.BufferSlice{mem.NewBuffer(b, c.buffers)}, nil
}

// Unmarshal decodes a message, which keeps nothing of data unless it is Received.
func (c codec) Unmarshal(data mem.BufferSlice, message any) error {
	if r, ok := message.(Received); ok {
		return c.read(data, r)
	}
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if len(data) == 1 {
		return proto.Unmarshal(data[0].ReadOnlyData(), m)
	}
	b := c.buffers.Get(data.Len())
	defer c.buffers.Put(b)
	data.CopyTo(*b)
	return proto.Unmarshal(*b, m)
}

func (c codec) read(data mem.BufferSlice, r Received) error {
	if len(data) == 1 {
		data.Ref()
		return r.Read(data[0].ReadOnlyData(), data.Free)
	}
	b := c.buffers.Get(data.Len())
	data.CopyTo(*b)
	return r.Read(*b, func() { c.buffers.Put(b) })
}

// Buffers is memory for messages that is used again. The zero value is ready for
// use, by many goroutines.
type Buffers struct{ pool sync.Pool }

var _ mem.BufferPool = (*Buffers)(nil)

// What is kept for the next message is enough for most, and no more than few
// need.
const (
	leastBuffer = 64 << 10
	mostBuffer  = 4 << 20
	smallBuffer = 4 << 10 // not worth keeping
)

// Get implements mem.BufferPool. The buffer may hold anything.
func (p *Buffers) Get(n int) *[]byte {
	if n <= smallBuffer {
		b := make([]byte, n)
		return &b
	}
	b, ok := p.pool.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	if cap(*b) < n {
		*b = make([]byte, n, max(leastBuffer, n+n/4))
	}
	*b = (*b)[:n]
	return b
}

// Put implements mem.BufferPool.
func (p *Buffers) Put(b *[]byte) {
	if n := cap(*b); n >= leastBuffer && n <= mostBuffer {
		p.pool.Put(b)
	}
}
