package rpc

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// written is a message that is there already.
type written string

func (w written) Write() mem.BufferSlice { return mem.BufferSlice{mem.SliceBuffer(w)} }

// TestCodec: messages of all sizes, in one piece and in many, in memory that
// has held others.
func TestCodec(t *testing.T) {
	c := newCodec()
	for _, n := range []int{0, 1, smallBuffer, leastBuffer, leastBuffer + 1, 100, mostBuffer, mostBuffer * 2, leastBuffer, 7} {
		want := wrapperspb.String(strings.Repeat("x", n))
		out, err := c.Marshal(want)
		require.NoError(t, err)
		whole := out.Materialize()
		out.Free()
		for _, pieces := range []int{1, 2, 7} {
			var in mem.BufferSlice
			for i := range pieces {
				in = append(in, mem.SliceBuffer(whole[i*len(whole)/pieces:(i+1)*len(whole)/pieces]))
			}
			var got wrapperspb.StringValue
			require.NoError(t, c.Unmarshal(in, &got))
			require.Equal(t, want.Value, got.Value)
		}
	}
	out, err := c.Marshal(written("abc"))
	require.NoError(t, err)
	require.Equal(t, "abc", string(out.Materialize()))
	_, err = c.Marshal("abc")
	require.ErrorContains(t, err, "string is no protobuf message")
	require.ErrorContains(t, c.Unmarshal(nil, new(int)), "*int is no protobuf message")
	require.Error(t, c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("\xff"), mem.SliceBuffer("\xff")}, new(wrapperspb.StringValue)))
}
