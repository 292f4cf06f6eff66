package rpc

import (
	"flag"
	"net"
	"strconv"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says where other processes reach this one.
type Config struct {
	Address string
	Port    int // 0: any free one
}

// RegisterFlags declares the flags of the port, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Address, "server.grpc-listen-address", "", "Address to listen on for other processes of the cluster; empty means all interfaces.")
	f.IntVar(&c.Port, "server.grpc-listen-port", 9095, "Port for other processes of the cluster. A process that is alone does not open it.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	if c.Port < 0 || c.Port > 65535 {
		return []error{config.Problem("server.grpc-listen-port", c.Port, "a port from 1 to 65535, or 0 for any free one")}
	}
	return nil
}

func (c *Config) hostPort() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }
