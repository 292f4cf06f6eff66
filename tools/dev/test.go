package dev

import (
	"context"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
	do    func(context.Context) error
}

// Test runs every check there is. A failure does not stop the others; the
// summary at the end and the error say what failed.
func Test(ctx context.Context) error {
	return runSteps(ctx, steps())
}

func steps() []step {
	return []step{
		{name: "Go: format", do: checkFormat},
		{name: "Go: vet", do: func(ctx context.Context) error { return run(ctx, "go", "vet", "./...") }},
		{name: "Go: an S3 server for the tests", do: s3ForTests},
		{name: "Go: tests", do: goTests},
		{name: "Go: partition of a network", needs: []string{"Go: tests"}, do: partitionTested},
		{name: "Go: tests, race detector", do: goRaceTests},
		{name: "Go: fuzz", do: fuzzBriefly},
		{name: "TypeScript: install", do: func(ctx context.Context) error { return npmInstall(ctx, ".") }},
		{name: "TypeScript: types", needs: []string{"TypeScript: install"}, do: script(".", "typecheck")},
		{name: "TypeScript: lint", needs: []string{"TypeScript: install"}, do: script(".", "lint")},
		{name: "TypeScript: tests", needs: []string{"TypeScript: install"}, do: script(".", "test")},
		{name: "Build", needs: []string{"TypeScript: install"}, do: Build},
		{name: "Browser tests", needs: []string{"Build"}, do: Browser},
	}
}

// Lint runs the checks that need no tests to run.
func Lint(ctx context.Context) error {
	return runSteps(ctx, slices.DeleteFunc(steps(), func(s step) bool {
		return !slices.Contains([]string{"Go: format", "Go: vet", "TypeScript: install", "TypeScript: types", "TypeScript: lint"}, s.name)
	}))
}

func script(dir, name string) func(context.Context) error {
	return func(ctx context.Context) error { return npmRun(ctx, dir, name) }
}

// errSkipped is a step's way of saying that it could not run here.
var errSkipped = errors.New("skipped")

func runSteps(ctx context.Context, list []step) error {
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	var failed, summary []string
	for _, s := range list {
		missing := slices.IndexFunc(s.needs, func(n string) bool { return slices.Contains(failed, n) })
		if missing >= 0 {
			summary = append(summary, fmt.Sprintf("  -     %s: not run, %s failed", s.name, s.needs[missing]))
			failed = append(failed, s.name)
			continue
		}
		fmt.Printf("\n== %s\n", s.name)
		began := time.Now()
		err := s.do(ctx)
		took := time.Since(began).Round(100 * time.Millisecond)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSkipped):
			summary = append(summary, fmt.Sprintf("  SKIP  %s: %v", s.name, err))
		case err != nil:
			fmt.Println(err)
			failed = append(failed, s.name)
			summary = append(summary, fmt.Sprintf("  FAIL  %s (%s): %v", s.name, took, err))
		default:
			summary = append(summary, fmt.Sprintf("  ok    %s (%s)", s.name, took))
		}
	}
	fmt.Printf("\n== Summary\n%s\n", strings.Join(summary, "\n"))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// checkFormat names the Go files that gofmt would change.
func checkFormat(context.Context) error {
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

func goTests(ctx context.Context) error {
	return run(ctx, "go", "test", "-timeout=15m", "./...")
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
	return runWith(ctx, append(os.Environ(), "HEARTH_TEST_STORES="+stores), "go", "test", "-count=1", "-timeout=30m", "-v",
		"-run=^(TestStores|TestEveryStore|TestCompactionOnEveryStore)$", "./backend-server/tests/stores", "./backend-server/tests")
}

// s3Patience is how long it may take to build the S3 server of the tests.
const s3Patience = 4 * time.Minute

// s3ForTests builds the S3 server that the tests start, or says loudly that they
// will do without.
func s3ForTests(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	err := runWith(ctx, append(os.Environ(), "HEARTH_TEST_STORES=s3"), "go", "test", "-run=^TestGetS3$", "./backend-server/tests/stores")
	if err != nil {
		fmt.Printf("\n!! NO S3 SERVER: blocks on S3 are NOT tested: %v\n\n", err)
		return fmt.Errorf("%w: no S3 server: %w", errSkipped, err)
	}
	return nil
}

// partitionTested says loudly if goTests has left out a test that needs network
// namespaces, since go test says nothing of what a package that passes skips.
func partitionTested(ctx context.Context) error {
	name := fmt.Sprintf("hearth-probe-%d", os.Getpid())
	if _, err := output(ctx, "ip", "netns", "add", name); err != nil {
		fmt.Printf("\n!! NO NETWORK NAMESPACES: clusters in a network that falls apart were NOT tested: %v\n\n", err)
		return fmt.Errorf("%w: no network namespaces: %w", errSkipped, err)
	}
	return run(ctx, "ip", "netns", "del", name)
}

// goRaceTests needs a C compiler; without one it says so loudly.
func goRaceTests(ctx context.Context) error {
	if why := noRace(ctx); why != "" {
		fmt.Printf("\n!! NO RACE DETECTOR: %s\n\n", why)
		return fmt.Errorf("%w: %s", errSkipped, why)
	}
	return run(ctx, "go", append([]string{"test", "-race", "-short", "-timeout=15m"}, raced...)...)
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
func Browser(ctx context.Context) error {
	chrome := FindChrome()
	if chrome == "" {
		const line = "no Chromium found (CHROME_PATH, chromium, google-chrome): the browser tests did NOT run"
		fmt.Printf("\n!!!!!!!!\n!! %s\n!! install one, e.g. apt-get install chromium\n!!!!!!!!\n\n", line)
		return fmt.Errorf("%w: %s", errSkipped, line)
	}
	for _, version := range hostVersions {
		if err := Host(ctx, version); err != nil {
			return err
		}
	}
	if err := npmInstall(ctx, "tests"); err != nil {
		return err
	}
	return runWith(ctx, append(os.Environ(), "CHROME_PATH="+chrome), "npm", "run", "--silent", "--prefix", "tests", "e2e")
}
