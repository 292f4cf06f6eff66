package job

import (
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// failed returns the message for an error of a querier.
func failed(err error) *hearthv1.AskResponse {
	b, marshalling := proto.Marshal(status.Convert(rpc.ToStatus(err)).Proto())
	if marshalling != nil {
		b = nil
	}
	if len(b) == 0 { // it must not be taken for an answer
		b, _ = proto.Marshal(&spb.Status{Code: 2, Message: "the querier failed"})
	}
	return &hearthv1.AskResponse{Failure: b}
}

// failure returns the error in a message, if there is one.
func failure(m *hearthv1.AskResponse) error {
	if len(m.GetFailure()) == 0 {
		return nil
	}
	s := new(spb.Status)
	if err := proto.Unmarshal(m.GetFailure(), s); err != nil {
		return fault.New(fault.Corrupt, "encoded error of a querier: %w", err)
	}
	return rpc.ToFault(status.ErrorProto(s))
}
