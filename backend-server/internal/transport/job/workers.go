package job

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// Workers take questions from all schedulers and let an Asker answer them. They
// are a service; stopping waits for what they work on (J4).
type Workers struct {
	services.Service
	deps   WorkersDeps
	asker  question.Asker
	tracer trace.Tracer

	running   prometheus.Gauge
	connected prometheus.Gauge

	all sync.WaitGroup
	// slots are the workers by their scheduler. Only run uses it.
	slots map[target][]*slot
}

// target is the name and address of a query-scheduler.
type target struct{ id, addr string }

// WorkersDeps is what Workers need of their process.
type WorkersDeps struct {
	Querier    string // its name, one among all queriers
	Workers    int    // in all, but see fewestEach
	Schedulers Schedulers
	Pool       *rpc.Pool
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Tracer     trace.TracerProvider // nil: none
}

// fewestEach is how many workers a scheduler has of each querier at least: with
// one, it could keep none free for a tenant whose queries are few.
const fewestEach = 2

// How often workers look which schedulers there are.
const lookInterval = time.Second

// NewWorkers returns Workers that are not started.
func NewWorkers(asker question.Asker, deps WorkersDeps) *Workers {
	w := &Workers{
		deps: deps, asker: question.Guarded(asker, deps.Logger), slots: map[target][]*slot{},
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_querier_running_queries", Help: "Queries of query-schedulers that the querier works on.",
		}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_querier_connected_workers", Help: "Workers of the querier that are connected to a query-scheduler.",
		}),
	}
	if deps.Tracer == nil {
		deps.Tracer = noop.NewTracerProvider()
	}
	w.tracer = deps.Tracer.Tracer("github.com/hearth-profiles/hearth/backend-server/internal/transport/job")
	deps.Registerer.MustRegister(w.running, w.connected)
	w.Service = services.NewBasicService(nil, w.run, nil).WithName("query workers")
	return w
}

func (w *Workers) run(ctx context.Context) error {
	defer w.all.Wait()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		w.spread(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// spread starts and ends workers so that each scheduler has its share. Those of
// schedulers that take no questions any more end when these let them (J3).
func (w *Workers) spread(ctx context.Context) {
	peers := w.deps.Schedulers()
	want := map[target]int{}
	for i, p := range peers {
		n := w.deps.Workers / len(peers)
		if i < w.deps.Workers%len(peers) {
			n++
		}
		want[target{p.Id, p.Addr}] = max(n, min(fewestEach, w.deps.Workers))
	}
	for to, list := range w.slots {
		alive := list[:0]
		for _, s := range list {
			if !s.ended.Load() {
				alive = append(alive, s)
			}
		}
		if w.slots[to] = alive; len(alive) == 0 {
			delete(w.slots, to)
		}
		for _, s := range alive {
			s.last.Store(want[to] == 0)
		}
	}
	for to, n := range want {
		for len(w.slots[to]) < n {
			w.start(ctx, to)
		}
		for list := w.slots[to]; len(list) > n; list = w.slots[to] {
			list[len(list)-1].quit()
			w.slots[to] = list[:len(list)-1]
		}
	}
}

func (w *Workers) start(ctx context.Context, to target) {
	ctx, quit := context.WithCancel(ctx)
	s := &slot{w: w, to: to, quit: quit}
	w.slots[to] = append(w.slots[to], s)
	w.all.Go(func() {
		defer quit()
		s.run(ctx)
	})
}
