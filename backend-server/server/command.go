package server

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/app"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

// Main runs the command line args until ctx ends. What was asked for goes to
// out, the log and problems go to errOut. It returns the exit code.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	if t, rest, words := findTool(args); t != nil {
		return t.main(ctx, rest, out, errOut)
	} else if words {
		fmt.Fprintf(errOut, "%q is no command; there are %s, and flags alone start the server (-help lists them)\n", args[0], toolNames())
		return 2
	}
	cmd, err := app.Parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "The settings are not good:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return 2
	}
	switch {
	case cmd.Help:
		fmt.Fprintf(out, "Usage: backend-server [flags]\n       backend-server COMMAND -help, where COMMAND is one of: %s\n\n%s", toolNames(), app.Usage())
		return 0
	case cmd.Version:
		info := buildinfo.Get()
		fmt.Fprintln(out, "hearth", info.Version, info.Revision, info.GoVersion)
		return 0
	case cmd.Modules:
		fmt.Fprintln(out, strings.Join(app.Targets(), "\n"))
		return 0
	case cmd.Check:
		fmt.Fprintln(out, "The settings are good.")
		return 0
	}
	memory.Tune(ctx)
	s, err := New(Config{Config: cmd.Config, LogOutput: errOut})
	if err == nil {
		err = s.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(errOut, "hearth:", err)
		return 1
	}
	return 0
}
