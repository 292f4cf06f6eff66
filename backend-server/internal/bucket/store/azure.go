package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/azure"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Azure is Azure Blob Storage.
type Azure struct {
	AccountName      string
	AccountKey       config.Secret
	Container        string
	Endpoint         string
	ConnectionString config.Secret
	UserAssignedID   string
}

// RegisterFlags implements Provider.
func (c *Azure) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.AccountName, "storage.azure.account-name", "", "Name of the Azure storage account.")
	f.Var(&c.AccountKey, "storage.azure.account-key", "Key of the Azure storage account; empty means the environment (AZURE_TENANT_ID, AZURE_CLIENT_ID, …), or the identity of the machine or pod.")
	f.StringVar(&c.Container, "storage.azure.container", "", "Name of the Azure container.")
	f.StringVar(&c.Endpoint, "storage.azure.endpoint", "blob.core.windows.net", "What follows the account's name in the host, or a URL up to the account if it does not stand there; the URL needs -storage.azure.account-key.")
	f.Var(&c.ConnectionString, "storage.azure.connection-string", "Connection string of the Azure storage account, in place of name, key and endpoint.")
	f.StringVar(&c.UserAssignedID, "storage.azure.user-assigned-id", "", "Client ID of the user-assigned managed identity; empty means the one of the system.")
}

func (c *Azure) isURL() bool { return strings.Contains(c.Endpoint, "://") }

// Validate implements Provider.
func (c *Azure) Validate() []error {
	problems := missing("storage.azure.container", c.Container, "the name of a container")
	keyed := c.AccountKey != "" || c.ConnectionString != ""
	switch {
	case c.AccountName == "" && c.ConnectionString == "":
		problems = append(problems, missing("storage.azure.account-name", "", "the name of a storage account, or -storage.azure.connection-string")...)
	case c.AccountKey != "" && c.ConnectionString != "":
		problems = append(problems, errors.New("-storage.azure.account-key and -storage.azure.connection-string are given; want one of them"))
	case keyed && c.UserAssignedID != "":
		problems = append(problems, config.Problem("storage.azure.user-assigned-id", c.UserAssignedID, "nothing if there is a key or a connection string"))
	case c.isURL() && !keyed:
		problems = append(problems, missing("storage.azure.account-key", "", "the key of the account, which a URL as -storage.azure.endpoint needs")...)
	}
	if c.ConnectionString == "" {
		problems = append(problems, missing("storage.azure.endpoint", c.Endpoint, "such as blob.core.windows.net")...)
	}
	return problems
}

// Open implements Provider.
func (c *Azure) Open(_ context.Context, t *Transport) (objstore.Bucket, error) {
	cfg := azure.DefaultConfig
	cfg.StorageCreateContainer = false
	cfg.StorageAccountName, cfg.StorageAccountKey = c.AccountName, c.AccountKey.Reveal()
	cfg.StorageConnectionString, cfg.UserAssignedID = c.ConnectionString.Reveal(), c.UserAssignedID
	cfg.ContainerName, cfg.Endpoint = c.Container, c.Endpoint
	cfg.PipelineConfig.MaxTries, cfg.ReaderConfig.MaxRetryRequests = tries-1, tries-1
	cfg.HTTPConfig.Transport = t
	if c.isURL() && c.ConnectionString == "" {
		cfg.StorageConnectionString = fmt.Sprintf("BlobEndpoint=%s;AccountName=%s;AccountKey=%s", c.Endpoint, c.AccountName, c.AccountKey.Reveal())
		cfg.StorageAccountKey = ""
	}
	if cfg.StorageAccountName == "" {
		cfg.StorageAccountName = "of-the-connection-string" // objstore wants one, and does not use it then
	}
	return azure.NewBucketWithConfig(log.NewNopLogger(), cfg, "hearth", nil)
}

// azureCauses are the codes of Azure's errors.
var azureCauses = map[string]Cause{
	"ContainerNotFound":               NoBucket,
	"ContainerBeingDeleted":           Away,
	"AuthorizationFailure":            Denied,
	"AuthorizationPermissionMismatch": Denied,
	"InsufficientAccountPermissions":  Denied,
	"AccountIsDisabled":               Denied,
	"ServerBusy":                      Away,
	"InternalError":                   Away,
	"OperationTimedOut":               Away,
}

// Explain implements Provider.
func (c *Azure) Explain(err error) Meaning {
	var answer *azcore.ResponseError
	var login *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &login):
		return Meaning{Cause: Unknown, Message: firstLine(login.Error())}
	case strings.Contains(err.Error(), "DefaultAzureCredential: failed to acquire a token"):
		return Meaning{Cause: Missing}
	case strings.Contains(err.Error(), "illegal base64"), strings.Contains(err.Error(), "connection string"):
		return Meaning{Cause: Unknown, Message: firstLine(err.Error())}
	case !errors.As(err, &answer):
		return Meaning{Cause: explainNetwork(err)}
	}
	m := Meaning{Cause: azureCauses[answer.ErrorCode], Code: answer.ErrorCode, Message: azureMessage(answer)}
	switch text := answer.Error(); {
	case strings.Contains(text, "Request date header too old"):
		m.Cause = Clock
	case strings.Contains(text, "failed to authenticate"):
		m.Cause = Unknown
	case m.Cause == Unclear:
		m.Cause = explainStatus(answer.StatusCode)
	}
	return m
}

// azureMessage finds the store's sentence in the error's text, which shows the
// whole answer.
func azureMessage(answer *azcore.ResponseError) string {
	_, rest, ok := strings.Cut(answer.Error(), "<Message>")
	if !ok {
		return ""
	}
	message, _, _ := strings.Cut(rest, "</Message>")
	return firstLine(message)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

// Flags implements Provider.
func (c *Azure) Flags(cause Cause) string {
	switch cause {
	case NoBucket:
		return "-storage.azure.container"
	case Unknown, Denied, Missing:
		return "-storage.azure.account-name and -storage.azure.account-key"
	}
	return "-storage.azure.endpoint and -storage.azure.account-name"
}
