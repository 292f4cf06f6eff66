package store

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/go-kit/log"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/s3"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// S3 is Amazon's store, and all that speak its protocol.
type S3 struct {
	Endpoint, Bucket, Region  string
	Lookup                    string
	Insecure                  bool
	AccessKeyID               string
	SecretAccessKey           config.Secret
	SessionToken              config.Secret
	STSEndpoint               string
	SSE, KMSKeyID, KMSContext string
}

var lookups = map[string]s3.BucketLookupType{"auto": s3.AutoLookup, "path": s3.PathLookup, "virtual-hosted": s3.VirtualHostLookup}

// RegisterFlags implements Provider.
func (c *S3) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Endpoint, "storage.s3.endpoint", "s3.amazonaws.com", "Host, and port if it is not the usual one, of the S3 store.")
	f.StringVar(&c.Bucket, "storage.s3.bucket", "", "Name of the S3 bucket.")
	f.StringVar(&c.Region, "storage.s3.region", "", "Region of the S3 bucket; empty means that the store is asked.")
	f.StringVar(&c.Lookup, "storage.s3.bucket-lookup-type", "auto", "Where the bucket's name stands in a URL: auto, path (behind the host) or virtual-hosted (before it).")
	f.BoolVar(&c.Insecure, "storage.s3.insecure", false, "Speak HTTP without TLS to the S3 store.")
	f.StringVar(&c.AccessKeyID, "storage.s3.access-key-id", "", "Access key for S3; empty means that the environment (AWS_ACCESS_KEY_ID, …), the shared credentials file, or the role of the machine or pod is used.")
	f.Var(&c.SecretAccessKey, "storage.s3.secret-access-key", "Secret of the S3 access key.")
	f.Var(&c.SessionToken, "storage.s3.session-token", "Session token of temporary S3 credentials.")
	f.StringVar(&c.STSEndpoint, "storage.s3.sts-endpoint", "", "URL of the service that gives out credentials of a role; empty means Amazon's.")
	f.StringVar(&c.SSE, "storage.s3.sse.type", "", "Encryption by the S3 store: SSE-S3, SSE-KMS, or empty for the bucket's own setting.")
	f.StringVar(&c.KMSKeyID, "storage.s3.sse.kms-key-id", "", "Key of the key service that SSE-KMS encrypts with.")
	f.StringVar(&c.KMSContext, "storage.s3.sse.kms-encryption-context", "", "JSON object of texts that SSE-KMS binds the encryption to.")
}

// Validate implements Provider.
func (c *S3) Validate() []error {
	problems := missing("storage.s3.endpoint", c.Endpoint, "the host of the store", "storage.s3.bucket", c.Bucket, "the name of a bucket")
	if strings.ContainsAny(c.Endpoint, "/@?") {
		problems = append(problems, config.Problem("storage.s3.endpoint", c.Endpoint, "a host such as s3.example.org:9000, without https:// (-storage.s3.insecure is for http) and without a path"))
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); c.Bucket != "" && err != nil {
		problems = append(problems, config.Problem("storage.s3.bucket", c.Bucket, "a name that S3 allows: "+err.Error()))
	}
	if _, ok := lookups[c.Lookup]; !ok {
		problems = append(problems, config.Problem("storage.s3.bucket-lookup-type", c.Lookup, "auto, path or virtual-hosted"))
	}
	if c.AccessKeyID != "" && c.SecretAccessKey == "" {
		problems = append(problems, config.Problem("storage.s3.secret-access-key", "", "the secret of -storage.s3.access-key-id"))
	}
	if c.AccessKeyID == "" && (c.SecretAccessKey != "" || c.SessionToken != "") {
		problems = append(problems, config.Problem("storage.s3.access-key-id", "", "the access key that -storage.s3.secret-access-key belongs to"))
	}
	if !slices.Contains([]string{"", s3.SSES3, s3.SSEKMS}, c.SSE) {
		problems = append(problems, config.Problem("storage.s3.sse.type", c.SSE, "SSE-S3, SSE-KMS or nothing"))
	}
	if (c.SSE == s3.SSEKMS) != (c.KMSKeyID != "") {
		problems = append(problems, config.Problem("storage.s3.sse.kms-key-id", c.KMSKeyID, "a key if -storage.s3.sse.type is SSE-KMS, and nothing otherwise"))
	}
	if _, err := c.context(); err != nil {
		problems = append(problems, config.Problem("storage.s3.sse.kms-encryption-context", c.KMSContext, `a JSON object of texts such as {"team": "a"}`))
	}
	return problems
}

func (c *S3) context() (pairs map[string]string, err error) {
	if c.KMSContext != "" {
		err = json.Unmarshal([]byte(c.KMSContext), &pairs)
	}
	return pairs, err
}

// tries is how often a request is made that the store fails; who asks tries
// again later in its own rhythm.
const tries = 4

// Open implements Provider.
func (c *S3) Open(_ context.Context, t *Transport) (objstore.Bucket, error) {
	pairs, err := c.context()
	if err != nil {
		return nil, err
	}
	cfg := s3.DefaultConfig
	cfg.Endpoint, cfg.Bucket, cfg.Region, cfg.Insecure = c.Endpoint, c.Bucket, c.Region, c.Insecure
	cfg.AccessKey, cfg.SecretKey, cfg.SessionToken = c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal()
	cfg.BucketLookupType, cfg.STSEndpoint, cfg.MaxRetries = lookups[c.Lookup], c.STSEndpoint, tries
	cfg.SSEConfig = s3.SSEConfig{Type: c.SSE, KMSKeyID: c.KMSKeyID, KMSEncryptionContext: pairs}
	cfg.PutUserMetadata = map[string]string{}
	cfg.HTTPConfig.Transport = t
	return s3.NewBucketWithConfig(log.NewNopLogger(), cfg, "hearth", nil)
}

// s3Causes are the codes of S3's errors.
var s3Causes = map[string]Cause{
	"NoSuchBucket":                       NoBucket,
	"InvalidAccessKeyId":                 Unknown,
	"SignatureDoesNotMatch":              Unknown,
	"InvalidToken":                       Unknown,
	"ExpiredToken":                       Unknown,
	"AccessDenied":                       Denied,
	"AllAccessDisabled":                  Denied,
	"AccountProblem":                     Denied,
	"PermanentRedirect":                  Region,
	"TemporaryRedirect":                  Region,
	"AuthorizationHeaderMalformed":       Region,
	"IllegalLocationConstraintException": Region,
	"InvalidRegion":                      Region,
	"RequestTimeTooSkewed":               Clock,
	"SlowDown":                           Away,
	"SlowDownRead":                       Away,
	"SlowDownWrite":                      Away,
	"InternalError":                      Away,
	"ServiceUnavailable":                 Away,
	"RequestTimeout":                     Away,
}

// Explain implements Provider.
func (c *S3) Explain(err error) Meaning {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return Meaning{Cause: c.explainOther(err)}
	}
	m := Meaning{Cause: s3Causes[answer.Code], Code: answer.Code, Message: answer.Message}
	switch {
	case answer.Code == "AuthorizationHeaderMalformed" && answer.Region == "" && !strings.Contains(answer.Message, "region"):
		m.Cause = Refused
	case m.Cause != Unclear:
	case answer.StatusCode == 0:
		m.Cause = c.explainOther(err)
	case answer.Server == "" && strings.Contains(answer.Message, "HTTPS server"):
		m.Cause = Endpoint
	default:
		m.Cause = explainStatus(answer.StatusCode)
	}
	return m
}

// explainOther is for what is no answer of a store.
func (c *S3) explainOther(err error) Cause {
	var none credentials.ErrorResponse
	text := err.Error()
	switch {
	case errors.As(err, &none), strings.Contains(text, "IMDS"), strings.Contains(text, "no credentials"):
		return Missing
	case strings.Contains(text, "gave HTTP response to HTTPS client"), strings.Contains(text, "XML syntax error"), strings.Contains(text, "expected element type"):
		return Endpoint
	}
	return explainNetwork(err)
}

// Flags implements Provider.
func (c *S3) Flags(cause Cause) string {
	switch cause {
	case NoBucket:
		return "-storage.s3.bucket"
	case Unknown, Denied, Missing:
		return "-storage.s3.access-key-id"
	case Region:
		return "-storage.s3.region"
	}
	return "-storage.s3.endpoint and -storage.s3.insecure"
}

// missing reports the values that are empty but must not be; it takes names of
// flags, their values, and what is wanted, in turn.
func missing(triples ...string) (problems []error) {
	for t := range slices.Chunk(triples, 3) {
		if t[1] == "" {
			problems = append(problems, fmt.Errorf("-%s is missing; want %s", t[0], t[2]))
		}
	}
	return problems
}
