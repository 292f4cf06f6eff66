package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// raced are the packages where goroutines meet: their tests run once more under
// the race detector, in their short form. The rest is pure, or walks through
// every possible crash (internal/db itself), where it costs minutes and tells
// nothing new: the ingester's tests drive the database from many goroutines.
var raced = []string{
	"./pkg/...",
	"./backend-server/internal/platform/...",
	"./backend-server/internal/bucket/...",
	"./backend-server/internal/db",
	"./backend-server/internal/db/head/...",
	"./backend-server/internal/db/wal/...",
	"./backend-server/internal/cluster/...",
	"./backend-server/internal/replica/...",
	"./backend-server/internal/catalog/...",
	"./backend-server/internal/compactor/...",
	"./backend-server/internal/deletion/...",
	"./backend-server/internal/distributor/...",
	"./backend-server/internal/ingester/...",
	"./backend-server/internal/querier/...",
	"./backend-server/internal/queryfrontend/...",
	"./backend-server/internal/scheduler/...",
	"./backend-server/internal/storegateway/...",
	"./backend-server/internal/transport/...",
	"./backend-server/internal/app/...",
}

// step is one check of Test.
type step struct {
	name  string
	needs []string // steps without which this one makes no sense
	// beside names an earlier step at whose side this one runs, after others that
	// do so. Only a step that measures no time bears company.
	beside string
	do     func(ctx context.Context, out io.Writer) error
}

// Test runs every check there is. A failure does not stop the others; the
// summary at the end and the error say what failed.
func Test(ctx context.Context) error {
	return runSteps(ctx, steps())
}

func steps() []step {
	return []step{
		{name: "Go: format", do: checkFormat},
		{name: "Go: vet", do: func(ctx context.Context, out io.Writer) error { return run(ctx, out, "go", "vet", "./...") }},
		{name: "Go: an S3 server for the tests", do: s3ForTests},
		{name: "Go: tests", do: goTests},
		{name: "Go: partition of a network", needs: []string{"Go: tests"}, do: partitionTested},
		{name: "Go: tests, race detector", do: goRaceTests},
		{name: "Go: fuzz", do: fuzzBriefly},
		// Most of their time is waiting for the network.
		{name: "TypeScript: install", beside: "Go: fuzz", do: func(ctx context.Context, out io.Writer) error { return npmInstall(ctx, out, ".") }},
		{name: "TypeScript: types", beside: "Go: fuzz", needs: []string{"TypeScript: install"}, do: script(".", "typecheck")},
		{name: "TypeScript: lint", beside: "Go: fuzz", needs: []string{"TypeScript: install"}, do: script(".", "lint")},
		{name: "TypeScript: tests", beside: "Go: fuzz", needs: []string{"TypeScript: install"}, do: script(".", "test")},
		{name: "Browser tests: hosts", beside: "Go: fuzz", do: browserHosts},
		{name: "Build", needs: []string{"TypeScript: install"}, do: Build},
		{name: "Browser tests", needs: []string{"Build", "Browser tests: hosts"}, do: Browser},
	}
}

// Lint runs the checks that need no tests to run.
func Lint(ctx context.Context) error {
	return runSteps(ctx, slices.DeleteFunc(steps(), func(s step) bool {
		return !slices.Contains([]string{"Go: format", "Go: vet", "TypeScript: install", "TypeScript: types", "TypeScript: lint"}, s.name)
	}))
}

func script(dir, name string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, out io.Writer) error { return npmRun(ctx, out, dir, name) }
}

// errSkipped is a step's way of saying that it could not run here.
var errSkipped = errors.New("skipped")

// runSteps runs steps one after the other. What those print that run beside
// another one is shown when that one has ended.
func runSteps(ctx context.Context, list []step) error {
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	r := results{of: map[string]result{}}
	for _, group := range groups(list) {
		var beside bytes.Buffer
		var running sync.WaitGroup
		running.Go(func() {
			for _, s := range group[1:] {
				r.run(ctx, &beside, s)
			}
		})
		r.run(ctx, os.Stdout, group[0])
		running.Wait()
		fmt.Print(beside.String())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Printf("\n== Summary\n")
	var failed []string
	for _, s := range list {
		fmt.Println(r.of[s.name].line)
		if r.of[s.name].failed {
			failed = append(failed, s.name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// groups puts every step together with those that run beside it, which come
// after it. One whose company is not on the list is alone.
func groups(list []step) (out [][]step) {
	for _, s := range list {
		at := slices.IndexFunc(out, func(g []step) bool { return g[0].name == s.beside })
		if at < 0 {
			out = append(out, []step{s})
		} else {
			out[at] = append(out[at], s)
		}
	}
	return out
}

// results are how steps have ended, by their names.
type results struct {
	mu sync.Mutex
	of map[string]result
}

type result struct {
	line   string // of the summary
	failed bool
}

func (r *results) run(ctx context.Context, out io.Writer, s step) {
	res := r.missing(s)
	if !res.failed {
		res = s.run(ctx, out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[s.name] = res
}

// missing is a failure if a step has failed that s needs.
func (r *results) missing(s step) result {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range s.needs {
		if r.of[name].failed {
			return result{fmt.Sprintf("  -     %s: not run, %s failed", s.name, name), true}
		}
	}
	return result{}
}

func (s step) run(ctx context.Context, out io.Writer) result {
	fmt.Fprintf(out, "\n== %s\n", s.name)
	began := time.Now()
	err := s.do(ctx, out)
	took := time.Since(began).Round(100 * time.Millisecond)
	if s.beside != "" {
		s.name += ", beside " + s.beside
	}
	switch {
	case errors.Is(err, errSkipped):
		return result{fmt.Sprintf("  SKIP  %s: %v", s.name, err), false}
	case err != nil:
		fmt.Fprintln(out, err)
		return result{fmt.Sprintf("  FAIL  %s (%s): %v", s.name, took, err), true}
	default:
		return result{fmt.Sprintf("  ok    %s (%s)", s.name, took), false}
	}
}

// checkFormat names the Go files that gofmt would change.
func checkFormat(context.Context, io.Writer) error {
	var wrong []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (skipped(d.Name()) || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		formatted, err := format.Source(source)
		if err != nil || string(formatted) != string(source) {
			wrong = append(wrong, path)
		}
		return nil
	})
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("gofmt -w %s", strings.Join(wrong, " "))
	}
	return err
}

// goTests begins with the longest of all packages, which mostly waits for
// processes: the others run meanwhile.
func goTests(ctx context.Context, out io.Writer) error {
	return run(ctx, out, "go", "test", "-timeout=15m", "./backend-server/tests", "./...")
}

// Acceptance runs the tests of all object stores; HEARTH_TEST_STORES may name
// fewer. What a store needs is downloaded, except Swift.
func Acceptance(ctx context.Context) error {
	stores := os.Getenv("HEARTH_TEST_STORES")
	if stores == "" {
		stores = "all"
	}
	if _, err := exec.LookPath("swift-proxy-server"); err != nil && (stores == "all" || strings.Contains(stores, "swift")) {
		fmt.Printf("\n!! OPENSTACK SWIFT IS NOT INSTALLED: it is NOT tested; apt-get install swift-proxy swift-account swift-container swift-object\n\n")
	}
	return runWith(ctx, os.Stdout, append(os.Environ(), "HEARTH_TEST_STORES="+stores), "go", "test", "-count=1", "-timeout=30m", "-v",
		"-run=^(TestStores|TestEveryStore|TestCompactionOnEveryStore)$", "./backend-server/tests/stores", "./backend-server/tests")
}

// s3Patience is how long it may take to build the S3 server of the tests.
const s3Patience = 4 * time.Minute

// s3ForTests builds the S3 server that the tests start, or says loudly that they
// will do without.
func s3ForTests(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	err := runWith(ctx, out, append(os.Environ(), "HEARTH_TEST_STORES=s3"), "go", "test", "-run=^TestGetS3$", "./backend-server/tests/stores")
	if err != nil {
		fmt.Fprintf(out, "\n!! NO S3 SERVER: blocks on S3 are NOT tested: %v\n\n", err)
		return fmt.Errorf("%w: no S3 server: %w", errSkipped, err)
	}
	return nil
}

// partitionTested says loudly if goTests has left out a test that needs network
// namespaces, since go test says nothing of what a package that passes skips.
func partitionTested(ctx context.Context, out io.Writer) error {
	name := fmt.Sprintf("hearth-probe-%d", os.Getpid())
	if _, err := output(ctx, "ip", "netns", "add", name); err != nil {
		fmt.Fprintf(out, "\n!! NO NETWORK NAMESPACES: clusters in a network that falls apart were NOT tested: %v\n\n", err)
		return fmt.Errorf("%w: no network namespaces: %w", errSkipped, err)
	}
	return run(ctx, out, "ip", "netns", "del", name)
}

// goRaceTests needs a C compiler; without one it says so loudly.
func goRaceTests(ctx context.Context, out io.Writer) error {
	if why := noRace(ctx); why != "" {
		fmt.Fprintf(out, "\n!! NO RACE DETECTOR: %s\n\n", why)
		return fmt.Errorf("%w: %s", errSkipped, why)
	}
	return run(ctx, out, "go", append([]string{"test", "-race", "-short", "-timeout=15m"}, raced...)...)
}

// noRace says why the race detector cannot be used, or "".
func noRace(ctx context.Context) string {
	cc, err := output(ctx, "go", "env", "CC")
	if err != nil {
		return err.Error()
	}
	name, _, _ := strings.Cut(cc, " ")
	if _, err := exec.LookPath(name); err != nil {
		return "no C compiler (" + cc + ") is installed on this " + runtime.GOOS
	}
	return ""
}

// Browser runs the browser tests on what is built, in every version of the
// plugin host. Without a browser it says so loudly and skips them.
func Browser(ctx context.Context, out io.Writer) error {
	if err := browserHosts(ctx, out); err != nil {
		return err
	}
	return runWith(ctx, out, append(os.Environ(), "CHROME_PATH="+FindChrome()), "npm", "run", "--silent", "--prefix", "tests", "e2e")
}

// browserHosts makes what the browser tests need besides the plugin.
func browserHosts(ctx context.Context, out io.Writer) error {
	if FindChrome() == "" {
		const line = "no Chromium found (CHROME_PATH, chromium, google-chrome): the browser tests did NOT run"
		fmt.Fprintf(out, "\n!!!!!!!!\n!! %s\n!! install one, e.g. apt-get install chromium\n!!!!!!!!\n\n", line)
		return fmt.Errorf("%w: %s", errSkipped, line)
	}
	for _, version := range hostVersions {
		if err := Host(ctx, out, version); err != nil {
			return err
		}
	}
	return npmInstall(ctx, out, "tests")
}
