package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/embedded"
)

// machine is what the processes of a test share: the locks on data folders.
type machine struct {
	mu     sync.Mutex
	locked map[string]bool
}

func (m *machine) lock(dir string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[dir] {
		return false
	}
	m.locked[dir] = true
	return true
}

func (m *machine) unlock(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locked, dir)
}

// fakeServer is a Hearth of which only the doorbell works.
type fakeServer struct {
	machine   *machine
	dir, addr string
	ready     chan struct{}
	crash     chan struct{}
}

func (f *fakeServer) Run(ctx context.Context) error {
	if !f.machine.lock(f.dir) {
		return fmt.Errorf("open: %w", embedded.ErrLocked)
	}
	defer f.machine.unlock(f.dir)
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		return err
	}
	f.addr = l.Addr().String()
	server := &http.Server{Handler: hearth()}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	close(f.ready)
	select {
	case <-ctx.Done():
		return nil
	case <-f.crash:
		return errors.New("crashed")
	}
}

func (f *fakeServer) Ready(ctx context.Context) error {
	select {
	case <-f.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeServer) Addr() string { return f.addr }

func hearth() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"application":"Hearth","version":"1"}}`)
	})
	return mux
}

// process is one plugin process.
type process struct {
	*embedded.Supervisor
	crash chan struct{}      // ends the server that runs now, not the process
	kill  context.CancelFunc // ends the process
	ended chan struct{}
}

func (m *machine) start(t *testing.T, dir, addr string) *process {
	t.Helper()
	crash := make(chan struct{})
	p := startWith(t, embedded.Options{
		Dir: dir, Addr: addr, Retry: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Open: func(dir, addr string) (embedded.Server, error) {
			return &fakeServer{machine: m, dir: dir, addr: addr, ready: make(chan struct{}), crash: crash}, nil
		},
	})
	p.crash = crash
	return p
}

func startWith(t *testing.T, opts embedded.Options) *process {
	t.Helper()
	p := &process{Supervisor: embedded.New(opts), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { p.Run(ctx); close(p.ended) }()
	p.kill = func() { cancel(); <-p.ended }
	t.Cleanup(p.kill)
	return p
}

func newMachine() *machine { return &machine{locked: map[string]bool{}} }

// freeAddr returns an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func (p *process) url(t *testing.T) string {
	t.Helper()
	url, err := p.URL(t.Context())
	require.NoError(t, err)
	return url
}

func (p *process) becomes(t *testing.T, mode embedded.Mode, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		s := p.Status()
		return s.Ready && s.Mode == mode && s.URL == url
	}, 10*time.Second, 5*time.Millisecond, "%+v", p.Status())
}

func TestOneServesTheOtherTakesOver(t *testing.T) {
	m, dir, addr := newMachine(), t.TempDir(), freeAddr(t)
	first := m.start(t, dir, addr)
	first.Start()
	first.Start() // wanting it twice is wanting it
	require.Equal(t, "http://"+addr, first.url(t))
	require.Equal(t, embedded.ModeHere, first.Status().Mode)
	require.Contains(t, first.Status().Message, dir)

	second := m.start(t, dir, addr) // started unasked: the record says that a server has run
	require.Equal(t, "http://"+addr, second.url(t))
	require.Equal(t, embedded.ModePeer, second.Status().Mode)

	first.kill()
	second.becomes(t, embedded.ModeHere, "http://"+addr)

	third := m.start(t, dir, addr)
	third.becomes(t, embedded.ModePeer, "http://"+addr)
}

func TestBothAtOnce(t *testing.T) {
	m, dir, addr := newMachine(), t.TempDir(), freeAddr(t)
	a, b := m.start(t, dir, addr), m.start(t, dir, addr)
	a.Start()
	b.Start()
	require.Equal(t, a.url(t), b.url(t))
	modes := []embedded.Mode{a.Status().Mode, b.Status().Mode}
	require.ElementsMatch(t, []embedded.Mode{embedded.ModeHere, embedded.ModePeer}, modes)
}

func TestACrashedServerComesBack(t *testing.T) {
	m, dir, addr := newMachine(), t.TempDir(), freeAddr(t)
	p := m.start(t, dir, addr)
	p.Start()
	p.becomes(t, embedded.ModeHere, "http://"+addr)
	p.crash <- struct{}{}
	require.Eventually(t, func() bool { return !p.Status().Ready }, 10*time.Second, time.Millisecond)
	p.becomes(t, embedded.ModeHere, "http://"+addr)
}

func TestNobodyAskedNobodyServes(t *testing.T) {
	m, dir, addr := newMachine(), t.TempDir(), freeAddr(t)
	p := m.start(t, dir, addr)
	time.Sleep(50 * time.Millisecond)
	require.False(t, p.Status().Ready)
	p.Start()
	p.becomes(t, embedded.ModeHere, "http://"+addr)
	p.Retire()
	p.Retire() // once more is no error
	require.True(t, p.Status().Ready, "a running server is left alone")
	p.kill()

	idle := m.start(t, dir, addr)
	time.Sleep(50 * time.Millisecond)
	require.False(t, idle.Status().Ready, "after Retire nothing starts unasked")
}

func TestThePortIsTaken(t *testing.T) {
	taken := func(t *testing.T, h http.Handler) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: h}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
		return l.Addr().String()
	}
	t.Run("by a Hearth", func(t *testing.T) {
		addr := taken(t, hearth())
		p := newMachine().start(t, t.TempDir(), addr)
		p.Start()
		p.becomes(t, embedded.ModePeer, "http://"+addr)
	})
	t.Run("by something else", func(t *testing.T) {
		m, dir, addr := newMachine(), t.TempDir(), taken(t, http.NotFoundHandler())
		p := m.start(t, dir, addr)
		p.Start()
		url := p.url(t)
		require.NotEqual(t, "http://"+addr, url)
		require.Equal(t, embedded.ModeHere, p.Status().Mode)
		require.Contains(t, p.Status().Message, addr+" is taken by another program")

		m.start(t, dir, addr).becomes(t, embedded.ModePeer, url)
	})
}

func TestWhyThereIsNoServer(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"held": {fmt.Errorf("x: %w", embedded.ErrLocked), "another process holds the data folder"},
		"disk": {errors.New("no space left on device"), "cannot run: no space left on device"},
	} {
		t.Run(name, func(t *testing.T) {
			s := embedded.New(embedded.Options{
				Dir: t.TempDir(), Addr: freeAddr(t), Retry: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
				Open: func(string, string) (embedded.Server, error) { return nil, tc.err },
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { s.Run(ctx); close(ended) }()
			defer func() { cancel(); <-ended }()
			s.Start()
			require.Eventually(t, func() bool { return strings.Contains(s.Status().Message, tc.want) }, 10*time.Second, time.Millisecond)
			short, done := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer done()
			_, err := s.URL(short)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestFolder(t *testing.T) {
	root := t.TempDir()
	readOnly := filepath.Join(root, "file") // a file where a folder should be
	require.NoError(t, os.WriteFile(readOnly, nil, 0o600))
	grafana, cache := filepath.Join(root, "grafana"), filepath.Join(root, "cache")
	installed := filepath.Join(grafana, "plugins", "hearth-profiles-app", "gpx_hearth_linux_amd64")

	for name, tc := range map[string]struct {
		env        map[string]string
		executable string
		want       string
	}{
		"told":                 {map[string]string{"HEARTH_EMBEDDED_DATA": filepath.Join(root, "x"), "GF_PATHS_DATA": root}, installed, filepath.Join(root, "x")},
		"told by Grafana":      {map[string]string{"GF_PLUGIN_DATA_PATH": filepath.Join(root, "y")}, installed, filepath.Join(root, "y")},
		"Grafana's data":       {map[string]string{"GF_PATHS_DATA": filepath.Join(root, "d")}, installed, filepath.Join(root, "d", "hearth")},
		"beside the plugins":   {nil, installed, filepath.Join(grafana, "hearth")},
		"installed elsewhere":  {nil, "/opt/hearth/dist/gpx_hearth", filepath.Join(cache, "hearth")},
		"cannot be written to": {map[string]string{"HEARTH_EMBEDDED_DATA": filepath.Join(readOnly, "x")}, installed, filepath.Join(grafana, "hearth")},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := embedded.Folder(embedded.Environment{
				Getenv: func(k string) string { return tc.env[k] }, Executable: tc.executable, CacheDir: cache,
			})
			require.NoError(t, err)
			require.Equal(t, tc.want, dir)
			require.DirExists(t, dir)
		})
	}
}
