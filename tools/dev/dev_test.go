package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell skips a test where there is no shell to play a program.
func shell(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs sh")
	}
}

// program writes an executable script and returns its folder.
func program(t *testing.T, name, script string) string {
	t.Helper()
	shell(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	return dir
}

func TestNodeVersions(t *testing.T) {
	for version, want := range map[string]string{
		"v20.19.0": "", "v22.1.0": "", "v20.18.9": "Node.js 20.19 or newer is needed, this is v20.18.9",
		"v18.0.0": "or newer is needed", "oops": `node --version says "oops"`,
	} {
		t.Setenv("PATH", program(t, "node", "echo "+version))
		err := checkNode(t.Context())
		if want == "" {
			require.NoError(t, err, version)
			continue
		}
		require.ErrorContains(t, err, want)
	}
	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, checkNode(t.Context()), "node is not installed")
}

func TestInstallOnceForEachLockFile(t *testing.T) {
	tools := program(t, "npm", `echo x >> count; mkdir -p node_modules`)
	require.NoError(t, os.WriteFile(filepath.Join(tools, "node"), []byte("#!/bin/sh\necho v22.0.0"), 0o755))
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Chdir(t.TempDir())
	installs := func() int {
		b, _ := os.ReadFile("count")
		return strings.Count(string(b), "x")
	}
	require.ErrorContains(t, npmInstall(t.Context(), io.Discard, "."), "npm lock file")
	require.NoError(t, os.WriteFile("package-lock.json", []byte("one"), 0o644))
	require.NoError(t, npmInstall(t.Context(), io.Discard, "."))
	require.NoError(t, npmInstall(t.Context(), io.Discard, "."))
	require.Equal(t, 1, installs())
	require.NoError(t, os.WriteFile("package-lock.json", []byte("two"), 0o644))
	require.NoError(t, npmInstall(t.Context(), io.Discard, "."))
	require.Equal(t, 2, installs())
	require.NoError(t, os.RemoveAll("node_modules"))
	require.NoError(t, npmInstall(t.Context(), io.Discard, "."))
	require.Equal(t, 3, installs())
}

func TestBuildOnlyWhatChanged(t *testing.T) {
	t.Chdir(t.TempDir())
	built := 0
	build := func() error { built++; return os.WriteFile("target", nil, 0o644) }
	at := func(path string, age time.Duration) {
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	require.NoError(t, os.MkdirAll("src/node_modules", 0o755))
	require.NoError(t, os.WriteFile("src/a.ts", nil, 0o644))
	require.NoError(t, os.WriteFile("src/node_modules/b.js", nil, 0o644))
	sources := []string{"src", "missing"}

	require.NoError(t, unlessNewer(io.Discard, "target", sources, build))
	at("src/a.ts", time.Hour)
	at("src", time.Hour)
	require.NoError(t, unlessNewer(io.Discard, "target", sources, build))
	require.Equal(t, 1, built, "nothing changed")
	at("target", 2*time.Hour)
	require.NoError(t, unlessNewer(io.Discard, "target", sources, build))
	require.Equal(t, 2, built, "a file is newer")
	require.NoError(t, os.Remove("src/a.ts"))
	at("target", time.Minute)
	require.NoError(t, unlessNewer(io.Discard, "target", sources, build))
	require.Equal(t, 3, built, "a file was removed")
}

func TestProcessesEndWithTheirChildren(t *testing.T) {
	shell(t)
	t.Chdir(t.TempDir())
	p, err := start(t.Context(), "family", os.Environ(), "sh", "-c", `trap "" TERM; (while :; do echo x >> beat; sleep 0.05; done) & echo listening http://x; wait`)
	require.NoError(t, err)
	url, err := announced(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, "http://x", url)
	require.Eventually(t, func() bool { return size("beat") > 0 }, 10*time.Second, 10*time.Millisecond)
	p.stop()
	last := size("beat")
	time.Sleep(200 * time.Millisecond)
	require.Equal(t, last, size("beat"), "the child has ended as well")

	p, err = start(t.Context(), "broken", os.Environ(), "sh", "-c", "echo first; echo no such flag >&2; exit 3")
	require.NoError(t, err)
	_, err = announced(t.Context(), p)
	require.ErrorContains(t, err, "broken has ended (exit status 3)")
	require.ErrorContains(t, err, "no such flag")
	up := stack{processes: []*process{p}}
	require.ErrorContains(t, up.await(t.Context(), "http://127.0.0.1:1/", time.Minute), "no such flag")
	require.ErrorContains(t, up.wait(t.Context()), "broken has ended")
	up.stop()

	_, err = start(t.Context(), "missing", os.Environ(), "no-such-program")
	require.ErrorContains(t, err, "no-such-program is not installed")
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func TestStepsGoOnAfterAFailure(t *testing.T) {
	var ran []string
	do := func(name string, err error) func(context.Context, io.Writer) error {
		return func(context.Context, io.Writer) error { ran = append(ran, name); return err }
	}
	err := runSteps(t.Context(), []step{
		{name: "a", do: do("a", errors.New("boom"))},
		{name: "b", needs: []string{"a"}, do: do("b", nil)},
		{name: "c", needs: []string{"b"}, do: do("c", nil)},
		{name: "d", do: do("d", nil)},
		{name: "e", do: do("e", fmt.Errorf("%w: no browser", errSkipped))},
	})
	require.EqualError(t, err, "failed: a, b, c")
	require.Equal(t, []string{"a", "d", "e"}, ran)
	require.NoError(t, runSteps(t.Context(), []step{{name: "e", do: do("e", errSkipped)}}))

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, runSteps(cancelled, []step{{name: "a", do: do("a", nil)}, {name: "b", do: do("never", nil)}}), context.Canceled)
	require.NotContains(t, ran, "never")
}

// A step beside another one runs while that does, and after what it needs.
func TestStepsBesideOthers(t *testing.T) {
	meet := make(chan string)
	both := func(_ context.Context, out io.Writer) error {
		fmt.Fprintln(out, "met")
		select {
		case meet <- "":
		case <-meet:
		case <-time.After(10 * time.Second):
			return errors.New("alone")
		}
		return nil
	}
	fails := func(context.Context, io.Writer) error { return errors.New("boom") }
	never := func(context.Context, io.Writer) error { t.Error("ran"); return nil }
	list := []step{
		{name: "a", do: both},
		{name: "b", do: fails},
		{name: "c", beside: "a", do: both},
		{name: "d", beside: "a", do: fails},
		{name: "e", beside: "a", needs: []string{"d"}, do: never},
		{name: "f", needs: []string{"e"}, do: never},
	}
	require.EqualError(t, runSteps(t.Context(), list), "failed: b, d, e, f")
	var names []string
	for _, g := range groups(list[1:]) { // without a
		names = append(names, g[0].name)
		require.Len(t, g, 1)
	}
	require.Equal(t, []string{"b", "c", "d", "e", "f"}, names)
}

// What runs beside a step is on the list after it, and what it needs before it.
func TestStepsAreInOrder(t *testing.T) {
	var before []string
	for _, s := range steps() {
		for _, name := range append(slices.Clone(s.needs), s.beside) {
			require.True(t, name == "" || slices.Contains(before, name), "%s: %s", s.name, name)
		}
		before = append(before, s.name)
	}
}

func TestFormatCheckNamesFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("good.go", []byte("package a\n"), 0o644))
	require.NoError(t, os.MkdirAll("node_modules", 0o755))
	require.NoError(t, os.WriteFile("node_modules/x.go", []byte("package  a"), 0o644))
	require.NoError(t, checkFormat(t.Context(), io.Discard))
	require.NoError(t, os.WriteFile("bad.go", []byte("package  a\n"), 0o644))
	require.EqualError(t, checkFormat(t.Context(), io.Discard), "gofmt -w bad.go")
}

func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taken := l.Addr().(*net.TCPAddr).Port
	other, isFree := choosePort(taken)
	require.False(t, isFree)
	require.NotEqual(t, taken, other)
	require.NoError(t, l.Close())
	same, isFree := choosePort(taken)
	require.True(t, isFree)
	require.Equal(t, taken, same)
}

func TestKnowsAHearth(t *testing.T) {
	body := `{"status":"success","data":{"application":"hearth","version":"devel"}}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	defer s.Close()
	require.True(t, isHearth(t.Context(), s.URL))
	body = `{"data":{"version":"1.2.3"}}`
	require.False(t, isHearth(t.Context(), s.URL))
	require.False(t, isHearth(t.Context(), "http://127.0.0.1:1"))
}
