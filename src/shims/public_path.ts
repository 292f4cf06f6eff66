// Lazy chunks lie at the top of dist/, but Grafana serves a nested plugin's
// module from public/plugins/<nested id>/. Whatever module this is, chunks are
// to be asked for under the app's own id.
import amdModule from 'amd-module';

declare let __webpack_public_path__: string;

// eslint-disable-next-line prefer-const, @typescript-eslint/no-unused-vars -- the bundler turns this assignment into its own
__webpack_public_path__ = amdModule.uri.replace(/(plugins\/)[^/]+\/.*$/, `$1${PLUGIN_ID}/`);
