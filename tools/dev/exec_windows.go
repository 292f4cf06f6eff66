package dev

import (
	"os/exec"
	"strconv"
)

// Windows has no process groups to signal: taskkill ends the tree.
func ownGroup(*exec.Cmd) {}

func terminateGroup(pid int) error { return killGroup(pid) }

func killGroup(pid int) error {
	return exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(pid)).Run()
}
