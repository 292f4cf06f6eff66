package dev

import (
	"os"
	"os/exec"
)

// FindChrome returns the path of a Chromium to test in, or "".
func FindChrome() string {
	for _, name := range []string{os.Getenv("CHROME_PATH"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/usr/bin/chromium"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
