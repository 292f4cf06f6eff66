package embedded_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/embedded"
)

// childEnv makes the test binary be a plugin process on "dir addr".
const childEnv = "HEARTH_TEST_EMBEDDED"

func TestMain(m *testing.M) {
	dir, addr, isChild := strings.Cut(os.Getenv(childEnv), " ")
	if !isChild {
		os.Exit(m.Run())
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s := embedded.New(embedded.Options{Dir: dir, Addr: addr, Open: embedded.OpenHearth(logger), Logger: logger})
	s.Start()
	s.Run(context.Background()) // until it is killed
}

// TestTakeOverBetweenProcesses kills a process that serves with the real
// server on real files, and expects the other one to serve the same folder.
func TestTakeOverBetweenProcesses(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	url := "http://" + addr
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+dir+" "+addr)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	require.Eventually(t, func() bool { return isReady(url) }, 30*time.Second, 20*time.Millisecond)

	logger := slog.New(slog.DiscardHandler)
	here := startWith(t, embedded.Options{
		Dir: dir, Addr: addr, Retry: 50 * time.Millisecond, Open: embedded.OpenHearth(logger), Logger: logger,
	})
	here.Start()
	here.becomes(t, embedded.ModePeer, url)

	_, err := embedded.OpenHearth(logger)(dir, freeAddr(t))
	require.ErrorIs(t, err, embedded.ErrLocked, "two servers on one folder")

	require.NoError(t, child.Process.Kill())
	here.becomes(t, embedded.ModeHere, url)
	require.True(t, isReady(url))
}

func isReady(url string) bool {
	res, err := http.Get(url + "/ready")
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}
