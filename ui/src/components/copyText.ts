/** Put text into the clipboard. Throws an Error where the browser does not allow it. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // A page that came over plain HTTP from another machine has no such thing; the older way still works there.
  const field = document.createElement('textarea');
  field.value = text;
  field.style.position = 'fixed';
  field.style.opacity = '0';
  // Inside of a dialog, which takes the focus away from everything else.
  const place = document.activeElement?.parentElement ?? document.body;
  place.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (!copied)
    throw new Error('This browser does not let the page copy. Select the text and copy it yourself.');
}
