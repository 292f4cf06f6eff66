package http

import (
	"flag"
	"net"
	"strconv"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says where the server listens and what it accepts.
type Config struct {
	Address         string
	Port            int // 0: any free one
	MaxBodyBytes    config.Bytes
	ShutdownTimeout time.Duration
	ShutdownDelay   time.Duration
	Multitenancy    bool
	TLS             certs.Files
}

// RegisterFlags declares the flags of the port, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.MaxBodyBytes = 256 << 20
	f.StringVar(&c.Address, "server.http-listen-address", "", "Address to listen on; empty means all interfaces.")
	f.IntVar(&c.Port, "server.http-listen-port", 4040, "Port for everything: HTTP/1.1, HTTP/2 and gRPC.")
	c.TLS.RegisterFlags(f, "server.http-tls", "for the port for everything.", "Certificates of the authorities that may sign those of clients. With it, all clients must have one, those that scrape metrics or ask for readiness too. Read again when it changes.")
	f.Var(&c.MaxBodyBytes, "server.max-body-size", "Largest request body, as sent.")
	f.DurationVar(&c.ShutdownTimeout, "server.graceful-shutdown-timeout", 30*time.Second, "How long running requests may take to finish when the process stops.")
	f.DurationVar(&c.ShutdownDelay, "server.shutdown-delay", 0, "How long a process that is told to stop goes on taking requests while /ready says that it stops, so that a load balancer can send them elsewhere.")
	f.BoolVar(&c.Multitenancy, "auth.multitenancy-enabled", false, "Require the header X-Scope-OrgID and keep tenants apart. Off: everything belongs to the tenant \"anonymous\".")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	problems := c.TLS.Validate("server.http-tls", false)
	if c.Port < 0 || c.Port > 65535 {
		problems = append(problems, config.Problem("server.http-listen-port", c.Port, "a port from 1 to 65535, or 0 for any free one"))
	}
	if c.MaxBodyBytes <= 0 {
		problems = append(problems, config.Problem("server.max-body-size", c.MaxBodyBytes.String(), "a size above 0"))
	}
	if c.ShutdownDelay < 0 {
		problems = append(problems, config.Problem("server.shutdown-delay", c.ShutdownDelay, "a duration that is not negative"))
	}
	if c.ShutdownTimeout < 0 {
		problems = append(problems, config.Problem("server.graceful-shutdown-timeout", c.ShutdownTimeout, "a duration that is not negative"))
	}
	return problems
}

func (c *Config) hostPort() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }
