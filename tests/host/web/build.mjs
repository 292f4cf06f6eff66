// Bundles the host page once per @grafana version: same sources, another node_modules.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const web = import.meta.dirname;

/** Builds the page from the packages installed in `folder` into `folder`/dist. */
export async function buildHost(rspack, folder) {
  const dist = join(folder, 'dist');
  rmSync(dist, { recursive: true, force: true });
  await bundle(rspack, configuration(rspack, folder, dist));

  const grafana = JSON.parse(readFileSync(join(folder, 'node_modules/@grafana/ui/package.json'), 'utf8')).version;
  writeFileSync(join(dist, 'host.json'), JSON.stringify({ grafana }));
  cpSync(join(web, 'src/index.html'), join(dist, 'index.html'));
  copyAssets(folder, dist);
}

/** Fonts, and the icons that @grafana/ui ships; a few that only Grafana's own application has are in src/icons. */
function copyAssets(folder, dist) {
  cpSync(join(folder, 'node_modules/@grafana/ui/dist/public/img'), join(dist, 'img'), { recursive: true });
  cpSync(join(web, 'src/icons'), join(dist, 'img/icons/unicons'), { recursive: true });
  for (const [name, weight] of Object.entries({ Regular: 400, Medium: 500, Bold: 700 })) {
    const font = `node_modules/@fontsource/inter/files/inter-latin-${weight}-normal.woff2`;
    cpSync(join(folder, font), join(dist, `fonts/inter/Inter-${name}.woff2`));
  }
}

function configuration(rspack, folder, dist) {
  const modules = join(folder, 'node_modules');
  return {
    mode: 'production',
    target: ['web', 'es2022'],
    context: folder,
    devtool: false,
    performance: { hints: false },
    entry: { host: join(web, 'src/main.ts') },
    output: { path: dist, filename: '[name].js', chunkFilename: '[contenthash].js', publicPath: '/public/host/' },
    resolve: {
      extensions: ['.tsx', '.ts', '.mjs', '.js', '.json'],
      // Our sources lie outside of the version's folder, so only they need to be told where packages are. Packages
      // find their own nested duplicates first (react-router 5 and 6 live side by side).
      modules: ['node_modules', modules],
    },
    module: {
      rules: [
        { test: /\.tsx?$/, include: join(web, 'src'), resolve: { modules: [modules] }, ...typescript() },
        // @grafana/ui 11.6 imports defaults of CommonJS packages from its .mjs files.
        { test: /\.m?js$/, type: 'javascript/auto', resolve: { fullySpecified: false } },
        { test: /\.css$/, type: 'css/auto' },
        { test: /\.(svg|png|woff2?|ttf)$/, type: 'asset/resource' },
      ],
    },
    plugins: [
      new rspack.DefinePlugin({
        'process.env.NODE_ENV': '"production"',
        // Bundled UMD packages must not take SystemJS's global define for a module loader of theirs.
        'typeof define': '"undefined"',
      }),
      new rspack.IgnorePlugin({ resourceRegExp: /^monaco-editor/ }),
    ],
    ignoreWarnings: [() => true],
  };
}

function typescript() {
  return {
    loader: 'builtin:swc-loader',
    options: {
      jsc: {
        parser: { syntax: 'typescript', tsx: true },
        transform: { react: { runtime: 'automatic' } },
        target: 'es2022',
      },
    },
  };
}

function bundle(rspack, config) {
  const compiler = rspack(config);
  return new Promise((resolve, reject) => {
    compiler.run((error, stats) => {
      compiler.close(() => {
        if (error || stats.hasErrors()) {
          reject(error ?? new Error(stats.toString({ all: false, errors: true })));
          return;
        }
        console.log(stats.toString({ all: false, timings: true, version: true }));
        resolve();
      });
    });
  });
}
