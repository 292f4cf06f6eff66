package replicate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
)

// Ingester stores records. Push returns nil, or an error or nil for each
// record; what has no error is durable. It keeps nothing of the records.
type Ingester interface {
	Push(ctx context.Context, tenantID string, recs []profile.Record) []error
}

// What may be worked on at a time, of all streams together: bytes of messages,
// and pushes, each of which counts as leastWork at the least. Streams wait with
// reading for what is above that.
const (
	maxWork   = 256 << 20
	leastWork = maxWork / 256
)

// Timeouts of pushes: that of a sender that names none, and the longest.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = time.Minute
)

// Server takes pushes in for the ingester of this process.
type Server struct {
	hearthv1.UnimplementedReplicationServer
	ingester Ingester
	logger   *slog.Logger
	metrics  *serverMetrics
	work     *semaphore.Weighted
	decoders sync.Pool // of *flat.Decoder
}

// NewServer returns a server in front of an ingester.
func NewServer(ing Ingester, reg prometheus.Registerer, logger *slog.Logger) *Server {
	return &Server{
		ingester: ing, logger: logger, metrics: newServerMetrics(reg), work: semaphore.NewWeighted(maxWork),
		decoders: sync.Pool{New: func() any { return new(flat.Decoder) }},
	}
}

// Register makes the server known to those who take calls.
func (s *Server) Register(r grpc.ServiceRegistrar) { hearthv1.RegisterReplicationServer(r, s) }

// Push serves one stream.
func (s *Server) Push(wire grpc.BidiStreamingServer[hearthv1.PushRequest, hearthv1.PushResponse]) error {
	var sending sync.Mutex
	var running sync.WaitGroup
	defer running.Wait()
	for {
		in := new(incoming)
		err := wire.RecvMsg(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		req := &in.PushRequest
		weight := min(max(int64(len(req.GetRecords())), leastWork), maxWork)
		if err := s.work.Acquire(wire.Context(), weight); err != nil {
			in.free()
			return err
		}
		running.Go(func() {
			answer := s.serve(wire.Context(), req)
			in.free() // the ingester keeps nothing of the records
			// A sender that does not read its answers must not keep work from others.
			s.work.Release(weight)
			sending.Lock()
			defer sending.Unlock()
			// If the stream has ended nobody waits for the answer.
			_ = wire.Send(answer)
		})
	}
}

// serve answers one request (S4).
func (s *Server) serve(ctx context.Context, req *hearthv1.PushRequest) (answer *hearthv1.PushResponse) {
	start, size := time.Now(), float64(len(req.GetRecords()))
	s.metrics.working.Add(size)
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("push panicked", "tenant", req.GetTenant(), "panic", p, "stack", string(debug.Stack()))
			answer = refusal(req.GetId(), fault.New(fault.Unknown, "internal error: the push made the ingester panic; its log has the details"))
		}
		s.metrics.working.Sub(size)
		s.metrics.duration.WithLabelValues(answerOutcome(answer)).Observe(time.Since(start).Seconds())
	}()
	if err := check(req); err != nil {
		return refusal(req.GetId(), err)
	}
	dec := s.decoders.Get().(*flat.Decoder)
	defer func() {
		dec.Reset()
		s.decoders.Put(dec)
	}()
	recs, err := dec.Records(req.GetRecords())
	if err != nil {
		// It is not the client's fault, and another ingester may know better.
		return refusal(req.GetId(), fault.New(fault.Unavailable, "the push cannot be read: %w", err))
	}
	timeout := time.Duration(req.GetTimeoutNs())
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(tenant.With(context.WithoutCancel(ctx), req.GetTenant()), min(timeout, maxTimeout))
	defer cancel()
	ctx, span := tracing.Start(tracing.Continue(ctx, req.GetTrace()), "ingester: push", attribute.Int("records", len(recs)))
	errs := s.ingester.Push(ctx, req.GetTenant(), recs)
	span.End(errors.Join(errs...))
	return writeAnswer(req.GetId(), len(recs), errs)
}

// check reports what is wrong with a request besides its records.
func check(req *hearthv1.PushRequest) error {
	if n := len(req.ProtoReflect().GetUnknown()); n > 0 {
		return fault.New(fault.Unavailable, "the push has %d bytes of fields that this ingester does not know: the distributor is of a newer version", n)
	}
	if err := tenant.Validate(req.GetTenant()); err != nil {
		return fault.New(fault.Unavailable, "the push has no proper tenant: %w", err)
	}
	return nil
}
