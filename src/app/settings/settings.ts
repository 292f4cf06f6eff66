/** The app's settings as Grafana stores them. The Go side is pkg/plugin. */
export interface AppSettings {
  /** Empty: the plugin runs the server itself. */
  serverUrl?: string;
  tenantId?: string;
  basicAuthUser?: string;
}

export interface AppSecrets {
  token?: string;
  basicAuthPassword?: string;
}
