package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/gcs"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// GCS is Google Cloud Storage.
type GCS struct {
	Bucket         string
	ServiceAccount config.Secret
}

// RegisterFlags implements Provider.
func (c *GCS) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Bucket, "storage.gcs.bucket", "", "Name of the GCS bucket.")
	f.Var(&c.ServiceAccount, "storage.gcs.service-account", "Key of a service account for GCS: a file, or its JSON; empty means GOOGLE_APPLICATION_CREDENTIALS, or the account of the machine or pod.")
}

// Validate implements Provider.
func (c *GCS) Validate() []error {
	return missing("storage.gcs.bucket", c.Bucket, "the name of a bucket")
}

// Open implements Provider.
func (c *GCS) Open(ctx context.Context, t *Transport) (objstore.Bucket, error) {
	key := c.ServiceAccount.Reveal()
	if key != "" && !strings.HasPrefix(strings.TrimSpace(key), "{") {
		file, err := os.ReadFile(key)
		if err != nil {
			return nil, fmt.Errorf("-storage.gcs.service-account: %w", err)
		}
		key = string(file)
	}
	cfg := gcs.DefaultConfig
	cfg.Bucket, cfg.ServiceAccount, cfg.MaxRetries = c.Bucket, key, tries
	cfg.HTTPConfig.Transport = t
	cfg.HTTPConfig.IdleConnTimeout = 0 // objstore limits whole requests by it
	return gcs.NewBucketWithConfig(ctx, log.NewNopLogger(), cfg, "hearth", nil)
}

// Explain implements Provider.
func (c *GCS) Explain(err error) Meaning {
	var answer *googleapi.Error
	var token *oauth2.RetrieveError
	switch {
	case errors.As(err, &token):
		if token.Response != nil && token.Response.StatusCode >= 500 {
			return Meaning{Cause: Away, Message: token.ErrorDescription}
		}
		return Meaning{Cause: Unknown, Code: token.ErrorCode, Message: token.ErrorDescription}
	case errors.Is(err, storage.ErrBucketNotExist):
		return Meaning{Cause: NoBucket}
	case strings.Contains(err.Error(), "could not find default credentials"):
		return Meaning{Cause: Missing}
	case strings.Contains(err.Error(), "credentials from JSON"):
		return Meaning{Cause: Unknown, Message: err.Error()}
	case !errors.As(err, &answer):
		return Meaning{Cause: explainNetwork(err)}
	}
	m := Meaning{Cause: explainStatus(answer.Code), Message: strings.TrimSpace(answer.Message)}
	if len(answer.Errors) > 0 {
		m.Code = answer.Errors[0].Reason
	}
	if answer.Code == 404 {
		m.Cause = NoBucket // reads say that an object is missing in other words
	}
	return m
}

// Flags implements Provider.
func (c *GCS) Flags(cause Cause) string {
	switch cause {
	case Unknown, Denied, Missing, Clock:
		return "-storage.gcs.service-account"
	case Endpoint, Certificate, Away, Unclear:
		return "-storage.gcs.bucket and the environment variable STORAGE_EMULATOR_HOST"
	}
	return "-storage.gcs.bucket"
}
