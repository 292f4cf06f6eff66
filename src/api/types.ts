// What the app's resources answer. The Go side is pkg/resources.

export interface Status {
  /** embedded: this process serves; embedded-peer: another process of the plugin does; remote: a configured server. */
  mode: 'embedded' | 'embedded-peer' | 'remote';
  url: string;
  ready: boolean;
  message?: string;
  version?: string;
}

export interface Service {
  name: string;
  profileTypes: string[];
}

export interface FlameGraphAnswer {
  names: string[];
  levels: number[][];
  total: number;
  maxSelf: number;
  unit: string;
}

export interface FunctionsAnswer {
  functions: Array<{ name: string; self: number; total: number }>;
  total: number;
  unit: string;
}

export interface Series {
  labels: Record<string, string>;
  /** Epoch milliseconds and value. */
  points: Array<[number, number]>;
}

export interface SeriesAnswer {
  series: Series[];
  /** Seconds between grid points. */
  step: number;
  unit: string;
}

export interface ProfileTypeAnswer {
  id: string;
  label: string;
}

/** What profiles a question is about. */
export interface Selection {
  /** Empty: all services. */
  service: string;
  type: string;
  selector: string;
  from: number;
  until: number;
}
