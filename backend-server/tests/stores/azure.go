package stores

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
)

const (
	azuriteVersion = "3.37.0"
	azuriteAccount = "hearthtest"
)

var azuriteKey = base64.StdEncoding.EncodeToString([]byte("the key of the account of a test"))

func startAzure(ctx context.Context, t testing.TB) Store {
	t.Helper()
	dir := cached(ctx, t, "azurite-"+azuriteVersion, func(dir string) error {
		return command(ctx, nil, "npm", "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "azurite@"+azuriteVersion)
	})
	address, port := freeAddress(t)
	serve(t, address, []string{"AZURITE_ACCOUNTS=" + azuriteAccount + ":" + azuriteKey}, "node", filepath.Join(dir, "node_modules/azurite/dist/src/blob/main.js"),
		"--blobHost", "127.0.0.1", "--blobPort", port, "--location", t.TempDir(), "--skipApiVersionCheck", "--disableTelemetry")
	url := "http://" + address + "/" + azuriteAccount
	key, err := container.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	require.NoError(t, err)
	client, err := container.NewClientWithSharedKeyCredential(url+"/"+BucketName, key, nil)
	require.NoError(t, err)
	_, err = client.Create(ctx, nil)
	require.NoError(t, err)
	return Store{Address: address, Flags: []string{
		"-storage.azure.endpoint=" + url, "-storage.azure.account-name=" + azuriteAccount, "-storage.azure.account-key=" + azuriteKey,
		"-storage.azure.container=" + BucketName,
	}}
}
