import { useEffect, useState } from 'react';

export interface Async<T> {
  value?: T;
  error?: Error;
  loading: boolean;
}

/** Runs `load` whenever `key` changes; the answer of an older key is dropped. */
export function useAsync<T>(load: () => Promise<T>, key: string): Async<T> {
  const [state, setState] = useState<Async<T> & { key?: string }>({ loading: true });
  useEffect(() => {
    let current = true;
    const finish = (result: Async<T>) => current && setState({ ...result, key });
    setState((last) => ({ ...last, loading: true }));
    load().then(
      (value) => finish({ value, loading: false }),
      (error: Error) => finish({ error, loading: false })
    );
    return () => {
      current = false;
    };
    // The caller says by `key` when `load` means something new.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);
  return state;
}
