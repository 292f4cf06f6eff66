/** The app's plugin id, filled in by the bundler from plugin.json. */
declare const PLUGIN_ID: string;

/** The AMD module that is being loaded, as the loader describes it. */
declare module 'amd-module' {
  const amdModule: { id: string; uri: string };
  export = amdModule;
}
