package rpc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCall is a call with a small question and an answer of some size.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{100, 100_000, 8 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			answer := strings.Repeat("x", size)
			_, addr, _ := serve(b, settings(b), &script{do: func(context.Context, string) (string, error) { return answer, nil }})
			cc := conn(b, newPool(b, settings(b)), addr)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_, err := do(b.Context(), cc, "")
				require.NoError(b, err)
			}
		})
	}
}
