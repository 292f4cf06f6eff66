package replicate

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The fields of PushRequest, which the client writes by hand.
const (
	fieldID      = 1
	fieldTenant  = 2
	fieldTimeout = 3
	fieldRecords = 4
)

// outgoing is a PushRequest on its way out: its records lie in memory of their
// own, which the codec gives to gRPC.
type outgoing struct {
	head    []byte // all fields but the records, and the tag and length of these
	records mem.Buffer
}

func newOutgoing(id uint64, tenantID string, timeoutNanos int64, records mem.Buffer) *outgoing {
	head := make([]byte, 0, 48+len(tenantID))
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldID, protowire.VarintType), id)
	head = protowire.AppendString(protowire.AppendTag(head, fieldTenant, protowire.BytesType), tenantID)
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldTimeout, protowire.VarintType), uint64(timeoutNanos))
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldRecords, protowire.BytesType), uint64(records.Len()))
	return &outgoing{head, records}
}

// codec is the protobuf codec but for outgoing messages.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// Name is what the other side knows the codec by.
func (codec) Name() string { return "proto" }

// Marshal gives the memory of the records away: gRPC frees it.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(*outgoing)
	if !ok {
		return nil, fmt.Errorf("%T is no outgoing push", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(out.head), out.records}, nil
}

// buffers is memory for messages on their way out. gRPC's own pool has nothing
// between 32 KiB and 1 MiB, and clears all of it each time.
type buffers struct{ sync.Pool }

var _ mem.BufferPool = (*buffers)(nil)

// Buffers that are kept are of at least a usual push, and of what few exceed.
const (
	leastBuffer = 64 << 10
	mostBuffer  = 4 << 20
)

// Get implements mem.BufferPool. The buffer may hold anything.
func (p *buffers) Get(n int) *[]byte {
	b, ok := p.Pool.Get().(*[]byte)
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
func (p *buffers) Put(b *[]byte) {
	if cap(*b) <= mostBuffer {
		p.Pool.Put(b)
	}
}

// Unmarshal reads a protobuf message.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", v)
	}
	return proto.Unmarshal(data.Materialize(), m)
}
