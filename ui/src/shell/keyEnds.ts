/** When keys end, as people choose it. */

const DAY_MS = 24 * 60 * 60 * 1000;

export const LIVES = [
  { value: '', label: 'Never' },
  { value: '1', label: 'In a day' },
  { value: '30', label: 'In 30 days' },
  { value: '90', label: 'In 90 days' },
  { value: '365', label: 'In a year' },
];

/** How long a user's earlier keys go on. */
export const CHANGEOVERS = [
  { value: '', label: 'At once' },
  { value: '0.042', label: 'In an hour' },
  { value: '1', label: 'In a day' },
  { value: '7', label: 'In a week' },
];

/** The moment in so many days, as the API takes it; nothing for ''. */
export const inDays = (days: string): string | undefined =>
  days ? new Date(Date.now() + Number(days) * DAY_MS).toISOString() : undefined;
