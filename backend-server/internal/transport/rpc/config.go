package rpc

import (
	"flag"
	"net"
	"strconv"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says where other processes reach this one, and how they know each
// other.
type Config struct {
	Address       string
	Port          int // 0: any free one
	TLS           certs.Files
	TLSServerName string
}

// RegisterFlags declares the flags of the port, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Address, "server.grpc-listen-address", "", "Address to listen on for other processes of the cluster; empty means all interfaces.")
	f.IntVar(&c.Port, "server.grpc-listen-port", 9095, "Port for other processes of the cluster. A process that is alone does not open it.")
	c.TLS.RegisterFlags(f, "server.grpc-tls", "for calls between processes of the cluster, in both directions. With it, all of them must prove who they are.", "Certificates of the authorities that may sign those of other processes. Read again when it changes.")
	f.StringVar(&c.TLSServerName, "server.grpc-tls-server-name", "", "Name that the certificates of other processes must have. Empty: the host of their -instance.addr.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	problems := c.TLS.Validate("server.grpc-tls", true)
	if c.Port < 0 || c.Port > 65535 {
		problems = append(problems, config.Problem("server.grpc-listen-port", c.Port, "a port from 1 to 65535, or 0 for any free one"))
	}
	return problems
}

func (c *Config) hostPort() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }
