const REMEMBERED = 20;
/** What leaves a page often comes back at once, drawn anew, or takes care of the focus itself. */
const PATIENCE_MS = 60;

/** Nobody who uses the keyboard loses their place: when what has the focus leaves the page, what had it before gets it back, or
 * else the content of the page.
 *
 * A dialog that was opened from a menu or a palette has nothing to give the focus back to, and a row that was deleted
 * takes it along.
 */
export function keepFocus() {
  let before: HTMLElement[] = [];
  let byKeyboard = false;
  let waits = false;

  const isThere = (element: HTMLElement) =>
    element.isConnected && element.checkVisibility() && !element.matches(':disabled');
  const isLost = () => {
    const now = document.activeElement;
    return byKeyboard && (!now || now === document.body) && !before.at(-1)?.isConnected;
  };
  const restore = () => {
    waits = false;
    if (!isLost()) return;
    const place = before.findLast(isThere) ?? document.getElementById('content');
    place?.focus({ preventScroll: true });
  };

  window.addEventListener('keydown', () => (byKeyboard = true), true);
  window.addEventListener('pointerdown', () => (byKeyboard = false), true);
  window.addEventListener('focusin', ({ target }) => {
    if (target instanceof HTMLElement)
      before = [...before.filter((element) => element !== target), target].slice(-REMEMBERED);
  });
  new MutationObserver(() => {
    if (waits || !isLost()) return;
    waits = true;
    setTimeout(restore, PATIENCE_MS);
  }).observe(document.body, { childList: true, subtree: true });
}
