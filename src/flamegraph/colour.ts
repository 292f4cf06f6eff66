// One hue a package, so that code that belongs together looks together.
//
// The hues are Paul Tol's "light" scheme: made for filled cells under dark text,
// and told apart with the common kinds of colour blindness. A function's name
// shifts the lightness a little, which keeps neighbours of one package apart.

type Rgb = readonly [number, number, number];

const HUES: readonly Rgb[] = [
  [0x77, 0xaa, 0xdd],
  [0xee, 0x88, 0x66],
  [0xee, 0xdd, 0x88],
  [0x44, 0xbb, 0x99],
  [0xff, 0xaa, 0xbb],
  [0x99, 0xdd, 0xff],
  [0xbb, 0xcc, 0x33],
  [0xaa, 0xaa, 0x00],
];

/** Frames that stand for no function of the program. */
const NEUTRAL: Rgb = [0xc4, 0xc4, 0xc4];
const NEUTRAL_NAMES = new Set(['total', 'other', '[truncated]', '']);

const LIGHTNESS_STEPS = 5;
const LIGHTNESS_SPREAD = 0.12;

/** 32-bit FNV-1a. */
export function hash(text: string, seed = 0x811c9dc5): number {
  let value = seed;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}

/**
 * The package, module or file of a function name, in the notations that
 * profilers use: Go, Java, Python "file.py:func", C++ and Rust "a::b", "binary+0x…".
 */
export function packageOf(name: string): string {
  const special = [
    /^(.+)\+0x[0-9a-f]+$/i, // binary+0xaddress
    /^(.*\.(?:py|rb|php|js|ts|mjs|ex|go))[:;\s]/, // file.py:function
    /^([^(<[]+?)::/, // crate::module::function
    /^([a-z_][\w$]*(?:\.[a-z_][\w$]*)*)\.[A-Z]/, // java.util.HashMap.put
    /^([a-z_][\w$]*(?:\/[a-z_][\w$]*)*)\/[A-Z]/, // java/util/HashMap.put
  ];
  for (const pattern of special) {
    const found = pattern.exec(name);
    if (found) {
      return found[1];
    }
  }
  const bracket = name.search(/[([<]/);
  const bare = bracket > 0 ? name.slice(0, bracket) : name;
  const slash = bare.lastIndexOf('/');
  const dot = bare.indexOf('.', slash + 1);
  return dot > 0 ? bare.slice(0, dot) : bare;
}

/** Fills for every name of a graph, by NameIndex. dark: dim the scheme for a dark background. */
export function fillsFor(names: readonly string[], dark: boolean): string[] {
  return names.map((name) => fillFor(name, dark));
}

export function fillFor(name: string, dark: boolean): string {
  const hue = NEUTRAL_NAMES.has(name) ? NEUTRAL : HUES[hash(packageOf(name)) % HUES.length];
  const step = (hash(name) % LIGHTNESS_STEPS) / (LIGHTNESS_STEPS - 1) - 0.5;
  const lightness = (dark ? 0.88 : 1) * (1 - LIGHTNESS_SPREAD / 2 + step * LIGHTNESS_SPREAD);
  const [red, green, blue] = hue.map((channel) => Math.min(255, Math.round(channel * lightness)));
  return `rgb(${red}, ${green}, ${blue})`;
}
