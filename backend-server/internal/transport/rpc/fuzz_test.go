package rpc

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// FuzzToFault takes whatever another process may send as an error; going round
// once more changes nothing.
func FuzzToFault(f *testing.F) {
	for _, k := range kinds() {
		b, err := proto.Marshal(status.Convert(ToStatus(fault.Reason(k, "why", "text"))).Proto())
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s statuspb.Status
		if proto.Unmarshal(b, &s) != nil || s.GetCode() == 0 {
			return
		}
		err := ToFault(status.ErrorProto(&s))
		require.Error(t, err)
		again := ToFault(ToStatus(err))
		require.Equal(t, fault.KindOf(err), fault.KindOf(again))
		require.Equal(t, errors.Is(err, context.Canceled), errors.Is(again, context.Canceled))
		require.Equal(t, errors.Is(err, context.DeadlineExceeded), errors.Is(again, context.DeadlineExceeded))
	})
}
