import { useEffect, useRef } from 'react';
import { create } from 'zustand';

/** What the palette of commands asked for and the page that does it may not have seen yet. */
const useAskedFor = create<{ asked: string | null }>()(() => ({ asked: null }));

/** Have a command done by the page that has it, which may still be on its way. */
export function ask(command: string) {
  useAskedFor.setState({ asked: command });
}

/** Do `act` when the command is asked for, once. Pages have a command as long as they are shown. */
export function useAsked(command: string, act: () => void) {
  const asked = useAskedFor((state) => state.asked === command);
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    if (!asked) return;
    useAskedFor.setState({ asked: null });
    latest.current();
  }, [asked]);
}
