/** The address if it leads to the web or to mail, else nothing: no scripts, no data, no path of our own. */
export function safeUrl(url: string): string {
  return /^(?:https?:\/\/|mailto:)/i.test(url.trim()) ? url.trim() : '';
}
