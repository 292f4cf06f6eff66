package tests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"
)

// ledger is what has been sent to a cluster. Every profile has a time and a
// value of its own, so the points of series at one millisecond a step tell
// exactly which profiles an answer counts, and how often.
type ledger struct {
	luck    *luck
	service string
	begin   time.Time

	mu     sync.Mutex
	clock  int64                      // milliseconds after begin that have been used
	values map[string]map[int64]int64 // of all that was sent: by pod and time
	acked  []*parcel                  // only ever appended to
}

// parcel is one push request: some profiles of some series.
type parcel struct {
	values map[string]map[int64]int64
	series []*pushv1.RawProfileSeries
}

// pods is the number of series, enough to have some on every three ingesters of
// five.
const pods = 24

func newLedger(t *testing.T, service string) *ledger {
	return &ledger{luck: newLuck(t), service: service, begin: time.Now().Add(-30 * time.Minute).Truncate(time.Millisecond), values: map[string]map[int64]int64{}}
}

// parcel makes a request of one to three profiles, of as many series.
func (l *ledger) parcel(t testing.TB) *parcel {
	p := &parcel{values: map[string]map[int64]int64{}}
	for range 1 + l.luck.below(3) {
		pod := fmt.Sprintf("pod-%d", l.luck.below(pods))
		l.mu.Lock()
		l.clock++
		at, value := l.begin.Add(time.Duration(l.clock)*time.Millisecond), 1000+l.clock
		note(l.values, pod, at.UnixMilli(), value)
		l.mu.Unlock()
		note(p.values, pod, at.UnixMilli(), value)
		p.series = append(p.series, rawSeries(map[string]string{"service_name": l.service, "pod": pod}, encode(t, at, value)))
	}
	return p
}

func note(values map[string]map[int64]int64, pod string, at, value int64) {
	if values[pod] == nil {
		values[pod] = map[int64]int64{}
	}
	values[pod][at] = value
}

func (l *ledger) ack(p *parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, p)
}

// promised returns what has been acknowledged by now, and the end of the times
// that have been used.
func (l *ledger) promised() (acked []*parcel, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.begin.Add(time.Duration(l.clock+1) * time.Millisecond)
}

// check compares an answer with what had been acknowledged before it was asked
// for: all of that must be there, and nothing may count otherwise than once.
func (l *ledger) check(acked []*parcel, got map[string]map[int64]int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, wrong, foreign, example := 0, 0, 0, ""
	for _, p := range acked {
		for pod, values := range p.values {
			for at := range values {
				if _, there := got[pod][at]; !there {
					lost++
					example = fmt.Sprintf("%s at %d", pod, at)
				}
			}
		}
	}
	for pod, values := range got {
		for at, value := range values {
			switch want, sent := l.values[pod][at]; {
			case !sent:
				foreign++
				example = fmt.Sprintf("%s at %d", pod, at)
			case want != value:
				wrong++
				example = fmt.Sprintf("%s at %d is %d; want %d", pod, at, value, want)
			}
		}
	}
	if lost+wrong+foreign == 0 {
		return nil
	}
	return fmt.Errorf("%d acknowledged profiles are lost, %d count otherwise than once, %d were never sent, e.g. %s", lost, wrong, foreign, example)
}

// totals adds up values.
func totals(values map[string]map[int64]int64) (sum int64, profiles int) {
	for _, m := range values {
		for _, v := range m {
			sum += v
		}
		profiles += len(m)
	}
	return sum, profiles
}

// selector selects what the ledger has sent.
func (l *ledger) selector() string { return fmt.Sprintf("{service_name=%q}", l.service) }

// points asks for all points of all series, and compares.
func (l *ledger) points(ctx context.Context, s *server) (map[string]map[int64]int64, error) {
	acked, end := l.promised()
	res, err := s.querier().SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: cpuType, LabelSelector: l.selector(), GroupBy: []string{"pod"}, Step: 0.001,
		Start: l.begin.UnixMilli(), End: end.UnixMilli(),
	}))
	if err != nil {
		return nil, err
	}
	got := map[string]map[int64]int64{}
	for _, series := range res.Msg.Series {
		for _, p := range series.Points {
			note(got, series.Labels[0].Value, p.Timestamp, int64(p.Value))
		}
	}
	if err := l.check(acked, got); err != nil {
		return got, &wrongAnswer{fmt.Errorf("points from %s: %w", s.url, err)}
	}
	return got, nil
}

// wrongAnswer is an answer that must not have been given.
type wrongAnswer struct{ error }

// graph asks for the total of the flame graph and of the merged profile.
func (l *ledger) graph(ctx context.Context, s *server) (graph, merged int64, err error) {
	_, end := l.promised()
	g, err := s.querier().SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: l.selector(), Start: l.begin.UnixMilli(), End: end.UnixMilli(),
	}))
	if err != nil {
		return 0, 0, err
	}
	p, err := s.querier().SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{
		ProfileTypeID: cpuType, LabelSelector: l.selector(), Start: l.begin.UnixMilli(), End: end.UnixMilli(),
	}))
	if err != nil {
		return 0, 0, err
	}
	for _, s := range p.Msg.Sample {
		merged += s.Value[0]
	}
	return g.Msg.GetFlamegraph().GetTotal(), merged, nil
}

// verify holds every front to what was sent: nothing acknowledged is lost, and
// nothing counts twice, in series, flame graph and merged profile. What was not
// acknowledged may be there or not, and in one answer but not in the next. A
// front may refuse to answer for a while; a wrong answer is never forgiven.
func (l *ledger) verify(t *testing.T, fronts []*endpoint, when string) (profiles int) {
	t.Helper()
	for _, front := range fronts {
		patiently(t, when+", points from "+front.name, func() error {
			got, err := l.points(t.Context(), front.server)
			_, profiles = totals(got)
			return err
		})
		patiently(t, when+", flame graph from "+front.name, func() error {
			acked, _ := l.promised()
			graph, merged, err := l.graph(t.Context(), front.server)
			if err == nil {
				err = l.bounds(acked, graph, merged)
			}
			return err
		})
	}
	return profiles
}

// bounds checks totals: they have all that had been acknowledged before they
// were asked for, and nothing twice. If there is nothing else, they are exact.
func (l *ledger) bounds(acked []*parcel, got ...int64) error {
	var least int64
	for _, p := range acked {
		sum, _ := totals(p.values)
		least += sum
	}
	l.mu.Lock()
	most, _ := totals(l.values)
	l.mu.Unlock()
	for _, v := range got {
		if v < least || v > most {
			return &wrongAnswer{fmt.Errorf("a total of %d; want %d, which was acknowledged, to %d, which was sent", v, least, most)}
		}
	}
	return nil
}

// patiently tries until there is an answer that is not just a refusal.
func patiently(t *testing.T, what string, fn func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := fn()
		if err == nil {
			return
		}
		require.True(t, retryable(err), "%s: %v", what, err)
		require.Less(t, time.Since(begin), fleetPatience, "%s: %v", what, err)
	}
}

// refusals are the codes of errors that tell clients to try again.
var refusals = []connect.Code{connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeDeadlineExceeded, connect.CodeCanceled}

// retryable reports whether an error asks to be tried again, or is one of a
// connection that failed.
func retryable(err error) bool {
	var wrong *wrongAnswer
	if errors.As(err, &wrong) {
		return false
	}
	return !connect.IsWireError(err) || slices.Contains(refusals, connect.CodeOf(err))
}
