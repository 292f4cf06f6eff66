package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/hearth-profiles/hearth/backend-server/server"
)

// shutdownTimeout is how long running requests may take when the process
// ends. Grafana kills a plugin two seconds after it has asked it to stop.
const shutdownTimeout = "1s"

// OpenHearth returns the Open of a Supervisor that runs Hearth's server.
func OpenHearth(logger *slog.Logger) func(dir, addr string) (Server, error) {
	return func(dir, addr string) (Server, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("embedded server address %q: %w", addr, err)
		}
		cfg, err := server.ParseFlags([]string{
			"-server.http-listen-address=" + host,
			"-server.http-listen-port=" + port,
			"-server.graceful-shutdown-timeout=" + shutdownTimeout,
			"-db.data-path=" + dir,
		})
		if err != nil {
			return nil, fmt.Errorf("embedded server settings: %w", err)
		}
		cfg.Logger = logger
		s, err := server.New(cfg)
		if errors.Is(err, server.ErrLocked) {
			return nil, fmt.Errorf("%w: %w", ErrLocked, err)
		}
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}
