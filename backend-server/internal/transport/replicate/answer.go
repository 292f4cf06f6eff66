package replicate

import (
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// writeAnswer makes the answer to a push of n records. Equal errors, which is
// what most failures come in, are told once.
func writeAnswer(id uint64, n int, errs []error) *hearthv1.PushResponse {
	out := &hearthv1.PushResponse{Id: id, Records: uint32(n)}
	byText := map[string]*hearthv1.PushFailure{}
	for i, err := range errs {
		if err == nil {
			continue
		}
		text := encodeError(err)
		f := byText[string(text)]
		if f == nil {
			f = &hearthv1.PushFailure{Status: text}
			byText[string(text)] = f
			out.Failures = append(out.Failures, f)
		}
		f.Records = append(f.Records, uint32(i))
	}
	return out
}

// refusal is the answer to a push that could not be read.
func refusal(id uint64, err error) *hearthv1.PushResponse {
	return &hearthv1.PushResponse{Id: id, Failures: []*hearthv1.PushFailure{{Status: encodeError(err)}}}
}

func encodeError(err error) []byte {
	b, err := proto.Marshal(status.Convert(rpc.ToStatus(err)).Proto())
	if err != nil {
		return nil // read as an error of no known kind
	}
	return b
}

func decodeError(b []byte) error {
	var s spb.Status
	if err := proto.Unmarshal(b, &s); err != nil {
		return fault.New(fault.Unavailable, "the ingester's answer has an error that cannot be read: %w", err)
	}
	if err := rpc.ToFault(status.ErrorProto(&s)); err != nil {
		return err
	}
	return fault.New(fault.Unavailable, "the ingester's answer has an error without a code: %q", s.GetMessage())
}

// readAnswer returns the errors of the n records of a push, nil if there are
// none, or the error that is about all of them (S3).
func readAnswer(a *hearthv1.PushResponse, n int) ([]error, error) {
	var errs []error
	for _, f := range a.GetFailures() {
		err := decodeError(f.GetStatus())
		if len(f.GetRecords()) == 0 {
			return nil, err
		}
		for _, i := range f.GetRecords() {
			if int64(i) >= int64(n) {
				return nil, fault.New(fault.Unavailable, "the ingester's answer names record %d of a push of %d", i, n)
			}
			if errs == nil {
				errs = make([]error, n)
			}
			errs[i] = err
		}
	}
	if int64(a.GetRecords()) != int64(n) {
		return nil, fault.New(fault.Unavailable, "the ingester's answer is about %d records, the push had %d", a.GetRecords(), n)
	}
	return errs, nil
}
