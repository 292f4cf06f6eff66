import { useEffect, useRef, useState } from 'react';

const PAUSE_MS = 200;

/** A text being typed: shown at once, handed on when typing pauses. Returns text, setter and a clear that does not wait. */
export function useDraft(value: string, commit: (text: string) => void): [string, (text: string) => void, () => void] {
  const [draft, setDraft] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const finish = (text: string) => {
    clearTimeout(timer.current);
    commit(text);
    setDraft(null);
  };
  const change = (text: string) => {
    clearTimeout(timer.current);
    setDraft(text);
    timer.current = setTimeout(() => finish(text), PAUSE_MS);
  };
  return [draft ?? value, change, () => finish('')];
}
