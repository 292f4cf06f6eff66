package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// goPackages are the packages of the product.
var goPackages = []string{"./backend-server/...", "./pkg/..."}

// Fuzz runs every fuzz target for the time that HEARTH_FUZZ_TIME says, 10m
// without it.
func Fuzz(ctx context.Context) error {
	each := 10 * time.Minute
	if text := os.Getenv("HEARTH_FUZZ_TIME"); text != "" {
		var err error
		if each, err = time.ParseDuration(text); err != nil || each <= 0 {
			return fmt.Errorf("HEARTH_FUZZ_TIME: %q is not allowed; want a duration, e.g. 10m", text)
		}
	}
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	return fuzz(ctx, fuzzing{each: each}, goPackages...)
}

// fuzzing says how to fuzz.
type fuzzing struct {
	each time.Duration // for each target
	// traceless keeps nothing: what the fuzzer learns goes to a temporary
	// folder, so that one run is like another, and an input that fails is
	// printed and taken out of the tree again. Otherwise the go command keeps
	// both, for the next run and for the one who mends it.
	traceless bool
}

// fuzzBriefly is one of the checks.
func fuzzBriefly(ctx context.Context) error {
	return fuzz(ctx, fuzzing{each: 2 * time.Second, traceless: true}, goPackages...)
}

// target is a fuzz function of a package.
type target struct{ pkg, dir, name string }

// fuzz runs every fuzz target of the packages.
func fuzz(ctx context.Context, how fuzzing, pkgs ...string) error {
	targets, err := fuzzTargets(ctx, pkgs)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		if err := how.run(ctx, t); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", t.name, t.pkg, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// fuzzTargets asks the test binaries which targets there are.
func fuzzTargets(ctx context.Context, pkgs []string) ([]target, error) {
	// Only packages with such a function are built.
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
		has, err := hasFuzz(fields[1], strings.Split(fields[2], ","))
		if err != nil {
			return nil, err
		}
		if !has {
			continue
		}
		names, err := output(ctx, "go", "test", "-list=^Fuzz", fields[0])
		if err != nil {
			return nil, err
		}
		for name := range strings.Lines(names) {
			if name = strings.TrimSpace(name); strings.HasPrefix(name, "Fuzz") {
				out = append(out, target{fields[0], fields[1], name})
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there are no fuzz targets")
	}
	return out, nil
}

var fuzzFunc = regexp.MustCompile(`(?m)^func Fuzz\w*\(`)

func hasFuzz(dir string, files []string) (bool, error) {
	for _, name := range files {
		if name == "" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return false, fmt.Errorf("test file: %w", err)
		}
		if fuzzFunc.Match(source) {
			return true, nil
		}
	}
	return false, nil
}

// run fuzzes one target.
func (f fuzzing) run(ctx context.Context, t target) error {
	args := []string{"test", "-run=^$", "-fuzz=^" + t.name + "$", "-fuzztime=" + f.each.String(), "-fuzzminimizetime=10s",
		"-parallel=2", "-timeout=" + (f.each + 10*time.Minute).String(), t.pkg}
	if !f.traceless {
		return run(ctx, "go", args...)
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
	args = append(args, "-test.fuzzcachedir="+cache)
	failed := run(ctx, "go", args...)
	found, err := showFound(inputs, known)
	if failed != nil && err == nil && !found && ctx.Err() == nil {
		// Go's fuzzer may fail of its own when its time is up on a busy machine;
		// a seed that fails does so again.
		fmt.Println("nothing was found; once more")
		failed = run(ctx, "go", args...)
		_, err = showFound(inputs, known)
	}
	return errors.Join(failed, err)
}

// showFound prints and removes the inputs in a folder that are not known, and
// the folder if it is empty then. It reports whether there were any.
func showFound(inputs string, known map[string]bool) (found bool, err error) {
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
		fmt.Printf("this input fails; put it into %s to keep it as a test:\n%s\n", path, input)
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
