package store

import (
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	upstream "github.com/ncw/swift"
	"github.com/prometheus/common/model"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/swift"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Swift is OpenStack's object store.
type Swift struct {
	AuthURL           string
	AuthVersion       int
	Username, UserID  string
	Password          config.Secret
	UserDomain        Named // of the user
	Project           Named
	ProjectDomain     Named
	Application       Named // credential
	ApplicationSecret config.Secret
	Region, Container string
}

// Named is one of OpenStack's things, which are known by name or by ID.
type Named struct{ Name, ID string }

func (n *Named) register(f *flag.FlagSet, flagName, what string) {
	f.StringVar(&n.Name, "storage.swift."+flagName+"-name", "", "Name of the "+what+".")
	f.StringVar(&n.ID, "storage.swift."+flagName+"-id", "", "ID of the "+what+", in place of its name.")
}

// RegisterFlags implements Provider.
func (c *Swift) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.AuthURL, "storage.swift.auth-url", "", "URL of the identity service. What is empty here and in the other settings of Swift is taken from the environment (OS_AUTH_URL, OS_USERNAME, …).")
	f.IntVar(&c.AuthVersion, "storage.swift.auth-version", 0, "Version of the identity service: 1, 2 or 3; 0 means what the URL says.")
	f.StringVar(&c.Username, "storage.swift.username", "", "Name of the user.")
	f.StringVar(&c.UserID, "storage.swift.user-id", "", "ID of the user, in place of its name.")
	f.Var(&c.Password, "storage.swift.password", "Password, or API key, of the user.")
	c.UserDomain.register(f, "domain", "user's domain")
	c.Project.register(f, "project", "project")
	c.ProjectDomain.register(f, "project-domain", "project's domain")
	c.Application.register(f, "application-credential", "application credential, in place of a user")
	f.Var(&c.ApplicationSecret, "storage.swift.application-credential-secret", "Secret of the application credential.")
	f.StringVar(&c.Region, "storage.swift.region", "", "Region of the container; empty means the first one.")
	f.StringVar(&c.Container, "storage.swift.container", "", "Name of the container.")
}

// Validate implements Provider. Who the user is may come from the environment;
// what is missing then is said when it is needed.
func (c *Swift) Validate() []error {
	problems := missing("storage.swift.container", c.Container, "the name of a container")
	if c.AuthVersion < 0 || c.AuthVersion > 3 {
		problems = append(problems, config.Problem("storage.swift.auth-version", c.AuthVersion, "1, 2, 3 or 0"))
	}
	full, err := c.connection()
	if err != nil {
		return append(problems, err)
	}
	problems = append(problems, missing("storage.swift.auth-url", full.AuthUrl, "the URL of the identity service, or OS_AUTH_URL in the environment")...)
	if full.ApplicationCredentialSecret == "" {
		problems = append(problems, missing("storage.swift.username", full.UserName+full.UserId, "a user, or OS_USERNAME in the environment",
			"storage.swift.password", full.ApiKey, "the user's password, or OS_PASSWORD in the environment")...)
	}
	return problems
}

// connection returns who logs in where, with the environment's words where the
// settings have none.
func (c *Swift) connection() (upstream.Connection, error) {
	full := upstream.Connection{
		AuthVersion: c.AuthVersion, AuthUrl: c.AuthURL, UserName: c.Username, UserId: c.UserID, ApiKey: c.Password.Reveal(),
		Domain: c.UserDomain.Name, DomainId: c.UserDomain.ID, Tenant: c.Project.Name, TenantId: c.Project.ID,
		TenantDomain: c.ProjectDomain.Name, TenantDomainId: c.ProjectDomain.ID, Region: c.Region,
		ApplicationCredentialName: c.Application.Name, ApplicationCredentialId: c.Application.ID,
		ApplicationCredentialSecret: c.ApplicationSecret.Reveal(),
	}
	return full, full.ApplyEnvironment()
}

// swiftSilence is how long the store may say nothing: the client knows no
// contexts.
const swiftSilence = time.Minute

// Open implements Provider.
func (c *Swift) Open(_ context.Context, t *Transport) (objstore.Bucket, error) {
	full, err := c.connection()
	if err != nil {
		return nil, err
	}
	cfg := swift.DefaultConfig
	cfg.AuthVersion, cfg.AuthUrl, cfg.Username, cfg.UserId, cfg.Password = full.AuthVersion, full.AuthUrl, full.UserName, full.UserId, full.ApiKey
	cfg.DomainName, cfg.DomainId, cfg.ProjectName, cfg.ProjectID = full.Domain, full.DomainId, full.Tenant, full.TenantId
	cfg.ProjectDomainName, cfg.ProjectDomainID, cfg.RegionName = full.TenantDomain, full.TenantDomainId, full.Region
	cfg.ApplicationCredentialName, cfg.ApplicationCredentialID = full.ApplicationCredentialName, full.ApplicationCredentialId
	cfg.ApplicationCredentialSecret, cfg.ContainerName = full.ApplicationCredentialSecret, c.Container
	cfg.Retries, cfg.ConnectTimeout, cfg.Timeout = tries-1, model.Duration(dialTimeout), model.Duration(swiftSilence)
	cfg.HTTPConfig.Transport = t
	return &lazySwift{cfg: cfg}, nil
}

// Explain implements Provider.
func (c *Swift) Explain(err error) Meaning {
	var answer *upstream.Error
	switch {
	case errors.Is(err, upstream.ContainerNotFound), strings.Contains(err.Error(), "unable to find the expected container"):
		return Meaning{Cause: NoBucket}
	case errors.Is(err, upstream.AuthorizationFailed):
		return Meaning{Cause: Unknown}
	case errors.Is(err, upstream.Forbidden):
		return Meaning{Cause: Denied}
	case errors.Is(err, upstream.TimeoutError), errors.Is(err, upstream.RateLimit), errors.Is(err, upstream.TooManyRequests):
		return Meaning{Cause: Away}
	case errors.As(err, &answer):
		return Meaning{Cause: explain(err, answer.StatusCode), Message: answer.Text}
	}
	return Meaning{Cause: explainNetwork(err)}
}

// Flags implements Provider.
func (c *Swift) Flags(cause Cause) string {
	switch cause {
	case NoBucket:
		return "-storage.swift.container"
	case Unknown, Denied, Missing:
		return "-storage.swift.username and -storage.swift.password"
	case Region:
		return "-storage.swift.region"
	}
	return "-storage.swift.auth-url"
}
