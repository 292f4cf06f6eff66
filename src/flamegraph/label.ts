// What of a name is written into a box that is too narrow for all of it.

const ELLIPSIS = '…';

/**
 * The longest telling form that fits: the full name, then without the path of
 * its package, then cut at the end. Empty when not even three characters fit.
 */
export function fitLabel(name: string, characters: number): string {
  if (characters < 3) {
    return '';
  }
  if (name.length <= characters) {
    return name;
  }
  const short = name.slice(pathEnd(name));
  return short.length <= characters ? short : `${short.slice(0, characters - 1)}${ELLIPSIS}`;
}

/** Where the directory part ends; slashes within brackets or type arguments are no directories. */
function pathEnd(name: string): number {
  const bracket = name.search(/[([<]/);
  const head = bracket > 0 ? name.slice(0, bracket) : name;
  return head.lastIndexOf('/') + 1;
}
