package replicate

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// The fields of PushRequest, which the client writes by hand.
const (
	fieldID      = 1
	fieldTenant  = 2
	fieldTimeout = 3
	fieldRecords = 4
	fieldTrace   = 5
)

// outgoing is a PushRequest on its way out: its records lie in memory of their
// own, which is given to gRPC.
type outgoing struct {
	head    []byte // all fields but the records, and the tag and length of these
	records mem.Buffer
}

var _ rpc.Written = (*outgoing)(nil)

func newOutgoing(id uint64, tenantID string, timeoutNanos int64, trace string, records mem.Buffer) *outgoing {
	head := make([]byte, 0, 48+len(tenantID)+len(trace))
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldID, protowire.VarintType), id)
	head = protowire.AppendString(protowire.AppendTag(head, fieldTenant, protowire.BytesType), tenantID)
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldTimeout, protowire.VarintType), uint64(timeoutNanos))
	if trace != "" {
		head = protowire.AppendString(protowire.AppendTag(head, fieldTrace, protowire.BytesType), trace)
	}
	head = protowire.AppendVarint(protowire.AppendTag(head, fieldRecords, protowire.BytesType), uint64(records.Len()))
	return &outgoing{head, records}
}

// Write implements rpc.Written.
func (o *outgoing) Write() mem.BufferSlice {
	return mem.BufferSlice{mem.SliceBuffer(o.head), o.records}
}
