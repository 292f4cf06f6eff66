package tests

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/require"
)

// binary is the server, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hearth-tests")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "backend-server")
	build := exec.Command("go", "build", "-o", binary, "..")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(fmt.Errorf("build the server: %w", err))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running process.
type server struct {
	cmd    *exec.Cmd
	url    string
	exited chan error

	mu  sync.Mutex
	log bytes.Buffer
}

var addressLine = regexp.MustCompile(`msg="Hearth starts".* address=(\S+)`)

// start runs the server on a data folder and waits until it listens. Requests
// may still find it not ready.
func start(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	return launch(t, append([]string{binary, "-db.data-path=" + data, "-server.http-listen-address=127.0.0.1", "-server.http-listen-port=0", "-self-profiling.enabled=false"}, flags...))
}

// launch runs a command line that is that of a server, and waits until it
// listens.
func launch(t *testing.T, argv []string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan error, 1)}
	out, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	address := make(chan string, 1)
	go s.read(out, address)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.url, lastOf(s.output(), 6000))
		}
	})
	select {
	case a := <-address:
		s.url = "http://" + a
	case err := <-s.exited:
		s.exited <- err
		t.Fatalf("the server does not start: %v\n%s", err, s.output())
	case <-time.After(listenPatience):
		t.Fatalf("the server does not listen:\n%s", s.output())
	}
	return s
}

// lastOf returns the last bytes of a text, from the beginning of a line.
func lastOf(text string, most int) string {
	if len(text) <= most {
		return text
	}
	_, rest, _ := strings.Cut(text[len(text)-most:], "\n")
	return "[…]\n" + rest
}

// listenPatience is for machines that do much else.
const listenPatience = 30 * time.Second

// read collects the log and finds the address in it.
func (s *server) read(out io.Reader, address chan<- string) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.mu.Lock()
		fmt.Fprintln(&s.log, lines.Text())
		s.mu.Unlock()
		if m := addressLine.FindStringSubmatch(lines.Text()); m != nil {
			address <- m[1]
		}
	}
	s.exited <- s.cmd.Wait()
}

func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill ends the process as a power switch would, and waits for its end.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	err := <-s.exited
	s.exited <- err
}

// stop ends the process in good order.
func (s *server) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.exited:
		s.exited <- err
		require.NoError(t, err, s.output())
	case <-time.After(20 * time.Second):
		t.Fatalf("the server does not stop:\n%s", s.output())
	}
}

// startReady is start and then waiting for /ready.
func startReady(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	s := start(t, data, flags...)
	require.Eventually(t, func() bool { code, _ := s.get("/ready"); return code == http.StatusOK }, 20*time.Second, 5*time.Millisecond)
	return s
}

func (s *server) get(path string) (int, string) { return do(http.MethodGet, s.url+path, "", nil) }

func (s *server) post(path, contentType string, body []byte) (int, string) {
	return do(http.MethodPost, s.url+path, contentType, body)
}

func do(method, url, contentType string, body []byte) (int, string) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b))
}

func (s *server) flush(t *testing.T) {
	t.Helper()
	code, body := s.post("/ingester/flush", "", nil)
	require.Equal(t, http.StatusNoContent, code, body)
}

func (s *server) pusher(opts ...connect.ClientOption) pushv1connect.PusherServiceClient {
	return pushv1connect.NewPusherServiceClient(h2c(opts), s.url, opts...)
}

func (s *server) querier(opts ...connect.ClientOption) querierv1connect.QuerierServiceClient {
	return querierv1connect.NewQuerierServiceClient(h2c(opts), s.url, opts...)
}

// h2c returns a client for HTTP/2 without TLS if there are options, for those
// that want other protocols than connect need it.
func h2c(opts []connect.ClientOption) *http.Client {
	if len(opts) == 0 {
		return http.DefaultClient
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: p}}
}

// cpuType is the profile type of what encode makes.
const cpuType = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

// encode makes a CPU profile taken at the time, with two stacks: main;work with
// value-1 and main;rest with 1.
func encode(t testing.TB, at time.Time, value int64) []byte {
	t.Helper()
	fn := func(id uint64, name string) (*profile.Function, *profile.Location) {
		f := &profile.Function{ID: id, Name: name, SystemName: name}
		return f, &profile.Location{ID: id, Line: []profile.Line{{Function: f, Line: int64(id)}}}
	}
	f1, main := fn(1, "main")
	f2, work := fn(2, "work")
	f3, rest := fn(3, "rest")
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1,
		TimeNanos: at.UnixNano(), DurationNanos: int64(time.Second),
		Function: []*profile.Function{f1, f2, f3}, Location: []*profile.Location{main, work, rest},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{work, main}, Value: []int64{value - 1}},
			{Location: []*profile.Location{rest, main}, Value: []int64{1}},
		},
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.Bytes()
}

func rawSeries(lbls map[string]string, raws ...[]byte) *pushv1.RawProfileSeries {
	s := &pushv1.RawProfileSeries{Labels: []*typesv1.LabelPair{{Name: "__name__", Value: "process_cpu"}}}
	for name, value := range lbls {
		s.Labels = append(s.Labels, &typesv1.LabelPair{Name: name, Value: value})
	}
	for _, raw := range raws {
		s.Samples = append(s.Samples, &pushv1.RawSample{RawProfile: raw})
	}
	return s
}

func push(ctx context.Context, c pushv1connect.PusherServiceClient, series ...*pushv1.RawProfileSeries) error {
	_, err := c.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: series}))
	return err
}

// points asks for totals by time, one millisecond a step, by the values of a
// label.
func points(t *testing.T, s *server, selector, by string, from, to time.Time) map[string]map[int64]int64 {
	t.Helper()
	return pointsEvery(t, s, selector, by, from, to, time.Millisecond)
}

// pointsEvery is points with another step.
func pointsEvery(t *testing.T, s *server, selector, by string, from, to time.Time, step time.Duration) map[string]map[int64]int64 {
	t.Helper()
	res, err := s.querier().SelectSeries(t.Context(), connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: cpuType, LabelSelector: selector, GroupBy: []string{by}, Step: step.Seconds(),
		Start: from.UnixMilli(), End: to.UnixMilli(),
	}))
	require.NoError(t, err)
	out := map[string]map[int64]int64{}
	for _, series := range res.Msg.Series {
		m := map[int64]int64{}
		for _, p := range series.Points {
			m[p.Timestamp] = int64(p.Value)
		}
		out[series.Labels[0].Value] = m
	}
	return out
}
