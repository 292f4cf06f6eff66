package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// TestNobodyElseAnswers: at the address of a member there may be a process of
// another cluster, or another member, before the ring says so (P5).
func TestNobodyElseAnswers(t *testing.T) {
	ours := WithIdentity("ours ☂", "i1")
	_, addr, _ := serve(t, settings(t), &script{do: echo, talk: func(s grpc.ServerStream) error {
		return s.SendMsg(wrapperspb.String("hello"))
	}}, ours)
	for name, c := range map[string]struct {
		pool []Option
		id   string
		err  string
	}{
		"it is meant":            {[]Option{ours}, "i1", ""},
		"another member":         {[]Option{ours}, "i2", "i2 was called, and this is i1 (-instance.id)"},
		"another cluster":        {[]Option{WithIdentity("", "i1")}, "i1", `a process of the cluster "" was called, and this one is of "ours ☂" (-memberlist.cluster-label)`},
		"it knows of no cluster": {nil, "i1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cc, err := newPool(t, settings(t), c.pool...).Member(c.id, addr)
			require.NoError(t, err)
			_, err = do(t.Context(), cc, "hello")
			stream, streamErr := talk(t.Context(), cc)
			require.NoError(t, streamErr)
			streamErr = ToFault(stream.RecvMsg(new(wrapperspb.StringValue)))
			if c.err == "" {
				require.NoError(t, err)
				require.NoError(t, streamErr)
				return
			}
			for _, err := range []error{err, streamErr} {
				require.Equal(t, fault.Unavailable, fault.KindOf(err))
				require.EqualError(t, err, c.err)
			}
		})
	}
	// Older versions do not say whom they call.
	_, err := do(t.Context(), conn(t, newPool(t, settings(t)), addr), "hello")
	require.NoError(t, err)
}
