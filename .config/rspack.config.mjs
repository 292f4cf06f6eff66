// Bundles the app, and every nested plugin below src/, into dist/.
//
// Why not create-plugin's configuration: it expects src/plugin.json (ours is at
// the top level) and a public path that is wrong for nested plugins.
//
// Layout of dist/: module.js and shared chunks at the top, one folder with
// module.js and plugin.json for each nested plugin. The Go build adds gpx_hearth_*.
import { readdirSync, readFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rspack } from '@rspack/core';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const src = path.join(root, 'src');
const packageJson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const plugin = JSON.parse(readFileSync(path.join(root, 'plugin.json'), 'utf8'));

/** Modules that Grafana shares with its plugins; they must not be bundled. */
const shared = new Set([
  '@emotion/css',
  '@emotion/react',
  '@grafana/data',
  '@grafana/runtime',
  '@grafana/ui',
  'lodash',
  'moment',
  'react',
  'react-dom',
  'rxjs',
]);

const externals = [
  { 'amd-module': 'module' },
  ({ request }, callback) => {
    const isShared = shared.has(request) || /^rxjs\//.test(request);
    return isShared ? callback(null, request) : callback();
  },
];

function nestedPlugins(dir = src, prefix = '') {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const folder = path.join(dir, entry.name);
      const name = `${prefix}${entry.name}`;
      const own = existsSync(path.join(folder, 'plugin.json')) ? [name] : [];
      return own.concat(nestedPlugins(folder, `${name}/`));
    });
}

/** The public path module comes first, so that it is set before any chunk is asked for. */
function entry(name) {
  const file = ['.ts', '.tsx'].map((ext) => path.join(src, `${name}${ext}`)).find(existsSync);
  if (!file) {
    throw new Error(`src/${name}.ts(x) is missing`);
  }
  return { import: [path.join(src, 'shims/public_path.ts'), file] };
}

function entries() {
  const names = ['module', ...nestedPlugins().map((name) => `${name}/module`)];
  return Object.fromEntries(names.map((name) => [name, entry(name)]));
}

function fill(content) {
  return content
    .toString()
    .replaceAll('%VERSION%', packageJson.version)
    .replaceAll('%TODAY%', new Date().toISOString().slice(0, 10))
    .replaceAll('%PLUGIN_ID%', plugin.id);
}

const copies = [
  { from: path.join(root, 'plugin.json'), to: '.', transform: fill },
  { from: '**/plugin.json', context: src, to: '.', transform: fill, noErrorOnMissing: true },
  { from: '**/img/**/*', context: src, to: '.', noErrorOnMissing: true },
  { from: path.join(root, 'README.md'), to: '.', noErrorOnMissing: true },
  { from: path.join(root, 'CHANGELOG.md'), to: '.', noErrorOnMissing: true },
  { from: path.join(root, 'LICENSE'), to: '.', toType: 'dir' },
];

const swc = {
  jsc: {
    target: 'es2020',
    parser: { syntax: 'typescript', tsx: true },
    // Classic JSX: Grafana shares react, but react/jsx-runtime only from 11.6.11 on.
    transform: { react: { runtime: 'classic' } },
  },
};

export default (_env, argv) => {
  const production = argv.mode === 'production';
  return {
    mode: production ? 'production' : 'development',
    context: src,
    target: ['web', 'es2020'],
    devtool: production ? 'source-map' : 'eval-source-map',
    entry: entries(),
    externals,
    output: {
      path: path.join(root, 'dist'),
      filename: '[name].js',
      chunkFilename: production ? '[name].[contenthash:8].js' : '[name].js',
      library: { type: 'amd' },
      uniqueName: plugin.id,
      publicPath: `public/plugins/${plugin.id}/`,
      clean: { keep: /(^|[\\/])(gpx_|go_plugin_build_manifest)/ },
    },
    resolve: {
      extensions: ['.ts', '.tsx', '.js', '.mjs'],
      alias: {
        'react/jsx-runtime$': path.join(src, 'shims/jsx_runtime.ts'),
        'react/jsx-dev-runtime$': path.join(src, 'shims/jsx_runtime.ts'),
      },
    },
    module: {
      rules: [
        { test: /\.tsx?$/, exclude: /node_modules/, loader: 'builtin:swc-loader', options: swc, type: 'javascript/auto' },
        { test: /\.(png|svg)$/, type: 'asset/resource', generator: { filename: 'img/[name][ext]' } },
      ],
    },
    plugins: [
      new rspack.DefinePlugin({ PLUGIN_ID: JSON.stringify(plugin.id) }),
      new rspack.CopyRspackPlugin({ patterns: copies }),
    ],
    performance: { maxAssetSize: 400_000, maxEntrypointSize: 100_000, hints: production ? 'warning' : false },
    stats: { preset: 'errors-warnings', assets: true, timings: true },
  };
};
