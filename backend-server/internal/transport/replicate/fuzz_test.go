package replicate

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// FuzzPush: whatever another process sends, it gets an answer under its number,
// and none that says a record is stored which the ingester has not seen; and
// whatever that answer is, it is read or refused.
func FuzzPush(f *testing.F) {
	add := func(m proto.Message) {
		b, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(b)
	}
	add(&hearthv1.PushRequest{Id: 7, Tenant: "t", TimeoutNs: 1e9, Records: batch(f, 2).Append(nil, []int{0, 1})})
	add(&hearthv1.PushRequest{Id: 1 << 60, Tenant: "..", TimeoutNs: -1})
	add(writeAnswer(3, 2, []error{nil, fault.New(fault.Exhausted, "full")}))
	add(refusal(3, fault.New(fault.Unavailable, "not now")))
	seen := 0
	s := NewServer(ingester(func(_ context.Context, _ string, recs []profile.Record) []error {
		seen = len(recs)
		return nil
	}), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var req hearthv1.PushRequest
		var in incoming
		freed := 0
		if err := in.Read(raw, func() { freed++ }); err != nil {
			require.Error(t, proto.Unmarshal(raw, &req))
			require.Equal(t, 1, freed)
		}
		if proto.Unmarshal(raw, &req) == nil {
			require.True(t, proto.Equal(&req, &in.PushRequest))
			require.Zero(t, freed)
			seen = 0
			answer := s.serve(context.Background(), &in.PushRequest)
			require.Equal(t, req.GetId(), answer.GetId())
			require.EqualValues(t, seen, answer.GetRecords())
			_, err := readAnswer(answer, seen)
			require.Equal(t, len(answer.GetFailures()) > 0, err != nil)
		}
		var answer hearthv1.PushResponse
		if proto.Unmarshal(raw, &answer) == nil {
			errs, err := readAnswer(&answer, 2)
			require.True(t, err != nil || errs == nil || len(errs) == 2)
			if err == nil {
				require.EqualValues(t, 2, answer.GetRecords())
			}
		}
	})
}
