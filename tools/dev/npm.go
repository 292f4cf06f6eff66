package dev

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// minNode is the oldest Node.js that the bundler and the tests run on.
var minNode = [2]int{20, 19}

// checkNode fails with a sentence where Node.js is missing or too old.
func checkNode(ctx context.Context) error {
	version, err := output(ctx, "node", "--version")
	if err != nil {
		return fmt.Errorf("Node.js %d.%d or newer is needed: %w", minNode[0], minNode[1], err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "v%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("node --version says %q", version)
	}
	if major < minNode[0] || major == minNode[0] && minor < minNode[1] {
		return fmt.Errorf("Node.js %d.%d or newer is needed, this is %s", minNode[0], minNode[1], version)
	}
	return nil
}

// npmInstall installs the packages of dir's lock file, unless that very lock
// file was installed before.
func npmInstall(ctx context.Context, out io.Writer, dir string) error {
	want, err := lockSum(dir)
	if err != nil {
		return err
	}
	stamp := filepath.Join(dir, "node_modules", ".installed-lock")
	if got, err := os.ReadFile(stamp); err == nil && string(got) == want {
		return nil
	}
	if err := checkNode(ctx); err != nil {
		return err
	}
	if err := run(ctx, out, "npm", "ci", "--prefix", dir, "--no-audit", "--no-fund"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(stamp), 0o755); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

func lockSum(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("npm lock file: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// npmRun runs a script of dir's package.json.
func npmRun(ctx context.Context, out io.Writer, dir, script string, args ...string) error {
	argv := []string{"run", "--silent", "--prefix", dir, script}
	if len(args) > 0 {
		argv = append(append(argv, "--"), args...)
	}
	return run(ctx, out, "npm", argv...)
}

// newest returns the latest change of the files and folders below the given
// paths, in nanoseconds; what does not exist counts as never changed. A folder
// changes when a file in it is added or removed.
func newest(paths ...string) (int64, error) {
	var latest int64
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if d.IsDir() && skipped(d.Name()) {
				return filepath.SkipDir
			}
			info, err := d.Info()
			if err == nil {
				latest = max(latest, info.ModTime().UnixNano())
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return latest, nil
}

// skipped names the folders that hold nothing written by hand.
func skipped(name string) bool {
	return name == "node_modules" || name == "dist" || name == ".git" || strings.HasPrefix(name, "test-results")
}
