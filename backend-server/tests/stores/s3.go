package stores

import (
	"context"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
)

const (
	gatewayVersion = "v1.8.0"
	gatewayKey     = "hearth"
	gatewaySecret  = "hearth-secret"
	gatewayRegion  = "eu-test-1"

	// ReaderKey and ReaderSecret are credentials that the S3 store knows, but
	// that may do nothing.
	ReaderKey    = "reader"
	ReaderSecret = "reader-secret"
)

func s3Program(ctx context.Context, t testing.TB) string {
	return goProgram(ctx, t, "github.com/versity/versitygw/cmd/versitygw", gatewayVersion)
}

func startS3(ctx context.Context, t testing.TB) Store {
	t.Helper()
	gateway := s3Program(ctx, t)
	address, _ := freeAddress(t)
	serve(t, address, nil, gateway, "--access", gatewayKey, "--secret", gatewaySecret, "--region", gatewayRegion,
		"--port", address, "--iam-dir", t.TempDir(), "posix", t.TempDir())
	client, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(gatewayKey, gatewaySecret, ""), Region: gatewayRegion})
	require.NoError(t, err)
	require.NoError(t, client.MakeBucket(ctx, BucketName, minio.MakeBucketOptions{Region: gatewayRegion}))
	require.NoError(t, command(ctx, nil, gateway, "admin", "--access", gatewayKey, "--secret", gatewaySecret, "--region", gatewayRegion,
		"--endpoint-url", "http://"+address, "create-user", "--access", ReaderKey, "--secret", ReaderSecret, "--role", "user"))
	return Store{Address: address, Flags: []string{
		"-storage.s3.endpoint=" + address, "-storage.s3.insecure", "-storage.s3.region=" + gatewayRegion, "-storage.s3.bucket=" + BucketName,
		"-storage.s3.bucket-lookup-type=path", "-storage.s3.access-key-id=" + gatewayKey, "-storage.s3.secret-access-key=" + gatewaySecret,
	}}
}
