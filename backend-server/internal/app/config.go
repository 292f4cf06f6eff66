package app

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/queryfrontend"
	"github.com/hearth-profiles/hearth/backend-server/internal/scheduler"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/http"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/job"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// Config is all settings of the process.
type Config struct {
	Target        config.List
	SelfProfiling bool
	// UnregisterIngester says that an ingester that stops leaves the ring for
	// good.
	UnregisterIngester bool

	Log           logging.Config
	Tracing       tracing.Config
	HTTP          http.Config
	RPC           rpc.Config
	Cluster       cluster.Config
	Storage       bucket.Config
	Ingester      ingester.Config
	StoreGateway  storegateway.Config
	Compactor     compactor.Config
	Retention     deletion.Config
	Distributor   distributor.Config
	Limits        distributor.Limits
	QueryFrontend queryfrontend.Config
	Scheduler     scheduler.Config
	Querier       querier.Config
	Workers       job.Config
}

// RegisterFlags declares all flags that are settings, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.Target = config.List{Values: []string{All}}
	f.Var(&c.Target, "target", "Roles, or groups of roles, that this process plays, separated by commas; -modules lists them. A process without -memberlist.join is alone and plays what these need, too.")
	f.BoolVar(&c.SelfProfiling, "self-profiling.enabled", true, "Profile this process into itself, as the service \"hearth\".")
	f.BoolVar(&c.UnregisterIngester, "ingester.ring.unregister-on-shutdown", false, "An ingester that stops ships everything it has and leaves the ring for good, as after POST /ingester/prepare-shutdown. Without it, it keeps its place and is back when it starts again.")
	c.Log.RegisterFlags(f)
	c.Tracing.RegisterFlags(f)
	c.HTTP.RegisterFlags(f)
	c.RPC.RegisterFlags(f)
	c.Cluster.RegisterFlags(f)
	c.Storage.RegisterFlags(f)
	c.Ingester.RegisterFlags(f)
	c.StoreGateway.RegisterFlags(f)
	c.Compactor.RegisterFlags(f)
	c.Retention.RegisterFlags(f)
	c.Distributor.RegisterFlags(f)
	c.Limits.RegisterFlags(f)
	c.QueryFrontend.RegisterFlags(f)
	c.Scheduler.RegisterFlags(f)
	c.Querier.RegisterFlags(f)
	c.Workers.RegisterFlags(f)
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() error {
	var problems []error
	if len(c.Target.Values) == 0 {
		problems = append(problems, config.Problem("target", "", strings.Join(Targets(), ", ")))
	}
	for _, t := range c.Target.Values {
		if !slices.Contains(Targets(), t) {
			problems = append(problems, config.Problem("target", t, strings.Join(Targets(), ", ")))
		}
	}
	for _, part := range []interface{ Validate() []error }{
		&c.Log, &c.HTTP, &c.RPC, &c.Cluster, &c.Storage, &c.Ingester, &c.StoreGateway, &c.Compactor, &c.Retention, &c.Distributor, &c.Limits, &c.QueryFrontend, &c.Scheduler, &c.Querier, &c.Workers,
	} {
		problems = append(problems, part.Validate()...)
	}
	if !c.Cluster.Alone() && c.usesBucket() && c.Storage.IsLocal() {
		problems = append(problems, config.Problem("storage.filesystem.dir", "", "a folder that all ingesters, store-gateways and compactors of the cluster share"))
	}
	return errors.Join(problems...)
}

// usesBucket reports whether the process plays a role that works with the
// bucket, which are also those that keep something in the data folder.
func (c *Config) usesBucket() bool {
	roles := c.played()
	return roles[Ingester] || roles[StoreGateway] || roles[Compactor]
}

// Default returns the settings of a process that is started without any.
func Default() Config {
	var c Config
	c.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	return c
}

// YAML returns the settings as the configuration file that would give them.
func (c Config) YAML() ([]byte, error) {
	var shown Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	shown.RegisterFlags(f)
	shown = c // the flags point at shown
	return config.Dump(f)
}

// Command is a command line: the settings and what to do with them.
type Command struct {
	Config  Config
	Check   bool // say whether the settings are good, and end
	Modules bool // list the roles, and end
	Version bool // tell the version, and end
	Help    bool // list the flags, and end
}

// Parse reads a command line, and the configuration file if it names one. The
// error holds every problem.
func Parse(args []string) (Command, error) {
	cmd, fs, file := newCommand()
	err := config.Load(fs, file, args)
	if errors.Is(err, flag.ErrHelp) {
		cmd.Help = true
		return *cmd, nil
	}
	if cmd.Modules || cmd.Version {
		return *cmd, err
	}
	return *cmd, errors.Join(err, cmd.Config.Validate())
}

func newCommand() (*Command, *flag.FlagSet, *config.File) {
	cmd, file := new(Command), new(config.File)
	fs := flag.NewFlagSet("backend-server", flag.ContinueOnError)
	cmd.Config.RegisterFlags(fs)
	file.RegisterFlags(fs)
	fs.BoolVar(&cmd.Check, "config.check", false, "Check the settings, say what is wrong with them, and end.")
	fs.BoolVar(&cmd.Modules, "modules", false, "List the roles for -target, and end.")
	fs.BoolVar(&cmd.Version, "version", false, "Tell the version, and end.")
	return cmd, fs, file
}

// Usage describes all flags.
func Usage() string {
	_, fs, _ := newCommand()
	var out strings.Builder
	fmt.Fprintln(&out, "Flags (also names in the YAML file of -config.file):")
	fs.SetOutput(&out)
	fs.PrintDefaults()
	return out.String()
}
