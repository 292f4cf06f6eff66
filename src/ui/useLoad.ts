import { useEffect, useState } from 'react';

export interface Loaded<T> {
  /** The latest answer; an older one is kept while a newer is on its way. */
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
}

interface Settled<T> {
  key: string;
  data: T | undefined;
  error: Error | undefined;
}

/**
 * Loads when the key changes; null means there is nothing to load. The key must
 * name everything the load depends on. A load that is overtaken is aborted and
 * its answer dropped. scope: data of another scope is never shown as stale data.
 */
export function useLoad<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  scope: string = ''
): Loaded<T> {
  const [settled, setSettled] = useState<Settled<T> & { scope: string }>();

  useEffect(() => {
    if (key === null) {
      return undefined;
    }
    const controller = new AbortController();
    load(controller.signal).then(
      (data) => !controller.signal.aborted && setSettled({ key, scope, data, error: undefined }),
      (error: Error) => !controller.signal.aborted && setSettled({ key, scope, data: undefined, error })
    );
    return () => controller.abort();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the key stands for all that load uses
  }, [key]);

  const usable = settled?.scope === scope ? settled : undefined;
  return { data: usable?.data, error: usable?.error, loading: key !== null && usable?.key !== key };
}
