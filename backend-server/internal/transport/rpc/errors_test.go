package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// kinds are all of them, by the names that they have.
func kinds() []fault.Kind {
	var all []fault.Kind
	for k := fault.Unknown; !strings.HasPrefix(k.String(), "kind "); k++ {
		all = append(all, k)
	}
	return all
}

func TestErrorsArriveAsTheyWere(t *testing.T) {
	var sent []error
	for _, k := range kinds() {
		sent = append(sent,
			fault.New(k, "field %q: 5 is over the limit 3", "x"),
			fault.Reason(k, "rate_limited", "slower"),
			&upload.RetryError{Err: fmt.Errorf("push: %w", fault.Reason(k, "rate_limited", "slower")), After: 1500 * time.Millisecond},
		)
	}
	sent = append(sent, errors.New("no kind"), fault.New(fault.Unavailable, "stopped: %w", context.Canceled))
	_, addr, _ := serve(t, settings(t), &script{do: func(_ context.Context, in string) (string, error) {
		var n int
		_, _ = fmt.Sscan(in, &n)
		return "", sent[n]
	}})
	cc := conn(t, newPool(t, settings(t)), addr)
	for n, want := range sent {
		_, got := do(t.Context(), cc, fmt.Sprint(n))
		require.EqualError(t, got, want.Error())
		require.Equal(t, fault.KindOf(want), fault.KindOf(got), "%v", want)
		require.Equal(t, fault.ReasonOf(want), fault.ReasonOf(got), "%v", want)
		var hint, wanted *upload.RetryError
		require.Equal(t, errors.As(want, &wanted), errors.As(got, &hint))
		if wanted != nil {
			require.Equal(t, wanted.After, hint.After)
		}
		require.Equal(t, got, ToFault(got), "twice does no harm")
		require.Equal(t, ToStatus(want).Error(), ToStatus(ToStatus(want)).Error())
	}
}

func TestErrorsOfOtherVersions(t *testing.T) {
	newer := func(code codes.Code, kind int32) error {
		s, err := status.New(code, "it").WithDetails(protoadapt.MessageV1Of(&hearthv1.Failure{Kind: hearthv1.FailureKind(kind), Reason: "why"}))
		require.NoError(t, err)
		return ToFault(s.Err())
	}
	got := newer(codes.InvalidArgument, 99)
	require.True(t, fault.Is(got, fault.Invalid))
	require.Equal(t, "why", fault.ReasonOf(got))
	require.True(t, fault.Is(newer(codes.Aborted, 99), fault.Unknown))
	require.True(t, fault.Is(newer(codes.ResourceExhausted, 99), fault.Exhausted))
	require.True(t, fault.Is(ToFault(status.Error(codes.ResourceExhausted, "grpc: received message larger than max")), fault.TooLarge))
}

func TestErrorsThatDoNotTravel(t *testing.T) {
	require.NoError(t, ToStatus(nil))
	require.NoError(t, ToFault(nil))
	require.Equal(t, io.EOF, ToFault(io.EOF))
	require.Equal(t, context.Canceled, ToFault(ToStatus(context.Canceled)))
	require.ErrorIs(t, ToFault(ToStatus(fmt.Errorf("read: %w", context.DeadlineExceeded))), context.DeadlineExceeded)

	long := ToFault(ToStatus(fault.New(fault.Invalid, "%s\xff", strings.Repeat("é", maxText))))
	require.LessOrEqual(t, len(long.Error()), maxText+8)
	require.True(t, fault.Is(long, fault.Invalid))
	require.True(t, fault.Is(ToFault(ToStatus(fault.Reason(fault.Corrupt, "a\xffb", "\xff"))), fault.Corrupt))
}
