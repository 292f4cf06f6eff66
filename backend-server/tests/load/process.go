package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startTimeout is how long a server may take to become ready.
const startTimeout = 2 * time.Minute

// buildServer builds this repository's server. The working directory is the
// top of the repository.
func buildServer(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "backend-server")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./backend-server")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the server: %w", err)
	}
	return path, nil
}

// server is a running process.
type server struct {
	subject *subject
	dir     string
	argv    []string
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	url     string

	// readyAfter and readyCPU are what it took until the server was ready.
	readyAfter, readyCPU time.Duration
}

// start starts a subject with its data in dir and waits until it is ready.
func start(ctx context.Context, sub *subject, dir string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	p, err := freePorts("127.0.0.1")
	if err != nil {
		return nil, err
	}
	s := &server{subject: sub, dir: dir, argv: sub.command(dir, p), url: p.url("127.0.0.1")}
	return s, s.start(ctx)
}

// start starts the process, for the first time or again, and waits until it is
// ready.
func (s *server) start(ctx context.Context) error {
	began := time.Now()
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.waitReady(ctx, began.Add(startTimeout)); err != nil {
		s.kill()
		return err
	}
	s.readyAfter, s.readyCPU = time.Since(began), cpuTime(s.pid())
	return nil
}

// launch starts the process.
func (s *server) launch() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	// Not bound to a context: a server is ended by kill, always.
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, log, log
	if err := s.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", s.subject.name, err), log.Close())
	}
	exited, cmd := make(chan struct{}), s.cmd
	s.exited = exited
	go func() { // ends with the process, which kill waits for
		_ = cmd.Wait() // the way it ended tells nothing: it is killed
		_ = log.Close()
		close(exited)
	}()
	return nil
}

func (s *server) waitReady(ctx context.Context, deadline time.Time) error {
	for time.Now().Before(deadline) {
		if _, err := s.get(ctx, "/ready"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.exited:
			return s.failure()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready after %s, see %s", s.subject.name, startTimeout, s.logFile())
}

func (s *server) pid() int        { return s.cmd.Process.Pid }
func (s *server) logFile() string { return filepath.Join(s.dir, "log") }

// failure says how a server ended that should not have.
func (s *server) failure() error {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return fmt.Errorf("%s has ended: %w", s.subject.name, err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("%s has ended; the end of its log:\n%s", s.subject.name, strings.Join(lines[max(0, len(lines)-10):], "\n"))
}

// kill ends the process as a power switch would, and waits for its end.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
}

// get returns a page.
func (s *server) get(ctx context.Context, path string) (string, error) {
	return s.do(ctx, http.MethodGet, path, "", "")
}

func (s *server) post(ctx context.Context, path, contentType, body string) error {
	_, err := s.do(ctx, http.MethodPost, path, contentType, body)
	return err
}

func (s *server) do(ctx context.Context, method, path, contentType, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %.200s", path, res.Status, b)
	}
	return string(b), err
}

// mallocs returns how many objects the process has allocated since its start.
func (s *server) mallocs(ctx context.Context) (float64, error) {
	return s.metric(ctx, "go_memstats_mallocs_total")
}

// liveHeap returns the bytes that are in use after garbage collections: several,
// because a sync.Pool lets go of what it holds at the second, and buffers that
// wait for the next request are no part of what is asked for.
func (s *server) liveHeap(ctx context.Context) (float64, error) {
	for range 3 {
		if _, err := s.get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return 0, fmt.Errorf("garbage collection: %w", err)
		}
	}
	return s.metric(ctx, "go_memstats_heap_alloc_bytes")
}

// metric returns the value of a metric, or the sum of its values if it has
// labels.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	page, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	v, err := sumOf(page, name)
	if err != nil {
		return 0, fmt.Errorf("metric %s: %w", name, err)
	}
	return v, nil
}

// sumOf adds up what a page of metrics says of one.
func sumOf(page, name string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		rest = rest[strings.LastIndexByte(rest, '}')+1:]
		v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, errors.New("not there")
	}
	return sum, nil
}

// freePorts finds ports of an address that nobody listens on.
func freePorts(addr string) (p ports, err error) {
	for _, port := range []*int{&p.http, &p.grpc, &p.gossip, &p.raft} {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
		if err != nil {
			return p, fmt.Errorf("free port: %w", err)
		}
		defer l.Close() // only then can none of them come twice
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
