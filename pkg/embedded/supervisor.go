package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// ErrLocked says that another process serves from the data folder.
var ErrLocked = errors.New("the data folder is in use by another process")

// DefaultAddr is where SDKs and agents expect a profiling server.
const DefaultAddr = "127.0.0.1:4040"

const (
	defaultRetry = 2 * time.Second
	probeTimeout = 2 * time.Second
	waitForReady = 15 * time.Second
)

// Mode says where the embedded server runs.
type Mode string

// The modes.
const (
	ModeHere Mode = "embedded"      // in this process
	ModePeer Mode = "embedded-peer" // in another process of this machine
)

// Status is what is known about the server now.
type Status struct {
	Mode    Mode
	URL     string // empty while no server is known
	Ready   bool
	Message string
}

// Server is one run of the profiling server on one data folder.
type Server interface {
	// Run serves until ctx ends. It returns an ErrLocked error if the folder is held.
	Run(ctx context.Context) error
	// Ready waits until the server reads and writes.
	Ready(ctx context.Context) error
	// Addr is the HTTP address listened on, known once ready.
	Addr() string
}

// Options are what a Supervisor needs. Open, Dir and Logger are required.
type Options struct {
	Dir    string                                 // the data folder
	Addr   string                                 // preferred address; DefaultAddr if empty
	Open   func(dir, addr string) (Server, error) // ErrLocked if the folder is held
	Retry  time.Duration                          // pause between looks; 2 s if zero
	Logger *slog.Logger
}

// Supervisor keeps one server reachable: its own or another process'.
type Supervisor struct {
	opts   Options
	client *http.Client
	wanted chan struct{} // closed by the first Start
	once   sync.Once

	mu struct { // guards what requests read while Run writes
		sync.Mutex
		status  Status
		changed chan struct{} // closed and replaced at each change of status
	}
}

// New returns a supervisor; Run makes it work.
func New(opts Options) *Supervisor {
	if opts.Addr == "" {
		opts.Addr = DefaultAddr
	}
	if opts.Retry == 0 {
		opts.Retry = defaultRetry
	}
	s := &Supervisor{opts: opts, client: &http.Client{Timeout: probeTimeout}, wanted: make(chan struct{})}
	s.mu.changed = make(chan struct{})
	s.mu.status = Status{Mode: ModeHere, Message: "the embedded server is starting"}
	return s
}

// Start makes the server wanted. It does not wait and may be called often.
func (s *Supervisor) Start() { s.once.Do(func() { close(s.wanted) }) }

// Retire forgets that the server ever ran, so that the next process does not
// start it unasked. A server that runs is left alone: others may use it.
func (s *Supervisor) Retire() {
	if err := removeRecord(s.opts.Dir); err != nil {
		s.opts.Logger.Warn("embedded server: remove record", "error", err)
	}
}

// Status returns what is known now.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.status
}

// URL waits until a server is ready and returns its address. It gives up with
// the reason when ctx ends or the server takes too long.
func (s *Supervisor) URL(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, waitForReady)
	defer cancel()
	for {
		s.mu.Lock()
		status, changed := s.mu.status, s.mu.changed
		s.mu.Unlock()
		if status.Ready {
			return status.URL, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", errors.New(status.Message)
		}
	}
}

func (s *Supervisor) set(status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.status == status {
		return
	}
	s.mu.status = status
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
	s.opts.Logger.Info("embedded server", "mode", status.Mode, "url", status.URL, "ready", status.Ready, "message", status.Message)
}

// Run keeps a server reachable until ctx ends. Unless a server has run on the
// data folder before, it first waits until one is wanted.
func (s *Supervisor) Run(ctx context.Context) {
	if readRecord(s.opts.Dir) != "" {
		s.Start()
	}
	select {
	case <-ctx.Done():
		return
	case <-s.wanted:
	}
	for ctx.Err() == nil {
		if url := s.findPeer(ctx); url != "" {
			s.follow(ctx, url)
			continue
		}
		s.serve(ctx)
		s.pause(ctx)
	}
}

func (s *Supervisor) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(s.opts.Retry):
	}
}

// findPeer returns the address of a server that answers, or "".
func (s *Supervisor) findPeer(ctx context.Context) string {
	candidates := []string{"http://" + s.opts.Addr}
	if recorded := readRecord(s.opts.Dir); recorded != "" && recorded != candidates[0] {
		candidates = append(candidates, recorded)
	}
	for _, url := range candidates {
		if isHearth, _ := s.probe(ctx, url); isHearth {
			return url
		}
	}
	return ""
}

// probe asks whether a Hearth server listens at url and whether it is ready.
func (s *Supervisor) probe(ctx context.Context, url string) (isHearth bool, notReady error) {
	client, err := upstream.New(upstream.Config{URL: url}, s.client)
	if err != nil {
		return false, err
	}
	info, err := client.Build(ctx)
	if err != nil || !strings.EqualFold(info.Application, "hearth") {
		return false, err
	}
	return true, client.Ready(ctx)
}

// follow uses the server at url until it does not answer any more.
func (s *Supervisor) follow(ctx context.Context, url string) {
	for ctx.Err() == nil {
		alive, notReady := s.probe(ctx, url)
		if !alive {
			s.set(Status{Mode: ModePeer, Message: fmt.Sprintf("the server at %s does not answer any more: taking over", url)})
			return
		}
		status := Status{Mode: ModePeer, URL: url, Ready: true, Message: "using the server that another process runs at " + url}
		if notReady != nil {
			status.Ready, status.Message = false, notReady.Error()
		}
		s.set(status)
		s.pause(ctx)
	}
}

// serve runs the server in this process until it ends.
func (s *Supervisor) serve(ctx context.Context) {
	addr, note := s.opts.Addr, ""
	if err := listenable(ctx, addr); err != nil {
		note = fmt.Sprintf("; %s is taken by another program (%s), so agents must push to the address above", addr, err)
		addr = "127.0.0.1:0"
	}
	srv, err := s.opts.Open(s.opts.Dir, addr)
	if err != nil {
		s.failed(err)
		return
	}
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, ready := make(chan error, 1), make(chan error, 1)
	go func() { ended <- srv.Run(runCtx) }()   // received below
	go func() { ready <- srv.Ready(runCtx) }() // ends with runCtx
	select {
	case err = <-ended:
	case err = <-ready:
		if err == nil {
			s.serving("http://"+srv.Addr(), note)
		} else {
			cancel()
		}
		err = errors.Join(err, <-ended)
	}
	if ctx.Err() == nil {
		s.failed(err)
	}
}

func (s *Supervisor) serving(url, note string) {
	message := fmt.Sprintf("the server runs in this process at %s, its data is in %s%s", url, s.opts.Dir, note)
	if err := writeRecord(s.opts.Dir, url); err != nil {
		s.opts.Logger.Error("embedded server: write record", "error", err)
		message += "; its address could not be recorded for other processes: " + err.Error()
	}
	s.set(Status{Mode: ModeHere, URL: url, Ready: true, Message: message})
}

func (s *Supervisor) failed(err error) {
	switch {
	case errors.Is(err, ErrLocked):
		s.set(Status{Mode: ModePeer, Message: "another process holds the data folder " + s.opts.Dir + " and does not answer yet"})
	case err == nil:
		s.set(Status{Mode: ModeHere, Message: "the embedded server has stopped"})
	default:
		s.set(Status{Mode: ModeHere, Message: "the embedded server cannot run: " + err.Error()})
	}
}

// listenable reports whether addr can be listened on.
func listenable(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}
