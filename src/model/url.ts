/** Null when a server URL can be used, else what is wrong with it. */
export function urlProblem(url: string): string | null {
  if (url.trim() === '') {
    return null;
  }
  try {
    const { protocol } = new URL(url);
    return protocol === 'http:' || protocol === 'https:' ? null : `"${url}" must start with http:// or https://`;
  } catch {
    return `"${url}" is not a URL such as http://hearth:4040`;
  }
}
