// Package logging makes the process's logger.
//
// There is one logging interface, slog, and one logger, made in app and handed
// down through constructors. Libraries that want a go-kit logger (dskit,
// objstore) get it through Kit, the only place where go-kit appears.
package logging

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says what is logged and how.
type Config struct {
	Level  string
	Format string
}

const (
	levels  = "debug, info, warn or error"
	formats = "logfmt or json"
)

// RegisterFlags declares the flags of the logger, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Level, "log.level", "info", "Only messages of this level and above are logged: "+levels+".")
	f.StringVar(&c.Format, "log.format", "logfmt", "Format of log lines: "+formats+".")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if _, err := parseLevel(c.Level); err != nil {
		problems = append(problems, config.Problem("log.level", c.Level, levels))
	}
	if c.Format != "logfmt" && c.Format != "json" {
		problems = append(problems, config.Problem("log.format", c.Format, formats))
	}
	return problems
}

// New returns a logger that writes to w. The config must be valid.
func New(c Config, w io.Writer) (*slog.Logger, error) {
	level, err := parseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: want %s", s, levels)
}
