/** Numbers and times in words, in the reader's own time zone. */

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const moment = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const whole = new Intl.NumberFormat('en');
const whole2 = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const when = (iso: string | null | undefined) => (iso ? time.format(new Date(iso)) : '–');
/** Short, for lists: without the year. */
export const atMoment = (iso: string) => moment.format(new Date(iso));
export const onDay = (iso: string | null | undefined) => (iso ? day.format(new Date(iso)) : '–');
export const count = (value: number) => whole.format(value);
export const compactCount = (value: number) => compact.format(value);

/** `1 interaction`, `1,000 interactions`. */
export const many = (value: number, noun: string) =>
  `${whole.format(value)} ${noun}${value === 1 ? '' : 's'}`;

/** Three digits that matter; whole numbers as they are. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return Number.isInteger(value) ? whole.format(value) : short.format(value);
}

/** Milliseconds, as people say them. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms < 995) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s` : `${(ms / 60_000).toFixed(1)} min`;
}

/** In KiB, MiB or GiB. */
export function bytes(value: number): string {
  const mebi = value / 2 ** 20;
  if (mebi < 0.995) return `${Math.round(value / 1024)} KiB`;
  return mebi < 1024 ? `${Math.round(mebi)} MiB` : `${(mebi / 1024).toFixed(1)} GiB`;
}

/** What was spent: small sums with the digits that matter. */
export function money(value: number): string {
  return value !== 0 && Math.abs(value) < 0.995 ? value.toPrecision(2) : whole2.format(value);
}

/** The same as `value` of a number in a metric's unit. */
export function inUnit(value: number | null | undefined, unit: string | null | undefined): string {
  if (unit === 'ms') return duration(value);
  return unit && value !== null && value !== undefined ? `${figure(value)} ${unit}` : figure(value);
}
