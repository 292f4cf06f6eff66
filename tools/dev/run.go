package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	serverPort = 4040
	pagePort   = 3000
	pagePath   = "/a/hearth-profiles-app/services"
)

// Run builds everything, starts the server and shows the plugin in a page,
// until ctx ends or a part fails. With once it stops when the page answers.
func Run(ctx context.Context, once bool) error {
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	where, err := findStage(ctx)
	if err != nil {
		return err
	}
	if err := Build(ctx, os.Stdout); err != nil {
		return err
	}
	var up stack
	defer up.stop()
	if err := up.start(ctx, where); err != nil {
		return err
	}
	up.print()
	if once {
		return nil
	}
	openBrowser(ctx, up.page)
	return up.wait(ctx)
}

// untilAsked ends when a person or a supervisor asks to stop. `go tool mage`
// does not pass on SIGTERM, so the end of the parent process counts as well.
func untilAsked(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	parent := os.Getppid()
	go func() { // ends with ctx
		for ctx.Err() == nil && os.Getppid() == parent {
			pause(ctx, time.Second)
		}
		cancel()
	}()
	return ctx, cancel
}

// stack is what runs, in the order in which it was started.
type stack struct {
	processes []*process
	notes     []string // further lines for the summary
	serverURL string
	page      string
	stage     stage
}

func (s *stack) start(ctx context.Context, where stage) error {
	s.stage = where
	if where.build != nil {
		if err := where.build(ctx); err != nil {
			return err
		}
	}
	if !where.bringsServer {
		if err := s.startServer(ctx); err != nil {
			return err
		}
	}
	base, err := where.start(ctx, s)
	if err != nil && where.fallBack != nil && ctx.Err() == nil {
		s.note("%s did not start (%s), so the plugin host is used", where.name, err)
		return s.start(ctx, *where.fallBack)
	}
	if err != nil {
		return err
	}
	s.page = base + pagePath
	return s.await(ctx, s.page, 2*time.Minute)
}

// startServer starts the server, or uses the one that already runs.
func (s *stack) startServer(ctx context.Context) error {
	port, isFree := choosePort(serverPort)
	standard := fmt.Sprintf("http://127.0.0.1:%d", serverPort)
	if !isFree && isHearth(ctx, standard) {
		s.serverURL = standard
		s.note("a Hearth server was already running at %s and is used", standard)
		return nil
	}
	if !isFree {
		s.note("port %d is taken by another program, so the server listens on %d", serverPort, port)
	}
	argv := []string{executable(serverBin), "-server.http-listen-port=" + strconv.Itoa(port)}
	p, err := start(ctx, "server", os.Environ(), argv...)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	s.serverURL = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.note("the server's data is in ./data, its log in %s", p.log)
	return s.await(ctx, s.serverURL+"/ready", time.Minute)
}

func (s *stack) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// await waits until url answers 200, or a process has ended.
func (s *stack) await(ctx context.Context, url string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !answers(ctx, url) {
		if err := s.ended(); err != nil {
			return err
		}
		pause(ctx, 200*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%s does not answer: %w", url, ctx.Err())
		}
	}
	return nil
}

// ended returns an error if one of the processes has ended.
func (s *stack) ended() error {
	for _, p := range s.processes {
		select {
		case <-p.ended:
			return p.failure()
		default:
		}
	}
	return nil
}

// wait returns when ctx ends, or with an error when a process ends by itself.
func (s *stack) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.ended(); err != nil {
			return err
		}
		pause(ctx, 500*time.Millisecond)
	}
	fmt.Println("\nstopping")
	return nil
}

// stop ends the processes, last started first.
func (s *stack) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].stop()
	}
	if s.stage.cleanUp != nil {
		s.stage.cleanUp()
	}
}

func (s *stack) print() {
	fmt.Printf("\nHearth is up.\n\n  page     %s\n           in %s\n  server   %s\n           takes profiles there: POST /ingest, push.v1.PusherService\n",
		s.page, s.stage.name, s.serverURL)
	for _, n := range s.notes {
		fmt.Println("  note    ", n)
	}
	fmt.Print("\nThe server profiles itself: the service \"hearth\" shows up within a minute. Ctrl-C stops everything.\n\n")
}

// answers reports whether url answers 200.
func answers(ctx context.Context, url string) bool {
	_, err := get(ctx, url)
	return err == nil
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: HTTP %d", url, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	return string(b), err
}

func isHearth(ctx context.Context, url string) bool {
	info, err := get(ctx, url+"/api/v1/status/buildinfo")
	return err == nil && strings.Contains(info, `"application":"hearth"`)
}

// choosePort returns the wanted port if it is free, else another one.
func choosePort(wanted int) (port int, wasFree bool) {
	for _, addr := range []string{":" + strconv.Itoa(wanted), "127.0.0.1:" + strconv.Itoa(wanted)} {
		if l, err := net.Listen("tcp", addr); err != nil {
			return anyPort(), false
		} else if l.Close() != nil {
			return anyPort(), false
		}
	}
	return wanted, true
}

func anyPort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0 // the program that gets it will say what is wrong
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// openBrowser shows url where there is a display, and never fails.
func openBrowser(ctx context.Context, url string) {
	opener := ""
	switch {
	case runtime.GOOS == "darwin":
		opener = "open"
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "":
		opener = "xdg-open"
	}
	if opener == "" {
		return
	}
	err := command(ctx, os.Environ(), opener, url).Run()
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		fmt.Println("the browser did not open:", err)
	}
}
