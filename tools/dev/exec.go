package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// grace is how long a process may take to end before it is killed.
const grace = 4 * time.Second

// run executes a command; out gets all that it prints.
func run(ctx context.Context, out io.Writer, name string, args ...string) error {
	return runWith(ctx, out, os.Environ(), name, args...)
}

func runWith(ctx context.Context, out io.Writer, env []string, name string, args ...string) error {
	fmt.Fprintln(out, "+", name, strings.Join(args, " "))
	cmd := command(ctx, env, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	return describe(cmd.Run(), name, args)
}

// output executes a command and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := command(ctx, os.Environ(), name, args...).Output()
	return strings.TrimSpace(string(out)), describe(err, name, args)
}

// command prepares a process in a group of its own, which ctx ends.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	ownGroup(cmd)
	cmd.Cancel = func() error { return terminateGroup(cmd.Process.Pid) }
	cmd.WaitDelay = grace
	return cmd
}

func describe(err error, name string, args []string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed", name)
	default:
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
}

// process is a program that runs beside us until it is stopped.
type process struct {
	name  string
	log   string // file with what it printed
	pid   int
	ended chan struct{} // closed when it has ended
	err   error         // how it ended; read after ended is closed
}

// start runs a program in the background. What it prints goes to a log file.
func start(ctx context.Context, name string, env []string, argv ...string) (*process, error) {
	path := filepath.Join(logDir, name+".log")
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	cmd := command(ctx, env, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(describe(err, argv[0], argv[1:]), file.Close())
	}
	p := &process{name: name, log: path, pid: cmd.Process.Pid, ended: make(chan struct{})}
	go func() { // ends with the process
		p.err = errors.Join(cmd.Wait(), file.Close())
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process and what it started, and waits for it.
func (p *process) stop() {
	_ = terminateGroup(p.pid) // it may be gone already
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	_ = killGroup(p.pid) // what is left of the group
	<-p.ended
}

// failure says how the process ended, with the end of its log.
func (p *process) failure() error {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("%s has ended (%w)", p.name, p.err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	lines = lines[max(0, len(lines)-15):]
	return fmt.Errorf("%s has ended (%v), the end of %s:\n  %s", p.name, p.err, p.log, strings.Join(lines, "\n  "))
}
