package stores

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/filelock"
)

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t testing.TB) (address, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return l.Addr().String(), port
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.all.Bytes()
	return string(b[max(0, len(b)-4000):])
}

// listenPatience is for machines that do much else.
const listenPatience = time.Minute

// serve runs a program until the test ends, and waits until it listens.
func serve(t testing.TB, address string, env []string, argv ...string) {
	t.Helper()
	var out output
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(argv[0]), out.last())
		}
	})
	for deadline := time.Now().Add(listenPatience); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("%s ends: %v\n%s", argv[0], err, out.last())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s:\n%s", argv[0], address, out.last())
		}
	}
}

// cached returns a folder that is filled once: make gets a new one, which
// becomes the cached one if it succeeds.
func cached(ctx context.Context, t testing.TB, name string, make func(dir string) error) string {
	t.Helper()
	root, err := os.UserCacheDir()
	require.NoError(t, err)
	root = filepath.Join(root, "hearth-test-stores")
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if os.Getenv(chosen) == "" { // it may not hold up the other tests
		unavailable(t, name, fmt.Errorf("it is not in %s yet, and %s does not ask for it", root, chosen))
	}
	require.NoError(t, os.MkdirAll(root, 0o755))
	defer alone(ctx, t, filepath.Join(root, name+".lock"))()
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	fresh, err := os.MkdirTemp(root, "."+name+"-")
	require.NoError(t, err)
	if err := make(fresh); err != nil {
		_ = os.RemoveAll(fresh)
		unavailable(t, name, err)
	}
	require.NoError(t, os.Rename(fresh, dir))
	return dir
}

// alone waits until no other test process gets the same thing, and returns
// what lets the next one go on.
func alone(ctx context.Context, t testing.TB, file string) (done func()) {
	t.Helper()
	for {
		lock, err := filelock.Acquire(file)
		if err == nil {
			return func() { _ = lock.Release() }
		}
		require.ErrorIs(t, err, filelock.ErrHeld)
		select {
		case <-ctx.Done():
			unavailable(t, filepath.Base(file), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unavailable ends a test whose store cannot be had.
func unavailable(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv(chosen) == "" {
		t.Skipf("\n!! %s CANNOT BE HAD, its store is NOT tested: %v\n", what, err)
	}
	t.Fatalf("%s cannot be had: %v", what, err)
}

// command runs a program to its end.
func command(ctx context.Context, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out[max(0, len(out)-2000):])
	}
	return nil
}

// goProgram builds a Go program of another module.
func goProgram(ctx context.Context, t testing.TB, pkg, version string) string {
	t.Helper()
	name := filepath.Base(pkg)
	dir := cached(ctx, t, name+"-"+version, func(dir string) error {
		return command(ctx, []string{"GOBIN=" + dir, "GOFLAGS="}, "go", "install", pkg+"@"+version)
	})
	return filepath.Join(dir, name)
}
