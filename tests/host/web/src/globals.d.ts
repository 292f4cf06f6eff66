interface Window {
  grafanaBootData: { user: Record<string, unknown>; settings: Record<string, unknown> };
}
