// Package server is Hearth's server as a library: what main.go runs, and what
// the plugin embeds.
//
//	cmd, err := server.Parse(args)      // or cfg := server.DefaultConfig()
//	s, err := server.New(cmd.Config)    // takes the data folder and the port
//	err = s.Run(ctx)                    // until ctx ends; gives both back
package server

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/app"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
)

// ErrLocked is in the chain of New's error when another process works on the
// data folder.
var ErrLocked = app.ErrLocked

// Config is all settings of a server.
type Config struct {
	app.Config
	// Logger receives the log. If it is nil, the log goes to LogOutput as the
	// settings say.
	Logger *slog.Logger
	// LogOutput is used without a Logger; nil discards.
	LogOutput io.Writer
}

// DefaultConfig returns the settings of a server that is started without any.
func DefaultConfig() Config { return Config{Config: app.Default()} }

// ParseFlags returns the settings that a command line gives, its configuration
// file included. The error holds every problem.
func ParseFlags(args []string) (Config, error) {
	cmd, err := app.Parse(args)
	return Config{Config: cmd.Config}, err
}

// Server is one server.
type Server struct{ app *app.App }

// New locks the data folder, takes the port and prepares the server. The
// caller must call Run or Close.
func New(cfg Config) (*Server, error) {
	logger := cfg.Logger
	if logger == nil {
		out := cfg.LogOutput
		if out == nil {
			out = io.Discard
		}
		var err error
		if logger, err = logging.New(cfg.Log, out); err != nil {
			return nil, err
		}
	}
	a, err := app.New(cfg.Config, logger)
	if err != nil {
		return nil, err
	}
	return &Server{a}, nil
}

// Run serves until ctx ends, then stops in good order: running requests are
// answered, what is in memory is in the log.
func (s *Server) Run(ctx context.Context) error { return s.app.Run(ctx) }

// Close gives back the folder and the port of a server that is not going to
// run.
func (s *Server) Close() error { return s.app.Close() }

// Addr returns the address of the server's port, as host:port.
func (s *Server) Addr() string { return s.app.Addr() }

// readyPause is the time between two looks in Ready.
const readyPause = 20 * time.Millisecond

// Ready waits until the server reads and writes. When ctx ends first, the
// error says what was missing.
func (s *Server) Ready(ctx context.Context) error {
	for {
		err := s.app.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(readyPause):
		}
	}
}
