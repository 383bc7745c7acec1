import type { KeyboardEvent } from 'react';

/**
 * Enter takes the option that is marked in the open list of a field.
 *
 * Mantine does so too, but a timer that it starts when typing opens the list makes it forget what it has marked: Enter
 * would then send the form around the field.
 */
export function takeMarked(event: KeyboardEvent<HTMLElement>) {
  if (event.key !== 'Enter' || event.nativeEvent.isComposing) return;
  const list = event.currentTarget.getAttribute('aria-controls');
  const marked =
    list && document.getElementById(list)?.querySelector<HTMLElement>('[data-combobox-selected]');
  if (!marked) return;
  event.preventDefault();
  event.stopPropagation();
  marked.click();
}
