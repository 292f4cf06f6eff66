// Command backend-server is Hearth's server. Without any flags it serves
// everything on port 4040 and keeps its data in ./data; -help lists the flags.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hearth-profiles/hearth/backend-server/server"
)

func main() {
	// The first signal ends the server in good order, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(server.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
