package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// goPackages are the packages of the product.
var goPackages = []string{"./backend-server/...", "./pkg/..."}

// Fuzz runs every fuzz target for the time that HEARTH_FUZZ_TIME says, 10m
// without it.
func Fuzz(ctx context.Context) error {
	each, err := durationOf("HEARTH_FUZZ_TIME", 10*time.Minute)
	if err != nil {
		return err
	}
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	return fuzz(ctx, os.Stdout, fuzzing{each: each}, goPackages...)
}

// durationOf reads a duration from the environment.
func durationOf(name string, otherwise time.Duration) (time.Duration, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: %q is not allowed; want a duration, e.g. 10m", name, text)
	}
	return d, nil
}

// fuzzing says how to fuzz.
type fuzzing struct {
	each time.Duration // for each target
	// traceless keeps nothing: what the fuzzer learns goes to a temporary
	// folder and its draws are the same each time, so that one run is like
	// another, and an input that fails is printed and taken out of the tree
	// again. Otherwise the go command keeps both, for the next run and for the
	// one who mends it.
	traceless bool
}

// fuzzBriefly is one of the checks.
func fuzzBriefly(ctx context.Context, out io.Writer) error {
	return fuzz(ctx, out, fuzzing{each: time.Second, traceless: true}, goPackages...)
}

// target is a fuzz function of a package.
type target struct{ pkg, dir, name string }

// fuzz runs every fuzz target of the packages.
func fuzz(ctx context.Context, out io.Writer, how fuzzing, pkgs ...string) error {
	targets, err := fuzzTargets(ctx, pkgs)
	if err != nil {
		return err
	}
	programs, err := os.MkdirTemp("", "hearth-fuzz")
	if err != nil {
		return fmt.Errorf("fuzz programs: %w", err)
	}
	defer os.RemoveAll(programs) // nothing is lost if they stay
	var errs []error
	for i, t := range targets {
		// The targets of a package are one program.
		program := filepath.Join(programs, "fuzz.test")
		if how.traceless && (i == 0 || targets[i-1].pkg != t.pkg) {
			if err := run(ctx, out, "go", "test", "-c", "-fuzz=.", "-o", program, t.pkg); err != nil {
				return err
			}
		}
		if err := how.run(ctx, out, t, program); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", t.name, t.pkg, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// fuzzTargets finds out which targets there are.
func fuzzTargets(ctx context.Context, pkgs []string) ([]target, error) {
	dirs, err := output(ctx, "go", append([]string{"list", "-f", "{{.ImportPath}}\t{{.Dir}}\t{{join .TestGoFiles \",\"}},{{join .XTestGoFiles \",\"}}"}, pkgs...)...)
	if err != nil {
		return nil, err
	}
	var out []target
	for line := range strings.Lines(dirs) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("go list says %q", line)
		}
		names, err := fuzzNames(fields[1], strings.Split(fields[2], ","))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			out = append(out, target{fields[0], fields[1], name})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there are no fuzz targets")
	}
	return out, nil
}

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(`)

// fuzzNames lists the targets in test files.
func fuzzNames(dir string, files []string) (names []string, err error) {
	for _, name := range files {
		if name == "" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("test file: %w", err)
		}
		for _, found := range fuzzFunc.FindAllSubmatch(source, -1) {
			names = append(names, string(found[1]))
		}
	}
	slices.Sort(names)
	return names, nil
}

// run fuzzes one target; if it is to leave no trace, with the program of its
// package.
func (f fuzzing) run(ctx context.Context, out io.Writer, t target, program string) error {
	limit := (f.each + 10*time.Minute).String()
	if !f.traceless {
		return run(ctx, out, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+f.each.String(), "-fuzzminimizetime=10s", "-parallel=2", "-timeout="+limit, t.pkg)
	}
	cache, err := os.MkdirTemp("", "hearth-fuzz")
	if err != nil {
		return fmt.Errorf("fuzz cache: %w", err)
	}
	defer os.RemoveAll(cache) // nothing is lost if it stays
	inputs := filepath.Join(t.dir, "testdata", "fuzz", t.name)
	known, err := fileNames(inputs)
	if err != nil {
		return err
	}
	once := func() error {
		fmt.Fprintln(out, "+ fuzz", t.pkg, t.name)
		args := []string{"-test.run=^$", "-test.fuzz=^" + t.name + "$", "-test.fuzztime=" + f.each.String(), "-test.fuzzminimizetime=10s",
			"-test.parallel=2", "-test.timeout=" + limit, "-test.fuzzcachedir=" + cache}
		cmd := command(ctx, append(os.Environ(), "GODEBUG=fuzzseed=1"), program, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, out, out
		return describe(cmd.Run(), t.name, nil)
	}
	failed := once()
	found, err := showFound(out, inputs, known)
	// Go's fuzzer may fail of its own when its time is up on a busy machine; a seed
	// that fails does so again.
	for more := 2; more > 0 && failed != nil && err == nil && !found && ctx.Err() == nil; more-- {
		fmt.Fprintln(out, "nothing was found; once more")
		failed = once()
		found, err = showFound(out, inputs, known)
	}
	return errors.Join(failed, err)
}

// showFound prints and removes the inputs in a folder that are not known, and
// the folder if it is empty then. It reports whether there were any.
func showFound(out io.Writer, inputs string, known map[string]bool) (found bool, err error) {
	now, err := fileNames(inputs)
	if err != nil {
		return false, err
	}
	for name := range now {
		if known[name] {
			continue
		}
		path := filepath.Join(inputs, name)
		input, err := os.ReadFile(path)
		if err != nil {
			return true, fmt.Errorf("fuzz input: %w", err)
		}
		found = true
		fmt.Fprintf(out, "this input fails; put it into %s to keep it as a test:\n%s\n", path, input)
		if err := os.Remove(path); err != nil {
			return true, fmt.Errorf("fuzz input: %w", err)
		}
	}
	if len(known) == 0 && len(now) > 0 {
		_ = os.Remove(inputs) // stays if something else is in it
	}
	return found, nil
}

func fileNames(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("fuzz inputs: %w", err)
	}
	out := map[string]bool{}
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out, nil
}
