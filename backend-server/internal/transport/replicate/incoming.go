package replicate

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// incoming is a PushRequest whose records stay where gRPC has put them, until
// free. They are most of it: to copy them would cost as much as to decode them.
type incoming struct {
	hearthv1.PushRequest
	free func()
}

var _ rpc.Received = (*incoming)(nil)

// Read implements rpc.Received.
func (in *incoming) Read(b []byte, free func()) error {
	rest, records, err := cutRecords(b)
	if err == nil {
		err = proto.Unmarshal(rest, &in.PushRequest)
	}
	if err != nil {
		free()
		return err
	}
	in.Records, in.free = records, free
	return nil
}

// cutRecords takes the field with the records out of an encoded PushRequest. If
// it is there several times the last counts, as always in protobuf.
func cutRecords(b []byte) (rest, records []byte, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		if number != fieldRecords || kind != protowire.BytesType {
			rest = append(rest, b[:n]...)
		} else {
			_, _, tag := protowire.ConsumeTag(b)
			records, _ = protowire.ConsumeBytes(b[tag:n])
		}
		b = b[n:]
	}
	return rest, records, nil
}
