package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   connect.Code
		status int
	}{
		{errors.New("x"), connect.CodeInternal, 500},
		{fault.New(fault.Invalid, "x"), connect.CodeInvalidArgument, 400},
		{fmt.Errorf("outer: %w", fault.New(fault.Invalid, "x")), connect.CodeInvalidArgument, 400},
		{fault.New(fault.TooLarge, "x"), connect.CodeInvalidArgument, 413},
		{fault.New(fault.NotFound, "x"), connect.CodeNotFound, 404},
		{fault.New(fault.Unauthenticated, "x"), connect.CodeUnauthenticated, 401},
		{fault.New(fault.Exhausted, "x"), connect.CodeResourceExhausted, 429},
		{fault.New(fault.Unavailable, "x"), connect.CodeUnavailable, 503},
		{fault.New(fault.Unimplemented, "x"), connect.CodeUnimplemented, 501},
		{fault.New(fault.Corrupt, "x"), connect.CodeDataLoss, 500},
		{fmt.Errorf("read: %w", context.Canceled), connect.CodeCanceled, 499},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), connect.CodeDeadlineExceeded, http.StatusGatewayTimeout},
		{fault.New(fault.Unavailable, "stopping: %w", context.Canceled), connect.CodeUnavailable, 503},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			require.Equal(t, c.code, Code(c.err))
			require.Equal(t, c.code, connect.CodeOf(Error(c.err)))
			require.Equal(t, c.status, HTTPStatus(c.err))
		})
	}
	require.NoError(t, Error(nil))
	own := connect.NewError(connect.CodeAborted, errors.New("x"))
	require.Equal(t, connect.CodeAborted, connect.CodeOf(Error(own)))
}

func TestWhenToTryAgain(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 7 * time.Second: "7", 7001 * time.Millisecond: "8"} {
		err := fmt.Errorf("left: %w", &upload.RetryError{Err: fault.New(fault.Exhausted, "too many queries"), After: after})
		var rpc *connect.Error
		require.ErrorAs(t, Error(err), &rpc)
		require.Equal(t, connect.CodeResourceExhausted, rpc.Code())
		require.Equal(t, want, rpc.Meta().Get("Retry-After"))
		w := httptest.NewRecorder()
		WriteError(w, err)
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		require.Equal(t, want, w.Header().Get("Retry-After"))
	}
	require.Empty(t, RetryAfter(fault.New(fault.Exhausted, "x")))
}

func TestWriteError(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, fault.New(fault.TooLarge, "body of 5 bytes; limit 4"))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"code":"invalid_argument","message":"body of 5 bytes; limit 4"}`, w.Body.String())
}

func TestEveryKindHasAnOutcome(t *testing.T) {
	for k := fault.Unknown; k <= fault.Corrupt; k++ {
		require.Contains(t, outcomes, k)
	}
}

func TestLabels(t *testing.T) {
	pairs := FromLabels(labels.FromStrings("b", "2", "a", "1\xff"))
	require.Equal(t, []profile.LabelPair{{Name: "a", Value: "1\uFFFD"}, {Name: "b", Value: "2"}}, ToPairs(pairs))
}

func TestAcceptsUTF8Labels(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                false,
		"*/*":                             false,
		"*/*;allow-utf8-labelnames=true":  true,
		"*/*; allow-utf8-labelnames=true": true,
		"a/b, */*; Allow-UTF8-LabelNames = true; q=1": true,
		"*/*;allow-utf8-labelnames=false":             false,
	} {
		require.Equal(t, want, AcceptsUTF8Labels([]string{"text/plain", header}), header)
	}
}

func TestPlainName(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "_a9": true, "__name__": true, "": false, "9a": false, "a.b": false, "a-b": false, "ä": false} {
		require.Equal(t, want, PlainName(name), name)
	}
}

func TestProtoCodec(t *testing.T) {
	c := protoCodec{}
	for _, m := range []proto.Message{
		&querierv1.SeriesRequest{Matchers: []string{"{}"}, Start: 5},
		wrapperspb.String("no generated methods"),
	} {
		want, err := proto.Marshal(m)
		require.NoError(t, err)
		got, err := c.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for _, dst := range [][]byte{nil, []byte("ab"), append(make([]byte, 0, 1000), "ab"...)} {
			got, err = c.MarshalAppend(dst, m)
			require.NoError(t, err)
			require.Equal(t, string(dst)+string(want), string(got))
		}
		back := m.ProtoReflect().New().Interface()
		require.NoError(t, c.Unmarshal(want, back))
		require.True(t, proto.Equal(m, back))
	}
	require.ErrorContains(t, c.Unmarshal([]byte{0xff}, &querierv1.SeriesRequest{}), "no querier.v1.SeriesRequest")
	_, err := c.Marshal(5)
	require.Error(t, err)
}
